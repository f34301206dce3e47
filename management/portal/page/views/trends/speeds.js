// Trends of speeds: /v1/trends/speeds.

import { h } from '../../core/dom.js';
import { NONE, count, roadClass, roadTitle, speedValue, words } from '../../core/format.js';
import { link } from '../../core/route.js';
import { ALONG, groupBy, placeColumn, speedOf, valueColumns } from './measure.js';
import { rangeOf } from './period.js';

const MOST = 2000;

const values = {
  mean_kmh: speedOf('Mean speed', 'Mean', 'mean_kmh'), p50_kmh: speedOf('Median speed', 'Median', 'p50_kmh'),
  p15_kmh: speedOf('15th percentile', '15 %', 'p15_kmh'), p85_kmh: speedOf('85th percentile', '85 %', 'p85_kmh'),
};

/** A difference with its sign, in the unit in use. */
function signed(v) {
  if (v === null || v === undefined) return NONE;
  const text = speedValue(Math.abs(v));
  return text === '0' ? '0' : `${v < 0 ? '−' : '+'}${text}`;
}

/** A road with the direction of travel, leading to it on the map. */
export const roadLink = (g) => h('a', { href: link('map', { edge: g.edge }) }, `${roadTitle(g)} ${g.direction === 'backward' ? '←' : '→'}`);

const number = (key) => ({ num: true, value: (g) => (g[key] === null || g[key] === undefined ? NONE : count(g[key])) });

/** @type {import('./measure.js').Measure} */
export const speeds = {
  label: 'Speeds driven',
  what: 'How fast the fleet drove. Only roads that at least three cars drove on are counted.',
  nothing: 'Nobody drove there then. Take a longer period or a larger area.',
  values, along: ALONG, split: { none: 'Nothing', class: 'Class of road', segment: 'Road' },
  area: true, edges: true, compare: true,
  path: '/v1/trends/speeds',
  params(s) {
    const { compare } = rangeOf(s);
    return { group_by: groupBy(s, 'time'), class: s.class, compare_from: compare && new Date(compare.from).toISOString(), compare_to: compare && new Date(compare.to).toISOString(), limit: MOST };
  },
  groups: (doc) => doc.groups,
  series: (g) => (g.edge ? `${roadTitle(g)} ${g.direction === 'backward' ? '←' : '→'}` : g.class ? words(roadClass(g.class)) : ''),
  weight: (g) => g.samples ?? 0,
  columns(doc, s) {
    const split = {
      class: { label: 'Class', value: (g) => words(roadClass(g.class)) },
      segment: { label: 'Road', value: roadLink },
    }[s.split];
    const change = (g) => g.difference?.[s.value];
    // Beside another period there is room for one value only.
    const shown = doc.compare ? { [s.value]: values[s.value] } : values;
    return [placeColumn(s), split, ...valueColumns(shown, doc.compare ? s.value : 'mean_kmh'),
      ...(doc.compare ? [
        { label: 'Before', num: true, value: (g) => values[s.value].text(g.compare?.[s.value]) },
        { label: 'Difference', num: true, value: (g) => h('span', { class: (change(g) ?? 0) < -0.5 ? 'bad' : (change(g) ?? 0) > 0.5 ? 'good' : null }, signed(change(g))) },
      ] : []),
      { label: 'Cars, at least', ...number('vehicles_at_least') }, { label: 'Samples', ...number('samples') },
      ...(s.split === 'segment' ? [] : [{ label: 'Roads', ...number('segments') }, { label: 'Withheld', ...number('suppressed_segments') }]),
    ].filter(Boolean);
  },
};
