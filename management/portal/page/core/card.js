// A card about one thing, and its facts.

import { h } from './dom.js';
import { icon } from './icons.js';

/** A card with a title, a line below it and a button that closes it. */
export function card(title, what, close, ...content) {
  return h('section', { class: 'card', 'aria-labelledby': 'card-title' },
    h('div', { class: 'card-top' }, h('h2', { id: 'card-title', tabindex: '-1' }, title),
      h('button', { type: 'button', class: 'button quiet icon-only', 'aria-label': 'Close', on: { click: close } }, icon('close', 18))),
    what && h('p', { class: 'what' }, what), content);
}

/** A list of facts: [name, value, key for tests]. Those without a value are left out. */
export const facts = (rows) => h('dl', { class: 'facts' }, rows.filter(([, v]) => v !== null && v !== undefined)
  .map(([name, value, key]) => h('div', null, h('dt', null, name), h('dd', { data: key ? { fact: key } : null }, value))));
