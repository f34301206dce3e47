// What a trend looks like: lines over time, hours or weekdays; bars where nothing runs along.

import { timeChart } from '../../core/charts.js';
import { h } from '../../core/dom.js';
import { speedValue } from '../../core/format.js';
import { inUnits } from '../../core/prefs.js';

const MOST_SERIES = 6;
const MOST_BARS = 20;

/**
 * Draws groups into el; m is the measure, s the state. Returns { note, destroy, redraw }: note says what was
 * left out.
 */
export function draw(el, groups, m, s, { comparing, range }) {
  const usable = groups.filter((g) => m.value(g, s) !== null && m.value(g, s) !== undefined);
  if (s.along === 'none') {
    const sorted = usable.toSorted((a, b) => m.value(b, s) - m.value(a, s)).slice(0, MOST_BARS);
    const top = Math.max(...sorted.map((g) => m.value(g, s)), 1);
    el.classList.remove('chart');
    el.replaceChildren(h('ol', { class: 'bars' }, sorted.map((g) => h('li', null, h('span', { class: 'name' }, m.series(g)), h('div', { class: 'bar' }, h('i', { style: { width: `${(100 * m.value(g, s)) / top}%` } })), h('b', { class: 'num' }, speedValue(m.value(g, s)))))));
    return { note: usable.length > MOST_BARS ? `The ${MOST_BARS} highest of ${usable.length}; the table has all.` : '', redraw() {}, destroy() { el.replaceChildren(); el.classList.add('chart'); } };
  }
  const bySeries = Map.groupBy(usable, m.series);
  // The series with most to say.
  const kept = [...bySeries].sort((a, b) => b[1].reduce((n, g) => n + g.samples, 0) - a[1].reduce((n, g) => n + g.samples, 0)).slice(0, MOST_SERIES);
  const steps = [...new Set(groups.map((g) => m.x(g)))].sort((a, b) => a - b);
  const x = steps;
  const labels = s.along === 'time' ? null : new Map(groups.map((g) => [m.x(g), m.xLabel(g)]));
  const line = (rows, f) => {
    const by = new Map(rows.map((g) => [m.x(g), f(g)]));
    return x.map((t) => (by.get(t) === undefined || by.get(t) === null ? null : inUnits(by.get(t))));
  };
  const series = kept.flatMap(([name, rows], i) => [
    { label: name || m.values[s.value].toLowerCase(), values: line(rows, (g) => m.value(g, s)), colour: `--series-${i + 1}` },
    ...(comparing ? [{ label: `${name ? `${name}, ` : ''}before`, values: line(rows, (g) => m.compared(g, s)), colour: `--series-${i + 1}`, dash: [5, 4], width: 1.5 }] : []),
  ]);
  const bands = [];
  if (kept.length === 1 && !comparing && s.value !== 'p15_kmh' && s.value !== 'p85_kmh') {
    series.push({ label: '', values: line(kept[0][1], (g) => g.p15_kmh), quiet: true }, { label: '', values: line(kept[0][1], (g) => g.p85_kmh), quiet: true });
    bands.push({ from: series.length - 2, to: series.length - 1, colour: '--series-1' });
  }
  const chart = timeChart(el, { x, series, bands, range: s.along === 'time' ? range : undefined, labels, least: 10, format: (v) => `${Math.round(v)}` });
  return {
    series: series.filter((l) => !l.quiet),
    note: bySeries.size > MOST_SERIES ? `The ${MOST_SERIES} with most samples of ${bySeries.size}; the table has all.` : bands.length ? 'The band is the 15th to the 85th percentile.' : '',
    ...chart,
  };
}
