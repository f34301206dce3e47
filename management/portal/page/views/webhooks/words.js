// What a webhook is, in words.

import { h } from '../../core/dom.js';
import { percent } from '../../core/format.js';
import { nameOf } from '../map/hazards.js';

const LOOKS = { active: 'good', paused: 'warn', disabled: 'bad' };

/** Its state; one that is sent to and always fails says so. */
export function stateOf(w) {
  const failing = w.state === 'active' && w.failing_since;
  return h('span', { class: `badge ${failing ? 'bad' : LOOKS[w.state] ?? ''}`, data: { state: w.state } }, failing ? 'failing' : w.state);
}

/** The kinds of hazards that it is told of. */
export const kindsOf = (w) => (w.categories.length ? w.categories.map(nameOf).join(', ') : 'All hazards');

/** Where, and how sure they have to be. */
export const boxOf = (w) => (w.bbox ? w.bbox.map((v) => v.toFixed(2)).join(', ') : 'everywhere');
export const termsOf = (w) => `${w.bbox ? 'within a box' : 'everywhere'}${w.min_probability ? `, from ${percent(w.min_probability)} on` : ''}`;
