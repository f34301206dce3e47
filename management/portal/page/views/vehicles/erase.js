// Erase a vehicle's data: a request that only administrators may make, confirmed by typing the id again; how it goes, and its
// receipt. Operators see what was erased, and check receipts.

import { get, may, send } from '../../core/api.js';
import { facts } from '../../core/card.js';
import { fill, h } from '../../core/dom.js';
import { count, plural, when, words } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { receiptCheck } from './receipt.js';

const EVERY_MS = 2000;
const LIST_MS = 10_000;
const MOST = 10;
const ENDED = ['done', 'failed', 'cancelled', 'abandoned'];
const LOOKS = { done: 'good', failed: 'bad', cancelled: 'warn', abandoned: 'bad' };

const badge = (e, id) => h('span', { class: `badge ${LOOKS[e.state] ?? 'info'}`, id, data: { state: e.state } }, words(e.state));

function save(e) {
  const url = URL.createObjectURL(new Blob([`${JSON.stringify(e.receipt)}\n`], { type: 'application/json' }));
  h('a', { href: url, download: `erasure-${e.id}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const taken = (c) => `${plural(c.batches, 'batch', 'batches')} of ${plural(c.samples, 'sample')}`;

function standing(e) {
  const c = e.counts;
  const kept = e.receipt?.receipt.kept ?? [];
  return [
    h('p', { class: 'verdict' }, badge(e, 'erasure-state'), ` Erasure ${e.id}, asked for by ${e.by}`, e.progress?.message ? `: ${e.progress.message}` : ''),
    facts([
      ['Asked for', when(e.requested)], ['Ended', e.ended ? when(e.ended) : null], ['Days searched', count(e.days), 'days'],
      ['Taken out of the archive', c && taken(c.archive), 'archive'], ['… in objects', c && count(c.archive.objects)], ['… and out of copies of it', c && c.copies.batches ? taken(c.copies) : null],
      ['Taken out of the quarantine', c && plural(c.quarantine.batches, 'batch', 'batches'), 'quarantine'],
      ['Its status', e.receipt ? words(e.receipt.receipt.status) : null],
    ]),
    kept.length ? h('details', null, h('summary', null, 'What is kept, and why'), h('ul', { class: 'lines' }, kept.map((k) => h('li', null, `${words(k.what)}: ${k.why}`)))) : null,
    e.receipt && h('details', { id: 'receipt-text' }, h('summary', null, 'The receipt, signed'), h('pre', { class: 'block-code', tabindex: '0' }, JSON.stringify(e.receipt, null, 2))),
    e.receipt && h('div', { class: 'row' }, h('button', { type: 'button', class: 'button', id: 'receipt', on: { click: () => save(e) } }, 'Save the receipt')),
  ].filter(Boolean);
}

export function erase(el, { signal, announce }) {
  if (!may('operator')) {
    el.remove();
    return;
  }
  const result = h('div', { id: 'erasure', class: 'card' });
  const before = h('div', { id: 'erasures' });
  const field = (id, label) => [h('label', { for: id, class: 'visually-hidden' }, label), h('input', { type: 'text', id, maxlength: 128, autocomplete: 'off', spellcheck: 'false', required: true, placeholder: label })];
  const first = field('erase-id', 'Vehicle id');
  const again = field('erase-again', 'The same id once more');
  const button = h('button', { type: 'submit', class: 'button danger', disabled: true }, 'Erase for good');
  const id = () => first[1].value.trim();
  const check = () => { button.disabled = !id() || id() !== again[1].value.trim(); };
  let turn = new AbortController();

  /** Shows an erasure until it has ended. */
  async function watch(e) {
    turn.abort();
    turn = new AbortController();
    const mine = AbortSignal.any([turn.signal, signal]);
    try {
      while (!mine.aborted) {
        fill(result, JSON.stringify(e), () => standing(e));
        if (ENDED.includes(e.state)) {
          announce(`Erasure ${e.id} is ${words(e.state)}.`);
          list.now();
          return;
        }
        await new Promise((done) => { setTimeout(done, EVERY_MS); });
        if (!mine.aborted) e = await get(`/v1/erasures/${encodeURIComponent(e.id)}`, { signal: mine });
      }
    } catch (err) {
      if (mine.aborted) return;
      delete result.dataset.key;
      result.replaceChildren(trouble(err));
    }
  }

  async function ask(vehicle) {
    delete result.dataset.key;
    result.replaceChildren(loading(2));
    try {
      const { erasure } = await send('POST', '/v1/vehicles:erase', { vehicle_id: vehicle }, { signal });
      list.now();
      await watch(erasure);
    } catch (err) {
      if (!signal.aborted) result.replaceChildren(trouble(err));
    }
  }

  el.append(h('h2', null, 'Erase a vehicle\'s data'),
    h('p', { class: 'muted small' }, 'Its batches in archive and quarantine, and its status. Sums over vehicles stay. What is erased can\'t be brought back; an administrator asks for it, and a signed receipt says what was done.'),
    may('admin') ? h('form', { class: 'row ask', on: { input: check, submit: (e) => {
      e.preventDefault();
      const vehicle = id();
      first[1].value = '';
      again[1].value = '';
      check();
      ask(vehicle);
    } } }, first, again, button) : '',
    result, before, receiptCheck({ signal, announce }));

  const list = follow(`/v1/erasures?limit=${MOST}`, LIST_MS, {
    data(doc) {
      fill(before, JSON.stringify(doc.erasures), () => (doc.erasures.length ? table([
        { label: 'Erasure', value: (e) => h('button', { type: 'button', class: 'link-button', data: { focus: `erasure-${e.id}` }, 'aria-label': `Erasure ${e.id}`, on: { click: () => watch(e) } }, e.id) },
        { label: 'State', value: (e) => badge(e) }, { label: 'Asked for', value: (e) => when(e.requested) }, { label: 'By', value: (e) => e.by },
        { label: 'Batches taken out', num: true, value: (e) => (e.counts ? count(e.counts.archive.batches + e.counts.quarantine.batches) : '–') },
      ], doc.erasures, { caption: 'Erasures, newest first', rowData: (e) => ({ erasure: e.id }) }) : h('p', { class: 'muted small' }, 'Nothing was erased yet.')));
    },
    error(err) {
      if (!before.dataset.key && !err.denied) before.replaceChildren(trouble(err));
    },
  }, signal);
}
