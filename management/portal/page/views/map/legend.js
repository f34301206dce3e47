// The legend: how the roads are coloured, which other layers are shown, and how to read all of it.

import { h } from '../../core/dom.js';
import { theme } from '../../core/prefs.js';
import { MODES } from './modes.js';
import { colours } from './palette.js';

/** Draws into el; change(what) is called with { mode }, { hazards } or { errors }. */
export function startLegend(el, shown, change) {
  const count = h('b', { id: 'hazard-count', hidden: true });
  const steps = h('ol', { class: 'scale' });
  const title = h('h2', { id: 'legend-title' });
  const note = h('p', { class: 'note' });
  const mark = h('i', { class: 'mark hazard', 'aria-hidden': 'true' });
  const past = h('div', { class: 'past' });
  const dash = h('i', { class: 'mark error', 'aria-hidden': 'true' });
  const box = (id, name, checked, swatch, ...more) => h('label', { class: 'toggle' },
    h('input', { id: `${id}-on`, type: 'checkbox', checked, on: { change: (e) => change({ [id]: e.target.checked }) } }), swatch, h('span', null, name), ...more);
  el.replaceChildren(
    h('fieldset', { class: 'choice modes' }, h('legend', { class: 'visually-hidden' }, 'Colour the roads by'),
      Object.entries(MODES).map(([name, m]) => h('label', null,
        h('input', { type: 'radio', name: 'mode', value: name, checked: name === shown.mode, on: { change: () => change({ mode: name }) } }), h('span', null, m.label)))),
    title, steps, note, past,
    h('div', { class: 'layers' }, box('hazards', 'Hazards', shown.hazards, mark, count), box('errors', 'Map errors', shown.errors, dash)));

  function draw() {
    const l = MODES[shown.mode].legend(theme());
    title.textContent = shown.past ? l.title.replace('now', 'then') : l.title;
    steps.replaceChildren(...l.steps.map(([label, colour]) => h('li', null, h('i', { style: { background: colour } }), label)));
    note.textContent = l.note ?? '';
    note.hidden = !l.note;
    past.hidden = shown.mode !== 'live';
    const c = colours(theme());
    mark.style.background = c.hazard;
    dash.style.borderColor = c.error;
  }
  draw();
  return {
    draw,
    /** Where the time slider goes: it changes how speeds now are to be read. */
    past,
    hazards(n) {
      count.hidden = n === 0;
      count.textContent = String(n);
    },
  };
}
