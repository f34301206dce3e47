// The map's style: quiet roads below, speeds above. No fonts or icons are fetched: labels use
// the page's own fonts.

import { classes, colours } from './palette.js';

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
const side = byZoom(9, 0.9, 12, 1.6, 14, 2.4, 17, 6);

function speedColour(c) {
  const steps = [];
  classes.forEach((k, i) => (i ? steps.push(k.from, c.speed[i]) : steps.push(c.speed[0])));
  return ['step', ratio, ...steps];
}

/** The style for a theme, over sources as TileJSON describes them. */
export function style(theme, sources) {
  const c = colours(theme);
  const round = { 'line-cap': 'round', 'line-join': 'round' };
  const source = (l) => ({ source: l, 'source-layer': l });
  return {
    version: 8,
    sources,
    layers: [
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
      { id: 'road-names', type: 'symbol', ...source('roads'), minzoom: 11, filter: ['all', ['has', 'name'], ['!=', ['get', 'name'], '']],
        layout: { 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': byZoom(12, 10.5, 15, 11, 18, 14),
          'symbol-sort-key': ['-', 1, rank], 'text-max-angle': 50, 'text-padding': 4, 'symbol-spacing': 220 },
        paint: { 'text-color': c.label, 'text-halo-color': c.labelHalo, 'text-halo-width': 1.6 } },
    ],
  };
}
