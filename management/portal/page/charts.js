// Small time series drawn by uPlot.

import uPlot from '/portal/third_party/uplot/uPlot.esm.js';
import { time } from './format.js';

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function sized(u, el) {
  const observer = new ResizeObserver(() => {
    if (el.clientWidth) u.setSize({ width: el.clientWidth, height: el.clientHeight });
  });
  observer.observe(el);
  return observer;
}

/** A sparkline of up to two series over the last minutes; push(t, values) adds to it.
 * The scale reaches at least to `least`. */
export function sparkline(el, series, { keep = 300, least = 1e-6 } = {}) {
  const data = [[], ...Array.from({ length: series }, () => [])];
  const stroke = (i) => () => css(`--series-${i}`);
  const u = new uPlot({
    width: el.clientWidth || 300,
    height: el.clientHeight || 56,
    padding: [4, 0, 2, 0],
    legend: { show: false },
    cursor: { show: false },
    select: { show: false },
    axes: [{ show: false }, { show: false }],
    scales: { x: { time: true }, y: { range: (_, lo, hi) => [0, Math.max(hi * 1.08, least)] } },
    series: [{}, ...Array.from({ length: series }, (_, i) => ({
      stroke: stroke(i + 1), width: 1.75, points: { show: false }, spanGaps: true,
      fill: i === 0 ? () => `${css('--series-1')}1a` : undefined,
    }))],
  }, data, el);
  sized(u, el);
  return {
    push(t, values) {
      data[0].push(t);
      values.forEach((v, i) => data[i + 1].push(v));
      if (data[0].length > keep) data.forEach((column) => column.shift());
      u.setData(data);
    },
    redraw: () => u.redraw(false),
  };
}

/** A segment's speeds over time: the band from p15 to p85, the median and the limit. */
export function profile(el, buckets, { from, to, limit }) {
  const step = 300;
  const [t0, t1] = [Math.floor(from / step) * step, Math.ceil(to / step) * step];
  const by = new Map(buckets.map((b) => [Date.parse(b.bucket) / 1000, b]));
  const x = [];
  for (let t = t0; t <= t1; t += step) x.push(t);
  const column = (name) => x.map((t) => by.get(t)?.[name] ?? null);
  const alone = (u, i) => u.data[i].map((v, j) => (v !== null && u.data[i][j - 1] == null && u.data[i][j + 1] == null ? j : -1)).filter((j) => j >= 0);
  const axis = { stroke: () => css('--muted'), font: '11px system-ui, sans-serif', ticks: { show: false } };
  const u = new uPlot({
    width: el.clientWidth || 320,
    height: el.clientHeight || 150,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    select: { show: false },
    scales: { x: { time: true, range: [t0, t1] }, y: { range: (_, lo, hi) => [0, Math.max(hi ?? 0, limit ?? 0, 10) * 1.12] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 60, values: (_, ticks) => ticks.map((t) => time(t * 1000)) },
      { ...axis, grid: { stroke: () => css('--line'), width: 1 }, size: 34, space: 34 },
    ],
    bands: [{ series: [3, 2], fill: () => `${css('--series-1')}2e` }],
    series: [
      {},
      { stroke: () => css('--series-1'), width: 2, points: { show: true, size: 5, filter: (u_, i) => alone(u_, i), fill: () => css('--series-1') } },
      { stroke: 'transparent', points: { show: false } },
      { stroke: 'transparent', points: { show: false } },
      { stroke: () => css('--bad'), width: 1.25, dash: [5, 4], points: { show: false } },
    ],
  }, [x, column('p50_kmh'), column('p15_kmh'), column('p85_kmh'), x.map(() => limit)], el);
  const observer = sized(u, el);
  return {
    redraw: () => u.redraw(false),
    destroy() {
      observer.disconnect();
      u.destroy();
    },
  };
}
