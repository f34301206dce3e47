// Trends of the sensors' health: /v1/trends/sensor-health.

import { ALONG, countOf, groupBy, numberOf, placeColumn, shareOf, valueColumns } from './measure.js';

const share = (label, key, head) => shareOf(label, (g) => g[key]?.share, head);
const fires = (label, key) => numberOf(`${label} per 1,000 km`, (g) => g.per_1000_km?.[key], label, 0);
const values = {
  sign_disagreement: share('Signs read wrong', 'sign_disagreement'), signs_missing: share('Signs not seen', 'signs_missing'), unmatched: share('Samples off the roads', 'unmatched', 'Off the roads'),
  gps_accuracy_m: numberOf('GPS accuracy', (g) => g.gps_accuracy_m, 'GPS', 1, 'm'),
  missing_speed: share('Samples without speed', 'missing_speed', 'No speed'), missing_heading: share('Samples without heading', 'missing_heading', 'No heading'),
  missing_accuracy: share('Samples without accuracy', 'missing_accuracy', 'No accuracy'), missing_temperature: share('Samples without temperature', 'missing_temperature', 'No temperature'),
  abs: fires('ABS', 'abs'), esc: fires('ESC', 'esc'), tcs: fires('TCS', 'tcs'), hazard_light: fires('Hazard light', 'hazard_light'),
  vehicles_at_least: countOf('Cars, at least', 'vehicles_at_least', undefined, false), km: countOf('Kilometres driven', 'km', 'km'),
};
const { none, ...times } = ALONG;

/** @type {import('./measure.js').Measure} */
export const sensors = {
  label: 'Sensor health',
  what: 'How well the cars\' sensors work, by model and software. Kinds with fewer than three cars are withheld. The view Vehicles tells whether a new software is better.',
  nothing: 'No car sent anything then.',
  values, along: { none, ...times }, split: { 'model,software': 'Model and software', model: 'Model', software: 'Software', none: 'Nothing' }, finest: 'hour',
  path: '/v1/trends/sensor-health',
  params: (s) => ({ group_by: groupBy(s, 'model,software') }),
  groups: (doc) => doc.groups,
  series: (g) => [g.model, g.software].filter(Boolean).join(' '),
  weight: (g) => g.samples ?? 0,
  columns: (doc, s) => [placeColumn(s), ...['model', 'software'].filter((k) => doc.group_by.includes(k)).map((k) => ({ label: sensors.split[k], value: (g) => g[k] })), ...valueColumns(values, 'gps_accuracy_m')].filter(Boolean),
};
