// Quarantine: what could not be used, why, what is in it, and trying it again.

import { get, query, send } from '../../core/api.js';
import { card, facts } from '../../core/card.js';
import { fill, h, say } from '../../core/dom.js';
import { ago, bytes, count, plural, when } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { REASONS, reasonMeaning, reasonName } from './reasons.js';

const STATES = { open: 'Open', pending: 'Being tried', resolved: 'Resolved', any: 'All' };
const LOOKS = { open: 'warn', pending: 'info', resolved: 'good' };

const badge = (e) => h('span', { class: `badge ${LOOKS[e.state] ?? ''}`, data: { state: e.state } }, STATES[e.state] ?? e.state);

export async function mount(root, { params, setParams, signal, announce }) {
  const filter = { state: params.get('state') in STATES ? params.get('state') : 'open', reason: params.get('reason') in REASONS ? params.get('reason') : 'any' };
  let listing = new AbortController();
  let older = [];
  let list = null;
  let chosen = params.get('entry');
  const status = h('p', { role: 'status', class: 'muted' });
  const rows = h('div', { id: 'entries' }, loading(6));
  const more = h('div', { class: 'row' });
  const detail = h('section', { class: 'panel', id: 'entry', hidden: true });
  const again = h('button', { type: 'button', class: 'button', hidden: true, on: { click: redriveAll } });
  root.append(h('div', { class: 'page' },
    h('header', null, h('div', null, h('h1', null, 'Quarantine'), h('p', { class: 'lead' }, 'What workers could not use is kept here with its reason, and blocks nothing. It is part of the ledger: quarantined is not lost.'))),
    detail,
    h('section', { class: 'panel' },
      h('header', null, h('fieldset', { class: 'choice' }, h('legend', { class: 'visually-hidden' }, 'State'), Object.entries(STATES).map(([id, name]) => h('label', null,
        h('input', { type: 'radio', name: 'state', value: id, checked: id === filter.state, on: { change: () => narrow({ state: id }) } }), h('span', null, name)))),
      h('div', { class: 'row' }, h('select', { 'aria-label': 'Reason', on: { change: (e) => narrow({ reason: e.target.value }) } }, h('option', { value: 'any' }, 'Any reason'),
        Object.keys(REASONS).map((r) => h('option', { value: r, selected: r === filter.reason }, reasonName(r)))), again)),
      status, rows, more)));

  function narrow(change) {
    Object.assign(filter, change);
    setParams({ state: filter.state === 'open' ? null : filter.state, reason: filter.reason === 'any' ? null : filter.reason });
    begin();
  }

  const path = (cursor) => query('/v1/quarantine', { state: filter.state, reason: filter.reason, limit: 100, cursor });

  function drawList(doc) {
    const entries = [...doc.entries, ...older];
    again.hidden = filter.reason === 'any' || !entries.some((e) => e.state === 'open');
    again.textContent = `Redrive all: ${reasonName(filter.reason)}`;
    fill(rows, JSON.stringify(entries), () => (entries.length ? table([
      { label: 'Reason', value: (e) => [h('button', { type: 'button', class: 'link-button', data: { focus: `entry-${e.id}` }, on: { click: () => show(e.id) } }, reasonName(e.reason)), h('br'), h('small', { class: 'muted' }, e.detail)] },
      { label: 'State', value: badge },
      { label: 'What', value: (e) => (e.scope === 'envelope' ? 'Envelope' : 'Batch') },
      { label: 'Since', value: (e) => when(e.at) },
      { label: 'Batches', num: true, value: (e) => count(e.batches) }, { label: 'Samples', num: true, value: (e) => count(e.samples) }, { label: 'Size', num: true, value: (e) => bytes(e.bytes) },
      { label: 'Again', num: true, value: (e) => (e.state === 'open' ? h('button', { type: 'button', class: 'button', 'aria-label': `Redrive entry ${e.id}`, on: { click: () => redrive(e.id) } }, 'Redrive') : '') },
    ], entries, { caption: 'What is in quarantine, newest first', rowData: (e) => ({ entry: e.id }) })
      : empty(filter.state === 'open' ? 'Nothing is in quarantine' : 'Nothing here', filter.state === 'open' ? 'Everything that came in could be used.' : 'No entry is in this state.')));
    const cursor = older.cursor ?? doc.next_cursor;
    fill(more, cursor ?? '', () => (cursor ? h('button', { type: 'button', class: 'button', on: { click: () => loadOlder(cursor) } }, 'Older') : []));
  }

  async function loadOlder(cursor) {
    try {
      const page = await get(path(cursor), { signal: listing.signal });
      older = Object.assign([...older, ...page.entries], { cursor: page.next_cursor ?? '' });
      list.now();
    } catch (err) {
      if (!listing.signal.aborted) say(status, err.message);
    }
  }

  function begin() {
    listing.abort();
    listing = new AbortController();
    older = [];
    list = follow(path(), 4000, {
      data: drawList,
      error(err) {
        if (rows.dataset.key && !err.denied) return;
        delete rows.dataset.key;
        rows.replaceChildren(trouble(err, begin));
      },
    }, listing.signal);
  }
  signal.addEventListener('abort', () => listing.abort());

  async function ask(where, body, said) {
    try {
      const answer = await send('POST', where, body, { signal });
      const text = said(answer);
      say(status, text);
      announce(text);
      list.now();
      if (chosen) show(chosen, false);
    } catch (err) {
      if (!signal.aborted) say(status, err.message);
    }
  }
  const redrive = (id) => ask(`/v1/quarantine/${id}/redrive`, undefined, (a) => (a.requested ? `Entry ${id}: a worker tries it again within seconds.` : `Entry ${id} is ${a.state} already.`));
  function redriveAll() {
    ask('/v1/quarantine:redrive', { reason: filter.reason }, (a) => `${plural(a.requested, 'entry is', 'entries are')} tried again${a.more ? '; there are more, ask again' : ''}.`);
  }

  async function show(id, focus = true) {
    chosen = id;
    setParams({ entry: id });
    try {
      const e = await get(`/v1/quarantine/${id}`, { signal });
      detail.hidden = false;
      detail.replaceChildren(card(reasonName(e.reason), [badge(e), ` entry ${e.id} · ${reasonMeaning(e.reason)}`], () => {
        chosen = null;
        detail.hidden = true;
        setParams({ entry: null });
      }, facts([
        ['Since', [when(e.at), ` (${ago(e.at)})`]], ['Resolved', e.resolved_at ? when(e.resolved_at) : null],
        ['What', e.scope === 'envelope' ? `an envelope with ${plural(e.batches, 'batch', 'batches')}` : 'a batch of an envelope', 'scope'],
        ['Samples', count(e.samples), 'samples'], ['Size', bytes(e.bytes)],
        ['Envelope', e.receiver ? `number ${count(e.seq)} of receiver ${e.receiver.slice(0, 8)}` : 'unknown'], ['Kept as', h('code', null, e.object)],
      ]),
      e.detail ? [h('h3', null, 'The reason in detail'), h('pre', { class: 'block-code', tabindex: '0' }, e.detail)] : null,
      preview(e.preview),
      e.redrives.length ? [h('h3', null, 'Tried again'), h('ul', { class: 'lines' }, e.redrives.map((r) => h('li', null, when(r.requested_at), ': ',
        r.done_at ? r.resolved ? `${plural(r.archived, 'batch', 'batches')} archived, ${plural(r.duplicate, 'duplicate')}` : `stays: ${reasonName(r.reason)} ${r.detail}` : 'not done yet')))] : null,
      e.state === 'open' ? h('div', { class: 'row' }, h('button', { type: 'button', class: 'button primary', on: { click: () => redrive(e.id) } }, 'Redrive')) : null));
      if (focus) detail.querySelector('#card-title').focus();
    } catch (err) {
      if (signal.aborted) return;
      detail.hidden = false;
      detail.replaceChildren(trouble(err));
    }
  }

  /** What can be told of the content without saying whose it is. */
  function preview(p) {
    if (!p.available) return h('p', { class: 'muted' }, 'Its object is not there any more.');
    return [h('h3', null, 'What is in it'),
      p.error ? h('p', { class: 'bad' }, p.error) : null, p.hex ? h('pre', { class: 'block-code', tabindex: '0' }, p.hex) : null,
      p.records?.length ? table([
        { label: 'Batch', num: true, value: (r) => count(r.index) }, { label: 'Samples', num: true, value: (r) => (r.error ? '–' : count(r.samples)) }, { label: 'Events', num: true, value: (r) => (r.error ? '–' : count(r.events)) },
        { label: 'From', value: (r) => (r.from ? when(r.from) : r.error ?? '–') }, { label: 'To', value: (r) => (r.to ? when(r.to) : '–') },
        { label: 'Model', value: (r) => r.model ?? '–' }, { label: 'Software', value: (r) => r.software ?? '–' },
      ], p.records, { caption: 'Batches in the envelope' }) : null];
  }

  begin();
  if (chosen) show(chosen, false);
  document.addEventListener('keydown', (e) => { if (e.key === 'Escape' && chosen) detail.querySelector('.card-top button')?.click(); }, { signal });
  return {};
}
