// What a trend looks like: lines or stacked bars over time, hours or weekdays; one bar each where nothing runs along.

import { timeChart } from '../../core/charts.js';
import { h } from '../../core/dom.js';
import { minute } from '../../core/format.js';
import { place, placeName } from './measure.js';
import { STEP_MS, stepOf } from './period.js';

const MOST_SERIES = 6;
const MOST_BARS = 20;
const MOST_X = 3000;
const LEAST_S = 3600;

const absent = (v) => v === null || v === undefined;

/** Each as a bar, the longest first. */
function ranking(el, groups, m, s) {
  const v = m.values[s.value];
  const sorted = groups.toSorted((a, b) => v.of(b) - v.of(a)).slice(0, MOST_BARS);
  const top = v.whole ?? (Math.max(...sorted.map(v.of)) || 1);
  el.classList.remove('chart');
  el.replaceChildren(h('ol', { class: 'bars' }, sorted.map((g) => h('li', null, h('span', { class: 'name', title: m.series(g, s) }, m.series(g, s) || 'All'), h('div', { class: 'bar' }, h('i', { style: { width: `${(100 * v.of(g)) / top}%` } })), h('b', { class: 'num' }, v.text(v.of(g)))))));
  return {
    note: groups.length > MOST_BARS ? `The ${MOST_BARS} highest of ${groups.length}; the table has all.` : '', series: [], redraw() {},
    destroy() {
      el.replaceChildren();
      el.classList.add('chart');
    },
  };
}

/** All x of groups; where time runs in even steps also those without a group, which are gaps. */
function stepsOf(groups, s, [from, to]) {
  const steps = [...new Set(groups.map(place))].sort((a, b) => a - b);
  const width = STEP_MS[stepOf(s)] / 1000;
  if (s.along !== 'time' || width > STEP_MS.hour / 1000 || (to - from) / width > MOST_X) return steps;
  const even = [];
  for (let t = steps[0] - Math.floor((steps[0] - from) / width) * width; t <= to; t += width) even.push(t);
  return even.length ? even : steps;
}

/**
 * Draws groups into el; m is the measure, s the state. Returns { note, series, destroy, redraw }: note says what
 * was left out.
 */
export function draw(el, groups, m, s, { comparing, range }) {
  const v = m.values[s.value];
  const usable = groups.filter((g) => !absent(v.of(g)));
  if (!usable.length) {
    el.classList.remove('chart');
    el.replaceChildren(h('p', { class: 'muted' }, `No group has this value: ${v.label.toLowerCase()}. Choose another one.`));
    return { note: '', series: [], redraw() {}, destroy: () => el.classList.add('chart') };
  }
  if (s.along === 'none') return ranking(el, usable, m, s);
  // What is young begins where its data begin, not a month ago.
  const first = Math.min(...usable.map(place));
  const late = s.along === 'time' && first > range[0] + (range[1] - range[0]) / 2;
  if (late) range = [Math.min(first, range[1] - LEAST_S), range[1]];
  const bySeries = Map.groupBy(usable, (g) => m.series(g, s));
  // The series with most to say.
  const kept = [...bySeries].sort((a, b) => b[1].reduce((n, g) => n + m.weight(g), 0) - a[1].reduce((n, g) => n + m.weight(g), 0)).slice(0, MOST_SERIES);
  const x = stepsOf(usable, s, range);
  const labels = s.along === 'time' ? null : new Map(usable.map((g) => [place(g), placeName(g)]));
  const plot = v.plot ?? ((n) => n);
  const line = (rows, of) => {
    const by = new Map(rows.map((g) => [place(g), of(g)]));
    return x.map((t) => (absent(by.get(t)) ? null : plot(by.get(t))));
  };
  const series = kept.flatMap(([name, rows], i) => [
    { label: name || v.label.toLowerCase(), values: line(rows, v.of), colour: `--series-${i + 1}` },
    ...(comparing ? [{ label: `${name ? `${name}, ` : ''}before`, values: line(rows, (g) => v.of(g.compare ?? {})), colour: `--series-${i + 1}`, dash: [5, 4], width: 1.5 }] : []),
  ]);
  const bands = [];
  if (kept.length === 1 && !comparing && ['mean_kmh', 'p50_kmh'].includes(s.value)) {
    series.push({ label: '', values: line(kept[0][1], (g) => g.p15_kmh), quiet: true }, { label: '', values: line(kept[0][1], (g) => g.p85_kmh), quiet: true });
    bands.push({ from: series.length - 2, to: series.length - 1, colour: '--series-1' });
  }
  const chart = timeChart(el, { x, series, bands, stacked: Boolean(v.adds), range: s.along === 'time' ? range : undefined, labels, least: s.value.endsWith('_kmh') ? 10 : v.adds ? 1 : 1e-6, unit: v.unit?.() ?? '', format: (n) => String(Math.abs(n) < 10 && !Number.isInteger(n) ? n.toFixed(1) : Math.round(n)) });
  return {
    series: series.filter((l) => !l.quiet),
    note: [late && `There is nothing before ${minute(first * 1000)}.`, bySeries.size > MOST_SERIES && `The ${MOST_SERIES} with most of ${bySeries.size}; the table has all.`, bands.length && 'The band is the 15th to the 85th percentile.'].filter(Boolean).join(' '),
    ...chart,
  };
}
