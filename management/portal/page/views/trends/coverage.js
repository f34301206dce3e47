// Trends of coverage: /v1/trends/coverage.

import { h } from '../../core/dom.js';
import { NONE, count, duration, percent, roadClass, words } from '../../core/format.js';
import { table } from '../../core/table.js';
import { ALONG, countOf, groupBy, placeColumn, shareOf, valueColumns } from './measure.js';

const values = {
  segment_share: { ...shareOf('Share of the roads seen', (g) => g.segment_share, 'Seen'), whole: 1 }, length_share: { ...shareOf('Share of their length seen', (g) => g.length_share, 'By length'), whole: 1 },
  segments: countOf('Roads seen', 'segments', 'Roads seen', false), driven_km: { ...countOf('Kilometres driven', 'driven_km', 'Driven, km'), unit: () => 'km' },
  vehicles_at_least: countOf('Cars, at least', 'vehicles_at_least', undefined, false),
};
const { none, ...times } = ALONG;
const nameOf = (g) => (g.class ? words(roadClass(g.class)) : '');
const age = (s) => (s === null || s === undefined ? NONE : duration(s).join(' '));
const share = (v) => (v === null || v === undefined ? NONE : percent(v));

/** @type {import('./measure.js').Measure} */
export const coverage = {
  label: 'Coverage',
  what: 'How much of the map the fleet saw, how far it drove there, and how long ago. Each direction of a road counts by itself, from three cars on.',
  nothing: 'There is no road in this area.',
  values, along: { none, ...times }, split: { class: 'Class of road', none: 'Nothing' },
  area: true, edges: true,
  path: '/v1/trends/coverage',
  params: (s) => ({ group_by: groupBy(s, 'class'), class: s.class, limit: 2000 }),
  groups: (doc) => doc.groups,
  series: nameOf,
  weight: (g) => g.samples ?? 0,
  columns: (_, s) => [placeColumn(s), s.split === 'class' && { label: 'Class', value: nameOf }, ...valueColumns(values),
    { label: 'On the map', num: true, value: (g) => count(g.map_segments) },
    { label: 'Withheld', num: true, value: (g) => count(g.suppressed_segments) }].filter(Boolean),
  more: (doc) => (doc.freshness?.length ? [h('h3', null, 'How long ago roads were driven on'), table([
    { label: 'Class', value: nameOf }, { label: 'Median', num: true, value: (f) => age(f.age_p50_s) }, { label: '95 of 100', num: true, value: (f) => age(f.age_p95_s) },
    { label: 'Within an hour', num: true, value: (f) => share(f.within_hour_share) }, { label: 'a day', num: true, value: (f) => share(f.within_day_share) }, { label: 'a week', num: true, value: (f) => share(f.within_week_share) },
    { label: 'Roads seen', num: true, value: (f) => count(f.segments) }, { label: 'On the map', num: true, value: (f) => count(f.map_segments) },
  ], doc.freshness, { caption: 'How long ago roads were driven on' })] : []),
};
