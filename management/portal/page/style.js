// The map's style: quiet roads below, speeds above. No fonts or icons are fetched: labels use
// the page's own fonts.

import { classes, colours, limitClasses } from './palette.js';

const ratio = ['coalesce', ['get', 'ratio'], 1];

const FONT = ['system-ui', 'Segoe UI', 'Roboto', 'Liberation Sans', 'sans-serif'];
const major = ['match', ['get', 'class'], ['motorway', 'trunk', 'primary'], true, false];
const rank = ['match', ['get', 'class'],
  ['motorway', 'trunk'], 1, ['primary', 'motorway_link', 'trunk_link'], 0.85, ['secondary', 'primary_link'], 0.7,
  ['tertiary', 'secondary_link'], 0.55, ['service'], 0.3, 0.42];

// Widths in pixels by zoom; a base below is multiplied by the road's rank.
const byZoom = (...stops) => ['interpolate', ['exponential', 1.5], ['zoom'], ...stops];
const roadWidth = (plus) => byZoom(9, ['+', plus, ['*', 1.2, rank]], 13, ['+', plus, ['*', 3.6, rank]], 17, ['+', 2 * plus, ['*', 20, rank]]);
const WIDTHS = [[9, 1.4], [12, 2.2], [14, 3.2], [17, 7]];
const speedWidth = (plus) => byZoom(...WIDTHS.flatMap(([z, w]) => [z, w + plus]));
// To the right of the direction of travel, so that the two directions lie side by side.
const SIDES = [[9, 0.9], [12, 1.6], [14, 2.4], [17, 6]];
const side = byZoom(...SIDES.flat());
// Below zoom 14, limits that are the same in both directions are one line.
const limitSide = byZoom(...SIDES.flatMap(([z, w]) => [z, ['case', ['has', 'both'], 0, w]]));

function speedColour(c) {
  const steps = [];
  classes.forEach((k, i) => (i ? steps.push(k.from, c.speed[i]) : steps.push(c.speed[0])));
  return ['step', ratio, ...steps];
}

function limitColour(c) {
  const steps = [];
  limitClasses.forEach((k, i) => (i ? steps.push(k.from, c.limit[i]) : steps.push(c.limit[0])));
  return ['case', ['has', 'unlimited'], c.limit.at(-1), ['step', ['coalesce', ['get', 'kmh'], 0], ...steps]];
}

/** The sign of a hazard's category: one letter, since no font or sprite is fetched. */
export const HAZARDS = {
  slippery_road: ['S', 'Slippery road'], obstacle: ['O', 'Obstacle'], accident: ['A', 'Accident'], road_works: ['W', 'Road works'],
  reduced_visibility: ['V', 'Reduced visibility'], wrong_way_driver: ['!', 'Wrong-way driver'], blockage: ['X', 'Blockage'],
  exceptional_weather: ['R', 'Exceptional weather'], broken_down_vehicle: ['D', 'Broken-down vehicle'], hard_braking: ['B', 'Hard braking'],
};
const letter = ['match', ['get', 'category'], ...Object.entries(HAZARDS).flatMap(([k, [l]]) => [k, l]), '?'];

/** Which layers each way of colouring the roads shows. */
const VIEWS = {
  speeds: ['speeds-halo', 'speeds-selected', 'speeds', 'speeds-reach'],
  limits: ['limits-halo', 'limits-differ', 'limits-selected', 'limits', 'limits-reach', 'limit-values'],
};
const HAZARD_LAYERS = ['hazard-stretches', 'hazards', 'hazard-letters'];

/** Whether a layer is to be seen: `shown` is { view, hazards }. */
export const visible = (layer, shown) => Object.entries(VIEWS).every(([view, ids]) => !ids.includes(layer) || view === shown.view)
  && (shown.hazards || !HAZARD_LAYERS.includes(layer));

