// What measures share.

import { NONE, count, day, duration, minute, speedValue, when } from '../../core/format.js';
import { inUnits, units } from '../../core/prefs.js';
import { STEP_MS, stepOf } from './period.js';

/**
 * What can be shown over time. Each is a module of its own.
 * @typedef {Object} Measure
 * @property {string} label
 * @property {string} what says what is counted, in one sentence
 * @property {Object<string, Value>} values what can be drawn of a group
 * @property {Object<string, string>} along what the chart runs along; the first is the default
 * @property {Object<string, string>} split what the groups are split by; the first is the default
 * @property {boolean} [area] whether an area can be given
 * @property {boolean} [edges] whether an area can be a street
 * @property {boolean} [compare] whether another period can be compared with
 * @property {string} path of the endpoint
 * @property {(s: State) => Object} params what it is asked beside area and time
 * @property {(doc: Object, s: State) => Object[]} groups
 * @property {(group: Object, s: State) => string} series the name of the line that a group belongs to
 * @property {(group: Object) => number} weight of a group, to tell which lines matter most
 * @property {(doc: Object, s: State) => Column[]} columns of the table
 * @property {string} [finest] step of time, if its data are coarser than the finest
 * @property {(doc: Object) => Object[]} [rows] of the table, if they aren't the groups
 * @property {(doc: Object) => Node[]} [more] below the table
 * @property {string} nothing why there may be nothing
 *
 * @typedef {Object} Value
 * @property {string} label, and head in the table if it is another
 * @property {(group: Object) => (number|null|undefined)} of
 * @property {(v: number) => string} text for people
 * @property {(v: number) => number} [plot] the number that is drawn
 * @property {() => string} [unit]
 * @property {number} [whole] what a full bar stands for; else the longest one is full
 * @property {boolean} [adds] whether it may be stacked: a count
 */

export const ALONG = { time: 'Time', hour_of_day: 'Hour of the day', weekday: 'Day of the week', none: 'Nothing: totals' };

const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** Where a group lies along x: seconds since the epoch, or the number of its hour or weekday. */
export const place = (g) => (g.time ? Date.parse(g.time) / 1000 : g.hour_of_day ?? g.weekday ?? 0);
export const placeName = (g) => (g.time ? minute(g.time) : g.hour_of_day !== undefined ? `${g.hour_of_day}:00` : g.weekday ? WEEKDAYS[g.weekday - 1] : '');

/** The column of a table that says where a row lies; null where nothing runs along. */
export const placeColumn = (s) => ({
  time: { label: 'From', value: (g) => when(g.time, STEP_MS[stepOf(s)] < STEP_MS.day ? minute : day) }, hour_of_day: { label: 'Hour', value: (g) => `${g.hour_of_day}:00` }, weekday: { label: 'Day', value: (g) => WEEKDAYS[g.weekday - 1] },
}[s.along] ?? null);

/** What group_by is to be, of what runs along and what splits. */
export const groupBy = (s, fallback) => [s.along, s.split].filter((g) => g !== 'none').join(',') || fallback;

const known = (f) => (v) => (v === null || v === undefined ? NONE : f(v));

export const speedOf = (label, head, key) => ({ label, head, of: (g) => g[key], text: known(speedValue), plot: inUnits, unit: units });
export const countOf = (label, key, head = label, adds = true) => ({ label, head, of: (g) => g[key], text: known(count), adds });
export const minutesOf = (label, key) => ({ label, of: (g) => g[key], text: known((v) => duration(v).join(' ')), plot: (v) => v / 60, unit: () => 'min' });
const percentOf = (v) => `${(100 * v).toFixed(v < 0.0995 ? 1 : 0)} %`;
export const shareOf = (label, of, head = label) => ({ label, head, of, text: known(percentOf), plot: (v) => v * 100, unit: () => '%' });
export const numberOf = (label, of, head = label, digits = 1, unit = '') => ({ label, head, of, text: known((v) => v.toFixed(digits)), unit: () => unit });

/** Columns for values, right aligned. */
export const valueColumns = (values, unitIn = '') => Object.entries(values).map(([k, v]) => ({ label: `${v.head ?? v.label}${k === unitIn && v.unit ? `, ${v.unit()}` : ''}`, num: true, value: (g) => v.text(v.of(g)), }));
