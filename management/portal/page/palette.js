// Colours and classes of the map. The scale runs from red over yellow to blue: its steps
// differ in lightness too, and never only by red and green.

/** Classes of the ratio of speed to free flow; `from` is their lower bound. */
export const classes = [
  { from: 0, label: '< 35 %' },
  { from: 0.35, label: '35–60' },
  { from: 0.6, label: '60–80' },
  { from: 0.8, label: '≥ 80 %' },
];

/** Classes of a speed limit in km/h; `from` is their lower bound. */
export const limitClasses = [
  { from: 0, label: '≤ 30' },
  { from: 31, label: '40–50' },
  { from: 51, label: '60–80' },
  { from: 81, label: '> 80' },
];

const themes = {
  light: {
    speed: ['#8c0d25', '#e0612c', '#e9b02a', '#2f6fb5'],
    limit: ['#0b7a75', '#4f9d3f', '#8a6fc4', '#4a2a82'], differs: '#d0116e', hazard: '#b3261e', onHazard: '#ffffff',
    halo: '#fffffff0', background: '#f3f2ee', road: '#d9d6cd', major: '#c9c5ba', casing: '#e6e3db',
    label: '#565b63', labelHalo: '#f6f5f1', selected: '#14171a',
  },
  dark: {
    speed: ['#f0506a', '#f79450', '#ffdb70', '#4f93ee'],
    limit: ['#4fd0c8', '#9bd884', '#c3aef5', '#8f6ee0'], differs: '#ff6fb5', hazard: '#ff8a80', onHazard: '#1a0d0c',
    halo: '#0b0e12e6', background: '#101418', road: '#2b333c', major: '#39434e', casing: '#161b20',
    label: '#9aa5b1', labelHalo: '#101418', selected: '#ffffff',
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
