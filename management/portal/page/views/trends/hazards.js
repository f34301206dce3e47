// Trends of hazards: /v1/trends/hazards.

import { h } from '../../core/dom.js';
import { roadClass, words } from '../../core/format.js';
import { link } from '../../core/route.js';
import { nameOf } from '../map/hazards.js';
import { ALONG, countOf, groupBy, minutesOf, placeColumn, valueColumns } from './measure.js';

const values = { hazards: countOf('Hazards that began', 'hazards', 'Began'), active: countOf('Active now', 'active'), mean_duration_s: minutesOf('Mean duration', 'mean_duration_s') };

/** The middle of a tile z/x/y, as [lon, lat, zoom]. */
function middle(tile) {
  const [z, x, y] = tile.split('/').map(Number);
  const n = 2 ** z;
  return [((x + 0.5) / n) * 360 - 180, (Math.atan(Math.sinh(Math.PI * (1 - (2 * (y + 0.5)) / n))) * 180) / Math.PI, z];
}

/** A tile as where it is. */
const placeName = (tile) => {
  const [lon, lat] = middle(tile);
  return `${Math.abs(lat).toFixed(2)}° ${lat < 0 ? 'S' : 'N'}, ${Math.abs(lon).toFixed(2)}° ${lon < 0 ? 'W' : 'E'}`;
};

const NAMES = {
  category: nameOf, class: (c) => words(roadClass(c)) || 'Off the roads', tile: placeName,
  weather: (w) => ({ slippery_road: 'Slippery', reduced_visibility: 'Poor visibility', exceptional_weather: 'Exceptional weather' }[w] ?? 'None known'),
};

/** @type {import('./measure.js').Measure} */
export const hazards = {
  label: 'Hazards',
  what: 'What the cars warned of, and for how long. Told however few cars are behind it: hazards concern safety.',
  nothing: 'No hazard was noticed there then.',
  values, along: ALONG, split: { category: 'Category', weather: 'Weather', tile: 'Place', class: 'Class of road', none: 'Nothing' },
  area: true,
  path: '/v1/trends/hazards',
  params: (s) => ({ group_by: groupBy(s, 'category') }),
  groups: (doc) => doc.groups,
  series: (g, s) => NAMES[s.split]?.(g[s.split] ?? '') ?? '',
  weight: (g) => g.hazards,
  columns(_, s) {
    const split = s.split === 'none' ? null : { label: hazards.split[s.split],
      value: (g) => (s.split === 'tile' ? h('a', { href: link('map', { tab: 'hazards', at: middle(g.tile).map((v) => Number(v.toFixed(4))).join(',') }) }, placeName(g.tile)) : NAMES[s.split](g[s.split] ?? ''))};
    return [placeColumn(s), split, ...valueColumns(values)].filter(Boolean);
  },
};
