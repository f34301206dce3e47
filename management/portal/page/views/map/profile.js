// What is usual on a road by the hour of the day and of the week: /v1/segments/{edge}/profile.

import { get, query } from '../../core/api.js';
import { timeChart } from '../../core/charts.js';
import { NONE, speed, speedValue } from '../../core/format.js';
import { inUnits, units } from '../../core/prefs.js';
import { table } from '../../core/table.js';

const SLOTS = 288; // of a day
const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const STEPS = { day: 3, week: 12 }; // slots that are drawn as one

export const profileOf = (edge, signal) => get(query(`/v1/segments/${edge}/profile`, { time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone }), { signal });

const clock = (slot) => `${String(Math.floor((slot % SLOTS) / 12)).padStart(2, '0')}:${String((slot % 12) * 5).padStart(2, '0')}`;
const nameOf = { day: clock, week: (slot) => `${DAYS[Math.floor(slot / SLOTS)]} ${clock(slot)}` };
const absent = (v) => v === null || v === undefined;

/** Means of so many values at a time, without those that are null. */
const coarser = (values, step) => Array.from({ length: values.length / step }, (_, i) => {
  const known = values.slice(i * step, (i + 1) * step).filter((v) => !absent(v));
  return known.length ? known.reduce((a, b) => a + b) / known.length : null;
});

/**
 * Draws the usual day or week of a profile into el: limit is that of the road, if known. Returns { chart, caption,
 * label, table() }; chart is null where nothing is usual yet.
 */
export function drawProfile(el, doc, span, limit) {
  const step = STEPS[span];
  const mean = coarser(span === 'day' ? doc.day.mean_kmh : doc.week_mean_kmh, step);
  const known = mean.filter((v) => !absent(v));
  if (!known.length) return { chart: null, caption: `Nothing is usual yet: in the last ${doc.weeks} weeks never ${doc.k} cars drove here within five minutes.`, label: '', table: null };
  const x = mean.map((_, i) => i * step);
  const line = (values) => values.map((v) => (absent(v) ? null : inUnits(v)));
  const series = [{ label: 'usual', values: line(mean) }, { label: 'limit', values: x.map(() => (limit ? inUnits(limit) : null)), colour: '--bad', dash: [5, 4], width: 1.25 }];
  const bands = [];
  if (span === 'day') {
    series.push({ label: '', values: line(coarser(doc.day.p15_kmh, step)), quiet: true }, { label: '', values: line(coarser(doc.day.p85_kmh, step)), quiet: true });
    bands.push({ from: 2, to: 3, colour: '--series-1' });
  }
  const labels = new Map(x.map((slot) => [slot, nameOf[span](slot)]));
  return {
    chart: timeChart(el, { x, series, bands, labels, ticks: span === 'day' ? [SLOTS / 4] : [SLOTS], tick: span === 'day' ? clock : (slot) => DAYS[slot / SLOTS] ?? '', least: inUnits(limit ?? 10), format: (v) => `${Math.round(v)}` }),
    caption: `Mean of the last ${doc.weeks} weeks, ${span === 'day' ? 'with the 15th to 85th percentile, ' : ''}in ${units()}, by your clock. Below ${doc.k} cars nothing is shown.`,
    label: `Usually ${speed(Math.min(...known))} to ${speed(Math.max(...known))}; the table below says the same`,
    table: () => table([{ label: span === 'day' ? 'From' : 'Day, from', value: (r) => r.name }, { label: `Usual, ${units()}`, num: true, value: (r) => (absent(r.v) ? NONE : speedValue(r.v)) }],
      mean.map((v, i) => ({ name: nameOf[span](x[i]), v })).filter((r) => !absent(r.v)), { caption: 'What is usual on this road' }),
  };
}
