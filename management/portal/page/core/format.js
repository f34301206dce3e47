// Numbers and times for people.

import { h } from './dom.js';
import { inUnits, units } from './prefs.js';

const whole = new Intl.NumberFormat('en');
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const clockSeconds = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const dayAndClock = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

const onlyDay = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });

export const NONE = '–';

export const count = (n) => whole.format(Math.round(n));
export const short = (n) => (n < 100_000 ? count(n) : compact.format(n));
export const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : short(n));
export const percent = (share) => `${Math.round(share * 100)} %`;

/** How sure one is: never quite. */
export const certainty = (p) => (p > 0.995 ? '> 99 %' : percent(p));

/** A speed in the unit in use, without and with the unit. */
export const speedValue = (kmh) => String(Math.round(inUnits(kmh)));
export const speed = (kmh) => `${speedValue(kmh)} ${units()}`;

/** A speed limit: a number of km/h, 'none', or null when it isn't known. */
export function limit(value) {
  if (value === null || value === undefined) return 'unknown';
  return value === 'none' ? 'no limit' : speed(value);
}

export const time = (t) => clock.format(new Date(t));

const isToday = (d) => d.toDateString() === new Date().toDateString();

/** A moment, short when it is of today. */
export function moment(t) {
  const d = new Date(t);
  return (isToday(d) ? clockSeconds : dayAndClock).format(d);
}

/** A moment to the minute, such as where a step of time begins. */
export function minute(t) {
  const d = new Date(t);
  return (isToday(d) ? clock : dayAndClock).format(d);
}

/** A span of time to the minute: of today only if both ends are, so that neither is taken for the other's day. */
export function span(from, to) {
  const form = (t) => ([from, to].every((x) => isToday(new Date(x))) ? clock : dayAndClock).format(new Date(t));
  return [when(from, form), ' to ', when(to, form)];
}

/** The day of a moment. */
export const day = (t) => onlyDay.format(new Date(t));

/** A <time> in the viewer's zone, with UTC on hover and for readers of the markup. */
export function when(t, format = moment) {
  const d = new Date(t);
  const utc = d.toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
  return h('time', { datetime: d.toISOString(), title: utc }, format(d));
}

/** Seconds as [number, unit]. */
export function duration(s) {
  if (s < 0.0005) return ['0', 's'];
  if (s < 0.9995) return [String(Math.round(s * 1000)), 'ms'];
  if (s < 120) return [s < 10 ? s.toFixed(1) : String(Math.round(s)), 's'];
  if (s < 7200) return [String(Math.round(s / 60)), 'min'];
  if (s < 172_800) return [whole.format(Math.round(s / 3600)), 'h'];
  return [whole.format(Math.round(s / 86_400)), 'days'];
}

export const ago = (t, now = Date.now()) => `${duration(Math.max(0, (now - new Date(t)) / 1000)).join(' ')} ago`;

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in powers of 1,000. */
export function bytes(n) {
  let i = 0;
  for (; n >= 999.5 && i < SIZES.length - 1; i++) n /= 1000;
  return `${n < 10 && i ? n.toFixed(1) : Math.round(n)} ${SIZES[i]}`;
}

/** US dollars with three digits that count. */
export function usd(v) {
  if (v === null || v === undefined) return '–';
  if (v === 0) return '$0';
  const digits = Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(Math.abs(v)))));
  return `$${v.toFixed(digits)}`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** A name in snake_case as words. */
export const words = (name) => {
  const text = String(name ?? '').replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
};

const points = ['north', 'north-east', 'east', 'south-east', 'south', 'south-west', 'west', 'north-west'];

/** The point of the compass that a line of [lon, lat] pairs heads for. */
export function heading(line) {
  const [a, b] = [line[0], line.at(-1)];
  const dx = (b[0] - a[0]) * Math.cos((a[1] * Math.PI) / 180);
  return points[Math.round(((Math.atan2(dx, b[1] - a[1]) * 180) / Math.PI + 360) / 45) % 8];
}

export const roadClass = (c) => (c ? c.replace('_', ' ') : '');
export const roadTitle = (p) => p.name || p.ref || `Unnamed ${roadClass(p.class) || 'road'}`;
