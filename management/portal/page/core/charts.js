// Time series drawn by uPlot, in the theme's colours and the viewer's zone.

import uPlot from '/portal/third_party/uplot/uPlot.esm.js';
import { css, h, stylesheet } from './dom.js';
import { moment, short, time } from './format.js';

const DAY_S = 86_400;
// Counts have no halves.
const WHOLE = Array.from({ length: 12 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat();
const dayName = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric' });

/** Resolves when charts can be drawn. */
export const ready = () => stylesheet('/portal/third_party/uplot/uPlot.min.css');

function sized(u, el) {
  const observer = new ResizeObserver(() => {
    if (el.clientWidth) u.setSize({ width: el.clientWidth, height: el.clientHeight });
  });
  observer.observe(el);
  return observer;
}

/** A value that has no neighbour would be a line of no length: it is drawn as a point. */
function alone(u, i) {
  const v = u.data[i];
  return v.map((y, j) => (y !== null && v[j - 1] == null && v[j + 1] == null ? j : -1)).filter((j) => j >= 0);
}

/** The sums of series, point by point; null where none has a value. */
const sumOf = (series) => series[0].values.map((_, i) => series.reduce((sum, l) => (l.values[i] === null ? sum : (sum ?? 0) + l.values[i]), null));

/**
 * A chart over time, in el, whose size it takes.
 * @param {HTMLElement} el
 * @param {Object} o
 * @param {number[]} o.x seconds since the epoch, rising
 * @param {{label: string, values: (number|null)[], colour?: string, dash?: number[], width?: number, quiet?: boolean}[]} o.series
 *   colour names a custom property; quiet ones have no line (edges of a band)
 * @param {{from: number, to: number, colour: string}[]} [o.bands] filled between two series, by index
 * @param {[number, number]} [o.range] of x, in seconds
 * @param {Map<number, string>|null} [o.labels] x is no time, but these: by value
 * @param {number} [o.least] the y axis reaches at least there
 * @param {(v: number) => string} [o.format] of values, in the line that follows the pointer
 * @param {string} [o.unit] of the values, above the axis
 * @param {number[]} [o.ticks] how far apart labels may be, and o.tick what they say of a value; where x is no time
 * @param {boolean} [o.stacked] counts as bars on each other, that begin at their x, instead of lines
 */
export function timeChart(el, { x, series, bands = [], range, labels = null, least = 1, format = (v) => v.toFixed(1), unit = '', stacked = false, ticks: spacing = [1, 2, 3, 6], tick = (t) => labels?.get(t) ?? '' }) {
  const readout = h('p', { class: 'readout', 'aria-hidden': 'true' });
  const [t0, t1] = range ?? (stacked ? [x[0] - 0.5, x.at(-1) + 0.5] : [x[0], Math.max(x.at(-1), x[0] + 1)]);
  const long = t1 - t0 > 1.6 * DAY_S;
  const axis = { stroke: () => css('--muted'), font: '11px system-ui, sans-serif', ticks: { show: false } };
  const colour = (c, alpha = '') => () => `${css(c)}${alpha}`;
  // The highest first, so that each of the others covers it up to its own height.
  const drawn = stacked ? series.map((l, i) => ({ ...l, values: sumOf(series.slice(0, i + 1)) })).reverse() : series;
  const line = (l) => {
    if (l.quiet) return { stroke: 'transparent', points: { show: false } };
    const c = colour(l.colour ?? '--series-1');
    if (stacked) return { stroke: c, fill: c, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.86, 56, 2], align: labels ? 0 : 1 }) };
    return { stroke: c, width: l.width ?? 2, dash: l.dash, points: { show: !l.dash, size: 5, filter: alone, fill: c } };
  };
  const u = new uPlot({
    width: el.clientWidth || 320,
    height: el.clientHeight || 180,
    padding: [unit ? 18 : 10, 18, 0, 0],
    legend: { show: false },
    select: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: stacked ? { show: false } : { size: 7 } },
    scales: { x: { time: !labels, range: () => [t0, t1] }, y: { range: (_, lo, hi) => [Math.min(0, lo ?? 0), Math.max(hi ?? 0, least) * 1.1] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: long ? 70 : 60, incrs: labels ? spacing : undefined, values: (_, ticks) => ticks.map((t) => (labels ? tick(t) : long && new Date(t * 1000).getHours() === 0 ? dayName.format(t * 1000) : time(t * 1000))) },
      { ...axis, grid: { stroke: () => css('--line'), width: 1 }, size: 46, space: 36, incrs: stacked ? WHOLE : undefined, values: (_, ticks) => ticks.map((v) => (Math.abs(v) < 1000 ? String(v) : short(v))) },
    ],
    bands: bands.map((b) => ({ series: [b.to + 1, b.from + 1], fill: colour(b.colour, '2e') })),
    series: [{}, ...drawn.map(line)],
    hooks: {
      draw: unit ? [(self) => {
        const { ctx } = self;
        const px = devicePixelRatio;
        ctx.save();
        ctx.font = `${11 * px}px system-ui, sans-serif`;
        ctx.textAlign = 'left';
        ctx.textBaseline = 'alphabetic';
        ctx.fillStyle = css('--muted');
        ctx.fillText(unit, 6 * px, 11 * px);
        ctx.restore();
      }] : [],
      setCursor: [(self) => {
        const i = self.cursor.idx;
        readout.textContent = i === null || i === undefined ? '' : [labels?.get(x[i]) ?? moment(x[i] * 1000), ...series.filter((l) => l.values[i] !== null && l.values[i] !== undefined && l.label)
          .map((l) => `${l.label} ${format(l.values[i])}${unit && ` ${unit}`}`)].join(' · ');
      }],
    },
  }, [x, ...drawn.map((l) => l.values)], el);
  el.after(readout);
  const observer = sized(u, el);
  return {
    redraw: () => u.redraw(false),
    destroy() {
      observer.disconnect();
      readout.remove();
      u.destroy();
    },
  };
}

/** A sparkline of up to two series over the last minutes; push(t, values) adds to it.
 * The scale reaches at least to `least`. */
export function sparkline(el, series, { keep = 300, least = 1e-6 } = {}) {
  const data = [[], ...Array.from({ length: series }, () => [])];
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
      stroke: () => css(`--series-${i + 1}`), width: 1.75, points: { show: false }, spanGaps: true,
      fill: i === 0 ? () => `${css('--series-1')}1a` : undefined,
    }))],
  }, data, el);
  const observer = sized(u, el);
  return {
    push(t, values) {
      data[0].push(t);
      values.forEach((v, i) => data[i + 1].push(v));
      if (data[0].length > keep) data.forEach((column) => column.shift());
      u.setData(data);
    },
    redraw: () => u.redraw(false),
    destroy() {
      observer.disconnect();
      u.destroy();
    },
  };
}
