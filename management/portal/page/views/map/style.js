// The map's style: quiet roads below, what the fleet knows above. No fonts or icons are fetched:
// labels use the page's own fonts.

import { inUnits } from '../../core/prefs.js';
import { HAZARDS } from './hazards.js';
import { MODES } from './modes.js';
import { classes, colours, limitClasses } from './palette.js';

const FONT = ['system-ui', 'Segoe UI', 'Roboto', 'Liberation Sans', 'sans-serif'];
// A weight is taken from any word of the stack; the last family is never reached.
const BOLD = [...FONT, 'Arial Bold'];
const major = ['match', ['get', 'class'], ['motorway', 'trunk', 'primary'], true, false];
const rank = ['match', ['get', 'class'],
  ['motorway', 'trunk'], 1, ['primary', 'motorway_link', 'trunk_link'], 0.9, ['secondary', 'primary_link'], 0.72,
  ['tertiary', 'secondary_link'], 0.56, ['service'], 0.26, 0.4];
const round = { 'line-cap': 'round', 'line-join': 'round' };
const source = (l) => ({ source: l, 'source-layer': l });

// Widths in pixels by zoom, times the rank of the road's class.
const byZoom = (...stops) => ['interpolate', ['exponential', 1.5], ['zoom'], ...stops];
const roadWidth = (plus) => byZoom(9, ['+', plus, ['*', 1.4, rank]], 13, ['+', plus * 1.2, ['*', 5, rank]], 17, ['+', 1.6 * plus, ['*', 24, rank]]);
// Coloured lines: one per direction, to the right of its direction of travel.
const WIDTHS = [[9, 2.2], [11, 2.9], [13, 4.2], [15, 5.4], [17, 9]];
const weight = ['+', 0.3, ['*', 0.7, rank]];
const lineWidth = (plus) => byZoom(...WIDTHS.flatMap(([z, w]) => [z, ['+', plus, ['*', w, weight]]]));
const SIDES = [[9, 0.75], [11, 1.2], [13, 2], [15, 3.2], [17, 6]];
const side = byZoom(...SIDES.flatMap(([z, w]) => [z, ['*', w, weight]]));
// Below zoom 14, limits that are the same in both directions are one line.
const limitSide = byZoom(...SIDES.flatMap(([z, w]) => [z, ['case', ['has', 'both'], 0, ['*', w, weight]]]));

const free = ['case', ['has', 'free'], ['get', 'free'], ['/', ['get', 'kmh'], ['max', 0.01, ['coalesce', ['get', 'ratio'], 1]]]];
/** The share of free flow that a mode shows. */
const share = (mode) => (mode === 'typical' ? ['/', ['coalesce', ['get', 'typical'], 0], ['max', 1, free]] : ['coalesce', ['get', 'ratio'], 1]);

const stepped = (value, bounds, palette) => ['step', value, ...bounds.flatMap((k, i) => (i ? [k.from, palette[i]] : [palette[0]]))];

function limitColour(c, mode) {
  if (mode === 'differs') {
    const known = ['any', ['has', 'map_kmh'], ['has', 'map_unlimited']];
    const top = (name, unlimited) => ['case', ['has', unlimited], 999, ['coalesce', ['get', name], 0]];
    return ['case', ['!=', ['get', 'source'], 'learned'], c.same, ['!', known], c.unknown, ['!=', ['get', 'differs'], true], c.same,
      ['<', top('kmh', 'unlimited'), top('map_kmh', 'map_unlimited')], c.lower, c.higher];
  }
  return ['case', ['has', 'unlimited'], c.limit.at(-1), stepped(['coalesce', ['get', 'kmh'], 0], limitClasses, c.limit)];
}

const letter = ['match', ['get', 'category'], ...Object.entries(HAZARDS).flatMap(([k, [l]]) => [k, l]), '?'];

/** A limit's number in the unit in use; style expressions can't call us, so its factor is put in. */
const limitText = () => ['to-string', ['round', ['*', inUnits(1), ['get', 'kmh']]]];

const HAZARD_LAYERS = ['hazard-stretches', 'hazards', 'hazard-letters'];
const ERROR_LAYERS = ['errors-halo', 'errors', 'error-points', 'errors-reach'];

