// Finding a street by its name: /v1/roads/search.

import { get, query } from '../../core/api.js';
import { h } from '../../core/dom.js';
import { plural } from '../../core/format.js';

const MOST = 8;
const LEAST = 2;
const PATIENCE_MS = 200;

/** Draws a field with suggestions into el; found(street) is called with the one that was chosen. */
export function startSearch(el, { found, announce, signal }) {
  let options = [];
  let active = -1;
  let timer = 0;
  let request = null;
  const list = h('ul', { role: 'listbox', id: 'found', 'aria-label': 'Streets', hidden: true });
  const input = h('input', {
    type: 'search', id: 'search', placeholder: 'Find a street', autocomplete: 'off', spellcheck: 'false', role: 'combobox', 'aria-label': 'Find a street',
    'aria-expanded': 'false', 'aria-controls': 'found', 'aria-autocomplete': 'list',
    on: { input: later, keydown: key, focus: later, blur: () => setTimeout(close, 150) },
  });
  el.replaceChildren(input, list);

  function close() {
    clearTimeout(timer);
    request?.abort();
    list.hidden = true;
    active = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  }

  function take(i) {
    const street = options[i];
    if (!street) return;
    input.value = street.name || street.ref;
    close();
    found(street);
  }

  function later() {
    clearTimeout(timer);
    if (input.value.trim().length < LEAST) close();
    else timer = setTimeout(suggest, PATIENCE_MS);
  }

  function show(items, said) {
    active = -1;
    list.replaceChildren(...items);
    list.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    announce(said);
  }

  const note = (text) => [h('li', { role: 'option', 'aria-disabled': 'true', 'aria-selected': 'false', class: 'muted' }, text)];

  async function suggest() {
    request?.abort();
    request = new AbortController();
    const turn = AbortSignal.any([request.signal, signal]);
    try {
      options = (await get(query('/v1/roads/search', { q: input.value.trim(), limit: MOST }), { signal: turn })).streets;
      show(options.length
        ? options.map((s, i) => h('li', { role: 'option', id: `found-${i}`, 'aria-selected': 'false', on: { pointerdown: (e) => { e.preventDefault(); take(i); } } }, h('span', null, s.name || s.ref), h('small', null, s.name && s.ref ? s.ref : `${s.length_km.toFixed(1)} km`)))
        : note('No street of that name'), plural(options.length, 'street'));
    } catch (err) {
      if (turn.aborted) return;
      options = [];
      const text = err.denied ? 'A token is needed to search' : err.message;
      show(note(text), text);
    }
  }

  function key(e) {
    if (e.key === 'Escape' && !list.hidden) {
      e.stopPropagation();
      close();
    } else if (e.key === 'Enter') take(Math.max(active, 0));
    else if ((e.key === 'ArrowDown' || e.key === 'ArrowUp') && options.length) {
      e.preventDefault();
      active = (active + (e.key === 'ArrowDown' ? 1 : -1) + options.length) % options.length;
      [...list.children].forEach((li, i) => li.setAttribute('aria-selected', String(i === active)));
      input.setAttribute('aria-activedescendant', `found-${active}`);
    }
  }
}