/** The style for a theme, over sources as TileJSON describes them; `shown` is { view, hazards }. */
export function style(theme, sources, shown) {
  const c = colours(theme);
  const round = { 'line-cap': 'round', 'line-join': 'round' };
  const source = (l) => ({ source: l, 'source-layer': l });
  const layers = [
      { id: 'background', type: 'background', paint: { 'background-color': c.background } },
      { id: 'roads', type: 'line', ...source('roads'), layout: { ...round, 'line-sort-key': rank },
        paint: { 'line-color': ['case', major, c.major, c.road], 'line-width': roadWidth(0.4) } },
      { id: 'speeds-halo', type: 'line', ...source('speeds'), layout: round,
        paint: { 'line-color': c.halo, 'line-width': speedWidth(1.8), 'line-offset': side } },
      { id: 'speeds-selected', type: 'line', ...source('speeds'), layout: round, filter: ['==', ['get', 'edge'], -1],
        paint: { 'line-color': c.selected, 'line-width': speedWidth(5), 'line-offset': side } },
      { id: 'speeds', type: 'line', ...source('speeds'), layout: { ...round, 'line-sort-key': ['-', 2, ratio] },
        paint: { 'line-color': speedColour(c), 'line-offset': side,
          // Slow stretches are drawn a little wider: not by colour alone.
          'line-width': byZoom(...WIDTHS.flatMap(([z, w]) =>
            [z, ['case', ['boolean', ['feature-state', 'hover'], false], w + 3, ['<', ratio, 0.35], w * 1.35, w]])) } },
      { id: 'speeds-reach', type: 'line', ...source('speeds'),
        paint: { 'line-color': '#000', 'line-opacity': 0, 'line-width': 14, 'line-offset': side } },
      { id: 'limits-halo', type: 'line', ...source('limits'), layout: round,
        paint: { 'line-color': c.halo, 'line-width': speedWidth(1.8), 'line-offset': limitSide } },
      { id: 'limits-differ', type: 'line', ...source('limits'), layout: round, filter: ['==', ['get', 'differs'], true],
        paint: { 'line-color': c.differs, 'line-width': speedWidth(4.5), 'line-offset': limitSide } },
      { id: 'limits-selected', type: 'line', ...source('limits'), layout: round, filter: ['==', ['get', 'edge'], -1],
        paint: { 'line-color': c.selected, 'line-width': speedWidth(5), 'line-offset': limitSide } },
      { id: 'limits', type: 'line', ...source('limits'), layout: round,
        // What only the map says is drawn paler than what was learned.
        paint: { 'line-color': limitColour(c), 'line-offset': limitSide, 'line-width': speedWidth(0),
          'line-opacity': ['match', ['get', 'source'], 'learned', 1, 0.45] } },
      { id: 'limits-reach', type: 'line', ...source('limits'),
        paint: { 'line-color': '#000', 'line-opacity': 0, 'line-width': 14, 'line-offset': limitSide } },
      { id: 'limit-values', type: 'symbol', ...source('limits'), minzoom: 14, filter: ['has', 'kmh'],
        layout: { 'symbol-placement': 'line-center', 'text-field': ['to-string', ['get', 'kmh']], 'text-font': FONT, 'text-size': 11.5,
          'text-rotation-alignment': 'viewport', 'text-padding': 6 },
        paint: { 'text-color': c.label, 'text-halo-color': c.labelHalo, 'text-halo-width': 2 } },
      { id: 'road-names', type: 'symbol', ...source('roads'), minzoom: 11, filter: ['all', ['has', 'name'], ['!=', ['get', 'name'], '']],
        layout: { 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': byZoom(12, 10.5, 15, 11, 18, 14),
          'symbol-sort-key': ['-', 1, rank], 'text-max-angle': 50, 'text-padding': 4, 'symbol-spacing': 220 },
        paint: { 'text-color': c.label, 'text-halo-color': c.labelHalo, 'text-halo-width': 1.6 } },
      { id: 'hazard-stretches', type: 'line', source: 'hazards', 'source-layer': 'hazard_lines', layout: round,
        paint: { 'line-color': c.hazard, 'line-opacity': 0.35, 'line-width': speedWidth(7) } },
      { id: 'hazards', type: 'circle', ...source('hazards'), filter: ['==', ['geometry-type'], 'Point'],
        paint: { 'circle-radius': byZoom(9, 4, 11, 6, 13, 9, 17, 13), 'circle-color': c.hazard, 'circle-stroke-color': c.halo, 'circle-stroke-width': 2 } },
      { id: 'hazard-letters', type: 'symbol', ...source('hazards'), filter: ['==', ['geometry-type'], 'Point'],
        layout: { 'text-field': letter, 'text-font': FONT, 'text-size': byZoom(9, 6.5, 11, 9, 13, 12, 17, 15), 'text-allow-overlap': true, 'text-ignore-placement': true },
        paint: { 'text-color': c.onHazard } },
  ];
  for (const l of layers) l.layout = { ...l.layout, visibility: visible(l.id, shown) ? 'visible' : 'none' };
  return { version: 8, sources, layers };
}
