// Finding a street by its name, among those of the tiles that are loaded.

import { h } from '../../core/dom.js';
import { plural } from '../../core/format.js';

const MOST = 8;
const LEAST = 2;

/** Without case and accents: 'Avinguda' and 'avíngudà' are the same. */
const plain = (s) => s.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

/** Draws a field with suggestions into el; roads() lists { name, ref, edge, line }, found(road) is called. */
export function startSearch(el, { roads, found, announce }) {
  let options = [];
  let active = -1;
  const list = h('ul', { role: 'listbox', id: 'found', 'aria-label': 'Streets', hidden: true });
  const input = h('input', {
    type: 'search', id: 'search', placeholder: 'Find a street in view', autocomplete: 'off', spellcheck: 'false', role: 'combobox', 'aria-label': 'Find a street in view',
    'aria-expanded': 'false', 'aria-controls': 'found', 'aria-autocomplete': 'list', on: { input: suggest, keydown: key, focus: suggest, blur: () => setTimeout(close, 150) },
  });
  el.replaceChildren(input, list);

  function close() {
    list.hidden = true;
    active = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  }

  function take(i) {
    const road = options[i];
    if (!road) return;
    input.value = road.name || road.ref;
    close();
    found(road);
  }

  function suggest() {
    const wanted = plain(input.value.trim());
    if (wanted.length < LEAST) {
      close();
      return;
    }
    const byName = new Map();
    for (const r of roads()) {
      const title = r.name || r.ref;
      if (!title || (!plain(r.name).includes(wanted) && !plain(r.ref).startsWith(wanted))) continue;
      const seen = byName.get(title);
      if (!seen || r.line.length > seen.line.length) byName.set(title, r);
    }
    // Those that begin with what was typed come first.
    const rank = (r) => (plain(r.name || r.ref).startsWith(wanted) ? 0 : 1);
    options = [...byName.values()].sort((a, b) => rank(a) - rank(b) || (a.name || a.ref).localeCompare(b.name || b.ref)).slice(0, MOST);
    active = -1;
    list.replaceChildren(...(options.length
      ? options.map((r, i) => h('li', { role: 'option', id: `found-${i}`, 'aria-selected': 'false', on: { pointerdown: (e) => { e.preventDefault(); take(i); } } }, r.name || r.ref, r.name && r.ref ? h('small', null, r.ref) : ''))
      : [h('li', { role: 'option', 'aria-disabled': 'true', 'aria-selected': 'false', class: 'muted' }, 'No street of that name in view; zoom in for small ones')]));
    list.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    announce(plural(options.length, 'street'));
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
