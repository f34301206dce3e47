// The ways of colouring the roads, and what each layer is read by.

import { classes, colours, limitLabels } from './palette.js';
import { units } from '../../core/prefs.js';

const shares = classes.map((k) => k.label);

/** By name: the source that is coloured, its label, and its legend: title, [label, colour] steps, note. */
export const MODES = {
  live: { source: 'speeds', label: 'Live', legend: (theme) => ({
    title: 'Speed now, share of free flow', steps: shares.map((l, i) => [l, colours(theme).speed[i]]) }) },
  typical: { source: 'speeds', label: 'Typical', legend: (theme) => ({
    title: 'Usual speed at this time of the week, share of free flow', steps: shares.map((l, i) => [l, colours(theme).speed[i]]),
    note: 'Once the fleet has driven a few weeks' }) },
  limits: { source: 'limits', label: 'Limits', legend: (theme) => ({
    title: `Speed limit, ${units()}`, steps: limitLabels().map((l, i) => [l, colours(theme).limit[i]]), note: 'Paler: only the map says so' }) },
  differs: { source: 'limits', label: 'Differs', legend: (theme) => {
    const c = colours(theme);
    return { title: 'Learned limit against the map', steps: [['lower', c.lower], ['higher', c.higher], ['new', c.unknown], ['as in the map', c.same]] };
  } },
};
