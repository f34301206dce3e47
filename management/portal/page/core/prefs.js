// What a person prefers: the theme and the unit of speed, kept in this browser.

const dark = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set();
const MPH = 0.621371192;

export const theme = () => localStorage.getItem('carasso-theme') ?? (dark.matches ? 'dark' : 'light');
export const units = () => (localStorage.getItem('carasso-units') === 'mph' ? 'mph' : 'km/h');

/** Whether things may move by themselves. */
export const reducedMotion = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

function changed() {
  document.documentElement.dataset.theme = theme();
  for (const f of listeners) f();
}

export function toggleTheme() {
  localStorage.setItem('carasso-theme', theme() === 'dark' ? 'light' : 'dark');
  changed();
}

export function setUnits(u) {
  localStorage.setItem('carasso-units', u);
  changed();
}

/** Calls f whenever a preference changes. */
export const onPrefs = (f) => listeners.add(f);
dark.addEventListener('change', changed);

/** A speed in km/h as a number in the unit in use. */
export const inUnits = (kmh) => (units() === 'mph' ? kmh * MPH : kmh);
