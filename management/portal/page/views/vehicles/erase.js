// Erase a vehicle's data: a request that only administrators may make, confirmed by typing the id again, and its receipt.

import { get, may, send } from '../../core/api.js';
import { facts } from '../../core/card.js';
import { h } from '../../core/dom.js';
import { count, when, words } from '../../core/format.js';
import { loading, trouble } from '../../core/states.js';

const EVERY_MS = 2000;
const ENDED = ['done', 'failed', 'cancelled', 'abandoned'];
const LOOKS = { done: 'good', failed: 'bad', cancelled: 'warn', abandoned: 'bad' };

function save(e) {
  const url = URL.createObjectURL(new Blob([`${JSON.stringify(e.receipt)}\n`], { type: 'application/json' }));
  h('a', { href: url, download: `erasure-${e.id}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function standing(e) {
  const c = e.counts;
  return [
    h('p', { class: 'verdict' }, h('span', { class: `badge ${LOOKS[e.state] ?? ''}`, id: 'erasure-state', data: { state: e.state } }, words(e.state)), ` Erasure ${e.id}, asked for by ${e.by}`, e.progress?.message ? `: ${e.progress.message}` : ''),
    facts([
      ['Asked for', when(e.requested)],
      ['Ended', e.ended ? when(e.ended) : null],
      ['Days searched', count(e.days)],
      ['Taken out of the archive', c && `${count(c.archive.batches)} batches of ${count(c.archive.samples)} samples, in ${count(c.archive.objects)} objects`],
      ['Taken out of the quarantine', c && `${count(c.quarantine.batches)} batches`],
    ]),
    e.receipt && h('button', { type: 'button', class: 'button', id: 'receipt', on: { click: () => save(e) } }, 'Save the receipt'),
  ].filter(Boolean);
}

export function erase(el, { signal, announce }) {
  if (!may('admin')) {
    el.remove();
    return;
  }
  const result = h('div', { id: 'erasure', class: 'card' });
  const field = (id, label) => [h('label', { for: id, class: 'visually-hidden' }, label), h('input', { type: 'text', id, maxlength: 128, autocomplete: 'off', spellcheck: 'false', required: true, placeholder: label })];
  const first = field('erase-id', 'Vehicle id');
  const again = field('erase-again', 'The same id once more');
  const button = h('button', { type: 'submit', class: 'button danger', disabled: true }, 'Erase for good');
  const id = () => first[1].value.trim();
  const check = () => { button.disabled = !id() || id() !== again[1].value.trim(); };

  async function follow(e) {
    while (!signal.aborted) {
      result.replaceChildren(...standing(e));
      if (ENDED.includes(e.state)) {
        announce(`Erasure ${e.id} is ${words(e.state)}.`);
        return;
      }
      await new Promise((done) => { setTimeout(done, EVERY_MS); });
      e = await get(`/v1/erasures/${encodeURIComponent(e.id)}`, { signal });
    }
  }

  el.append(h('h2', null, 'Erase a vehicle\'s data'),
    h('p', { class: 'muted small' }, 'Its batches in archive and quarantine, and its status. Sums over vehicles stay. What is erased can\'t be brought back.'),
    h('form', { class: 'row ask', on: { input: check, submit: async (e) => {
      e.preventDefault();
      const vehicle = id();
      first[1].value = '';
      again[1].value = '';
      check();
      result.replaceChildren(loading(2));
      try {
        await follow((await send('POST', '/v1/vehicles:erase', { vehicle_id: vehicle }, { signal })).erasure);
      } catch (err) {
        if (!signal.aborted) result.replaceChildren(trouble(err));
      }
    } } }, first, again, button),
    result);
}
