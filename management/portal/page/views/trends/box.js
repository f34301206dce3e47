// An area as a box of numbers.

import { h } from '../../core/dom.js';

/** west,south,east,north of a text, or null if it is none. */
export function boxOf(text) {
  const b = (text ?? '').split(',').map(Number);
  return b.length === 4 && b.every(Number.isFinite) && b[0] < b[2] && b[1] < b[3] ? b : null;
}

/** The field that takes the box as numbers. */
export const boxField = (value, change) => h('input', { type: 'text', id: 'bbox', value, placeholder: 'west,south,east,north', spellcheck: 'false', 'aria-label': 'Area: west, south, east, north in degrees', on: { change: (e) => change(e.target.value.trim()) } });
