// Trends of the fleet's activity: /v1/trends/fleet.

import { ALONG, countOf, placeColumn, valueColumns } from './measure.js';

const values = {
  vehicles_at_least: countOf('Cars, at least', 'vehicles_at_least'), km: { ...countOf('Kilometres driven', 'km', 'Kilometres'), unit: () => 'km' },
  batches: countOf('Batches', 'batches'), samples: countOf('Samples', 'samples'),
};
const { none: _, ...along } = ALONG;

/** @type {import('./measure.js').Measure} */
export const fleet = {
  label: 'Fleet activity',
  what: 'How many cars sent something, how far they drove, and what they sent.',
  nothing: 'No car sent anything then.',
  values, along, split: { none: 'Nothing' }, finest: 'hour',
  path: '/v1/trends/fleet',
  params: (s) => ({ group_by: s.along }),
  groups: (doc) => doc.groups,
  series: () => '',
  weight: (g) => g.samples ?? 0,
  columns: (__, s) => [placeColumn(s), ...valueColumns(values)].filter(Boolean),
};