/** Whether a layer is to be seen. */
function visible(id, { mode, hazards, errors, past }) {
  if (HAZARD_LAYERS.includes(id)) return hazards && !past;
  if (ERROR_LAYERS.includes(id)) return errors;
  if (id.startsWith('past')) return past;
  if (id.startsWith('speeds')) return MODES[mode].source === 'speeds' && !past;
  if (id.startsWith('limit')) return MODES[mode].source === 'limits' && !past;
  return true;
}

/**
 * The style for a theme, over sources as TileJSON describes them. `shown` says what is to be seen:
 * { mode, hazards, errors, past, edge }: past replaces the tiles' speeds by those of the source 'past',
 * edge is marked.
 */
export function style(theme, sources, shown) {
  const c = colours(theme);
  const ratio = share(shown.mode);
  const marked = ['==', ['get', 'edge'], shown.edge ?? -1];
  const slowWider = (r) => byZoom(...WIDTHS.flatMap(([z, w]) => [z, ['*', weight,
    ['case', ['boolean', ['feature-state', 'hover'], false], w + 3, ['<', r, 0.35], w * 1.35, w]]]));
  const layers = [
    { id: 'background', type: 'background', paint: { 'background-color': c.background } },
    { id: 'road-casing', type: 'line', ...source('roads'), layout: { ...round, 'line-sort-key': rank },
      paint: { 'line-color': ['case', major, c.majorCasing, c.casing], 'line-width': roadWidth(1.1) } },
    { id: 'roads', type: 'line', ...source('roads'), layout: { ...round, 'line-sort-key': rank },
      paint: { 'line-color': ['case', major, c.major, c.road], 'line-width': roadWidth(0) } },
    { id: 'roads-reach', type: 'line', ...source('roads'), minzoom: 12, paint: { 'line-color': '#000', 'line-opacity': 0, 'line-width': 12 } },

    { id: 'speeds-halo', type: 'line', ...source('speeds'), layout: round, paint: { 'line-color': c.halo, 'line-width': lineWidth(1.6), 'line-offset': side } },
    { id: 'speeds-selected', type: 'line', ...source('speeds'), layout: round, filter: marked,
      paint: { 'line-color': c.selected, 'line-width': lineWidth(5), 'line-offset': side } },
    { id: 'speeds', type: 'line', ...source('speeds'), layout: { ...round, 'line-sort-key': ['-', 2, ratio] },
      ...(shown.mode === 'typical' ? { filter: ['has', 'typical'] } : {}),
      // Slow stretches are drawn a little wider: not by colour alone.
      paint: { 'line-color': stepped(ratio, classes, c.speed), 'line-offset': side, 'line-width': slowWider(ratio) } },
    { id: 'speeds-reach', type: 'line', ...source('speeds'), paint: { 'line-color': '#000', 'line-opacity': 0, 'line-width': 14, 'line-offset': side } },

    { id: 'past-halo', type: 'line', source: 'past', layout: round, paint: { 'line-color': c.halo, 'line-width': lineWidth(1.6), 'line-offset': side } },
    { id: 'past', type: 'line', source: 'past', layout: { ...round, 'line-sort-key': ['-', 2, ['get', 'ratio']] },
      paint: { 'line-color': stepped(['get', 'ratio'], classes, c.speed), 'line-offset': side, 'line-width': lineWidth(0) } },

    { id: 'limits-halo', type: 'line', ...source('limits'), layout: round, paint: { 'line-color': c.halo, 'line-width': lineWidth(1.6), 'line-offset': limitSide } },
    { id: 'limits-differ', type: 'line', ...source('limits'), layout: round, filter: ['==', ['get', 'differs'], true],
      paint: { 'line-color': shown.mode === 'differs' ? c.halo : c.differs, 'line-width': lineWidth(4.2), 'line-offset': limitSide } },
    { id: 'limits-selected', type: 'line', ...source('limits'), layout: round, filter: marked,
      paint: { 'line-color': c.selected, 'line-width': lineWidth(5), 'line-offset': limitSide } },
    { id: 'limits', type: 'line', ...source('limits'), layout: { ...round, 'line-sort-key': ['case', ['==', ['get', 'differs'], true], 1, 0] },
      // What only the map says is drawn paler than what was learned.
      paint: { 'line-color': limitColour(c, shown.mode), 'line-offset': limitSide,
        'line-width': byZoom(...WIDTHS.flatMap(([z, w]) => [z, ['*', weight, shown.mode === 'differs' ? ['case', ['==', ['get', 'differs'], true], w + 1.5, w * 0.7] : w]])),
        'line-opacity': shown.mode === 'differs' ? 1 : ['match', ['get', 'source'], 'learned', 1, 0.45] } },
    { id: 'limits-reach', type: 'line', ...source('limits'), paint: { 'line-color': '#000', 'line-opacity': 0, 'line-width': 14, 'line-offset': limitSide } },
    { id: 'limit-values', type: 'symbol', ...source('limits'), minzoom: 14, filter: ['has', 'kmh'],
      layout: { 'symbol-placement': 'line-center', 'text-field': limitText(), 'text-font': BOLD, 'text-size': 11.5, 'text-rotation-alignment': 'viewport', 'text-padding': 6 },
      paint: { 'text-color': c.label, 'text-halo-color': c.labelHalo, 'text-halo-width': 2 } },

    { id: 'errors-halo', type: 'line', source: 'errors', layout: round, paint: { 'line-color': c.halo, 'line-width': lineWidth(5) } },
    { id: 'errors', type: 'line', source: 'errors', layout: { 'line-join': 'round' },
      paint: { 'line-color': c.error, 'line-width': ['case', ['==', ['get', 'id'], shown.error ?? -1], 6, 3.5], 'line-dasharray': [1.6, 1] } },
    { id: 'error-points', type: 'circle', source: 'errors', filter: ['==', ['geometry-type'], 'Point'],
      paint: { 'circle-radius': ['case', ['==', ['get', 'id'], shown.error ?? -1], 9, 6], 'circle-color': c.halo, 'circle-stroke-color': c.error, 'circle-stroke-width': 3 } },
    { id: 'errors-reach', type: 'line', source: 'errors', paint: { 'line-color': '#000', 'line-opacity': 0, 'line-width': 18 } },

    { id: 'road-names', type: 'symbol', ...source('roads'), minzoom: 11, filter: ['all', ['has', 'name'], ['!=', ['get', 'name'], '']],
      layout: { 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': byZoom(12, 11, 15, 12, 18, 15),
        'symbol-sort-key': ['-', 1, rank], 'text-max-angle': 45, 'text-padding': 5, 'symbol-spacing': 260, 'text-letter-spacing': 0.01 },
      paint: { 'text-color': c.label, 'text-halo-color': c.labelHalo, 'text-halo-width': 1.7 } },
    { id: 'road-refs', type: 'symbol', ...source('roads'), minzoom: 9.5, filter: ['all', ['has', 'ref'], ['!=', ['get', 'ref'], ''], ['match', ['get', 'class'], ['motorway', 'trunk', 'primary', 'secondary'], true, false]],
      layout: { 'symbol-placement': 'line', 'text-field': ['get', 'ref'], 'text-font': BOLD, 'text-size': 10.5, 'text-rotation-alignment': 'viewport', 'icon-image': 'shield',
        'icon-text-fit': 'both', 'icon-text-fit-padding': [2, 5, 2, 5], 'icon-rotation-alignment': 'viewport', 'symbol-spacing': 420, 'text-padding': 12, 'symbol-sort-key': ['-', 1, rank] },
      paint: { 'text-color': c.shieldText } },

    { id: 'hazard-stretches', type: 'line', source: 'hazards', 'source-layer': 'hazard_lines', layout: round,
      paint: { 'line-color': c.hazard, 'line-opacity': 0.32, 'line-width': lineWidth(8) } },
    { id: 'hazards', type: 'circle', ...source('hazards'), filter: ['==', ['geometry-type'], 'Point'],
      paint: { 'circle-radius': byZoom(9, 5.5, 11, 7.5, 13, 10, 17, 14), 'circle-color': c.hazard, 'circle-stroke-color': c.halo, 'circle-stroke-width': 2 } },
    { id: 'hazard-letters', type: 'symbol', ...source('hazards'), filter: ['==', ['geometry-type'], 'Point'],
      layout: { 'text-field': letter, 'text-font': BOLD, 'text-size': byZoom(9, 8, 11, 10, 13, 13, 17, 17), 'text-allow-overlap': true, 'text-ignore-placement': true },
      paint: { 'text-color': c.onHazard } },
  ];
  for (const l of layers) l.layout = { ...l.layout, visibility: visible(l.id, shown) ? 'visible' : 'none' };
  return { version: 8, sources, layers };
}
