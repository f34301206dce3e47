// Trends of speeds: /v1/trends/speeds.

import { query } from '../../core/api.js';
import { h } from '../../core/dom.js';
import { NONE, count, moment, roadClass, roadTitle, speedValue, when, words } from '../../core/format.js';
import { link } from '../../core/route.js';
import { units } from '../../core/prefs.js';
import { rangeOf, stepOf } from './period.js';

const VALUES = { mean_kmh: 'Mean', p50_kmh: 'Median', p15_kmh: '15th percentile', p85_kmh: '85th percentile' };
const HEADS = { mean_kmh: 'Mean', p50_kmh: 'Median', p15_kmh: '15 %', p85_kmh: '85 %' };
const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const MOST = 2000;

const shown = (v) => (v === null || v === undefined ? NONE : speedValue(v));

/** A difference with its sign, in the unit in use. */
function signed(v) {
  if (v === null || v === undefined) return NONE;
  const text = speedValue(Math.abs(v));
  return text === '0' ? '0' : `${v < 0 ? '−' : '+'}${text}`;
}

export const speeds = {
  label: 'Speed driven',
  values: VALUES,
  along: { time: 'Time', hour_of_day: 'Hour of the day', weekday: 'Day of the week', none: 'Nothing' },
  split: { none: 'Nothing', class: 'Class of road', segment: 'Road' },

  path(s) {
    const { from, to, compare } = rangeOf(s);
    const group = [s.along, s.split].filter((g) => g !== 'none').join(',') || 'time';
    return query('/v1/trends/speeds', {
      bbox: s.bbox, from: new Date(from).toISOString(), to: new Date(to).toISOString(), group_by: group, resolution: s.along === 'time' ? stepOf(s) : null,
      time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone, compare_from: compare && new Date(compare.from).toISOString(), compare_to: compare && new Date(compare.to).toISOString(), limit: MOST,
    });
  },

  /** Where a group lies along x: seconds, or a number of hour or weekday. */
  x: (g) => (g.time ? Date.parse(g.time) / 1000 : g.hour_of_day ?? g.weekday ?? 0),
  xLabel: (g) => (g.time ? moment(g.time) : g.hour_of_day !== undefined ? `${g.hour_of_day}:00` : g.weekday ? WEEKDAYS[g.weekday - 1] : ''),
  series: (g) => (g.edge ? `${roadTitle(g)} ${g.direction === 'backward' ? '←' : '→'}` : g.class ? words(roadClass(g.class)) : ''),
  value: (g, s) => g[s.value],
  compared: (g, s) => g.compare?.[s.value],

  columns(doc, s) {
    const along = { time: { label: 'From', value: (g) => when(g.time) }, hour_of_day: { label: 'Hour', value: (g) => `${g.hour_of_day}:00` }, weekday: { label: 'Day', value: (g) => WEEKDAYS[g.weekday - 1] } }[s.along];
    const split = {
      class: { label: 'Class', value: (g) => words(roadClass(g.class)) },
      segment: { label: 'Road', value: (g) => h('a', { href: link('map', { edge: g.edge }) }, roadTitle(g)) },
    }[s.split];
    return [along, split,
      ...Object.entries(HEADS).map(([k, label]) => ({ label: k === 'mean_kmh' ? `${label}, ${units()}` : label, num: true, value: (g) => shown(g[k]) })),
      doc.compare ? { label: 'Difference', num: true, value: (g) => h('span', { class: (g.difference?.[s.value] ?? 0) < -0.5 ? 'bad' : (g.difference?.[s.value] ?? 0) > 0.5 ? 'good' : null }, signed(g.difference?.[s.value])) } : null,
      { label: 'Cars, least', num: true, value: (g) => (g.vehicles_at_least === null ? NONE : count(g.vehicles_at_least)) },
      { label: 'Samples', num: true, value: (g) => (g.samples === null ? NONE : count(g.samples)) },
      s.split === 'segment' ? null : { label: 'Roads', num: true, value: (g) => (g.segments === null ? NONE : count(g.segments)) },
    ].filter(Boolean);
  },
};
