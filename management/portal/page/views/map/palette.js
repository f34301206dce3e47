// Colours and classes of the map. The scale of speeds runs from red over yellow to blue: its steps
// differ in lightness too, and never only by red and green.

import { inUnits, units } from '../../core/prefs.js';

/** Classes of the ratio of speed to free flow; `from` is their lower bound. */
export const classes = [
  { from: 0, label: '< 35 %' },
  { from: 0.35, label: '35–60' },
  { from: 0.6, label: '60–80' },
  { from: 0.8, label: '≥ 80 %' },
];

/** Classes of a speed limit in km/h; `from` is their lower bound. */
export const limitClasses = [{ from: 0, to: 30 }, { from: 31, to: 50 }, { from: 51, to: 80 }, { from: 81 }];

/** The classes of a speed limit, in the unit in use. */
export const limitLabels = () => limitClasses.map((k, i) => {
  const lower = Math.round(inUnits(limitClasses[i - 1]?.to ?? 0));
  if (!i) return `≤ ${Math.round(inUnits(k.to))}`;
  return k.to ? `${units() === 'mph' ? lower + 1 : lower + 10}–${Math.round(inUnits(k.to))}` : `> ${lower}`;
});

const themes = {
  light: {
    speed: ['#8c0d25', '#dd5a24', '#e5a81d', '#2f6fb5'],
    limit: ['#0b7a75', '#4f9d3f', '#8a6fc4', '#4a2a82'],
    lower: '#b4106a', higher: '#b06a00', unknown: '#2c6e8f', same: '#c3c7cb',
    differs: '#d0116e', hazard: '#b3261e', onHazard: '#ffffff', error: '#7327b0', suggested: '#7327b0',
    halo: '#fffffff2', background: '#f1efe9', road: '#ffffff', major: '#fff8e4', casing: '#d3cfc3', majorCasing: '#c9bf9f',
    label: '#4a5059', labelHalo: '#ffffff', selected: '#14171a', shield: '#ffffff', shieldText: '#3b4048',
  },
  dark: {
    speed: ['#f0506a', '#f58b45', '#ffdb70', '#4f93ee'],
    limit: ['#4fd0c8', '#9bd884', '#c3aef5', '#8f6ee0'],
    lower: '#ff6fb5', higher: '#ffc266', unknown: '#7cc9ea', same: '#454f5a',
    differs: '#ff6fb5', hazard: '#ff8a80', onHazard: '#1a0d0c', error: '#cf9bff', suggested: '#cf9bff',
    halo: '#0b0e12e6', background: '#0f1317', road: '#29313a', major: '#353f4a', casing: '#191f25', majorCasing: '#1a2026',
    label: '#a8b3bf', labelHalo: '#0f1317', selected: '#ffffff', shield: '#0f1317', shieldText: '#c4cdd6',
  },
};

/** The colours in use: 'light' or 'dark'. */
export const colours = (theme) => themes[theme];

/** The colour of a share of the free-flow speed. */
export function colourOf(ratio, theme) {
  let i = 0;
  while (i + 1 < classes.length && ratio >= classes[i + 1].from) i++;
  return themes[theme].speed[i];
}
