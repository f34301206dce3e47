// The form of a new webhook: where to, of what, where, from which probability on.

import { extent } from '../../core/extent.js';
import { h, say } from '../../core/dom.js';
import { HAZARDS } from '../map/hazards.js';

/** Four numbers as typed, or null for everywhere; throws what is wrong with them. */
function box(text) {
  if (!text.trim()) return null;
  const f = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (f.length !== 4 || f.some(Number.isNaN)) throw new Error('An area is four numbers: west, south, east and north in degrees.');
  return f;
}

/** create(order) sends it and throws what can't be done; close() gives up. */
export function webhookForm({ create, close }) {
  const field = (label, input, hint) => h('label', { class: 'field' }, h('span', null, label), input, hint && h('small', null, hint));
  const url = h('input', { type: 'url', name: 'url', required: true, maxlength: 2048, placeholder: 'https://hazards.example.org/carasso', autocomplete: 'off', spellcheck: 'false' });
  const description = h('input', { type: 'text', name: 'description', maxlength: 200, placeholder: 'Whose it is', autocomplete: 'off' });
  const area = h('input', { type: 'text', name: 'bbox', placeholder: 'everywhere', autocomplete: 'off', spellcheck: 'false' });
  const seen = extent();
  const fromMap = seen && h('button', { type: 'button', class: 'button', on: { click: () => { area.value = seen.map((v) => v.toFixed(4)).join(', '); } } }, 'What the map showed last');
  const least = h('input', { type: 'number', name: 'min_probability', min: 0, max: 100, step: 1, value: '', placeholder: '0' });
  const kinds = Object.entries(HAZARDS).map(([id, [, name]]) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'category', value: id }), h('span', null, name)));
  const wrong = h('p', { class: 'bad', role: 'alert', hidden: true });
  const button = h('button', { type: 'submit', class: 'button primary' }, 'Make it');
  const form = h('form', { class: 'new-webhook', on: { submit: async (e) => {
    e.preventDefault();
    wrong.hidden = true;
    button.disabled = true;
    try {
      await create({
        url: url.value.trim(), description: description.value.trim(), categories: [...form.querySelectorAll('[name="category"]:checked')].map((c) => c.value),
        bbox: box(area.value), min_probability: Number(least.value) / 100,
      });
    } catch (err) {
      wrong.hidden = false;
      say(wrong, [err.message, err.problem?.expected && `Expected ${err.problem.expected}.`].filter(Boolean).join(' '));
    }
    button.disabled = false;
  } } },
  h('h2', null, 'New webhook'),
  field('URL', url, 'HTTPS and a public address; it answers 2xx within 10 s.'), field('Description (optional)', description),
  h('fieldset', { class: 'kinds' }, h('legend', null, 'Hazards ', h('span', { class: 'muted' }, '(none chosen: all)')), kinds),
  h('div', { class: 'row' }, field('Area: west, south, east, north', area, 'In degrees. Empty: everywhere.'), fromMap),
  field('Least probability, %', least, 'Of a hazard, for it to be told.'),
  wrong, h('div', { class: 'row' }, button, h('button', { type: 'button', class: 'button', on: { click: close } }, 'Cancel')));
  return form;
}
