// A webhook: its filter, what may be done with it, and the log of its deliveries.

import { get, may, query } from '../../core/api.js';
import { card, facts } from '../../core/card.js';
import { fill, h } from '../../core/dom.js';
import { NONE, ago, count, duration, percent, when, words } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { boxOf, kindsOf, stateOf } from './words.js';

const EVERY_MS = 3000;
const STATES = { any: 'All', pending: 'Waiting', delivered: 'Delivered', dead: 'Given up' };
const LOOKS = { pending: 'info', delivered: 'good', dead: 'bad' };

/** org.carasso.hazard.started as 'Started'. */
const eventName = (type) => words(type.split('.').at(-1));

const badge = (d) => h('span', { class: `badge ${d.state === 'pending' && d.error ? 'warn' : LOOKS[d.state] ?? ''}`, data: { delivery: d.state } }, d.state === 'pending' ? (d.attempt && d.error ? 'retrying' : 'waiting') : d.state === 'dead' ? 'given up' : 'delivered');

/** Of an attempt: its HTTP status, or that there was none. */
const answer = (d) => (d.status ? String(d.status) : d.time ? 'no answer' : NONE);

/**
 * Draws a webhook into el and follows its deliveries until signal aborts. Returns update(w), to be called with what the
 * list says of it.
 */
export function webhookCard(el, { id, actions, close, signal }) {
  let state = 'any';
  let held = new Map(); // deliveries by id, of all pages that were loaded
  let oldest = null; // where the page after them begins: '' is nowhere, null where the newest page says
  let turn = new AbortController();
  let now = null;
  const head = h('div', { class: 'head' }, loading(3));
  const rows = h('div', { id: 'deliveries' }, loading(4));
  const more = h('div', { class: 'row' });
  el.replaceChildren(head, h('header', null, h('h3', null, 'Deliveries'), h('fieldset', { class: 'choice' }, h('legend', { class: 'visually-hidden' }, 'State'),
    Object.entries(STATES).map(([s, name]) => h('label', null, h('input', { type: 'radio', name: 'delivery-state', value: s, checked: s === state, on: { change: () => { state = s; list(); } } }), h('span', null, name))))), rows, more);

  /** Buttons that change something; deleting asks once more. */
  function buttons(w) {
    const button = (label, f, kind = '', focus = label) => h('button', { type: 'button', class: `button ${kind}`, data: { focus }, on: { click: f } }, label);
    const row = h('div', { class: 'row' });
    const normal = () => row.replaceChildren(
      w.state === 'active' ? button('Pause', () => actions.state(w, 'paused'), '', 'state') : button('Resume', () => actions.state(w, 'active'), 'primary', 'state'),
      button('Send a test', async () => { if (await actions.test(w)) now.now(); }), button('New secret', () => ask('The present secret signs too for a day, then no more.', 'Make a new secret', () => actions.rotate(w))),
      button('Delete', () => ask('It is told nothing more, and its log is deleted with it.', 'Delete for good', () => actions.remove(w)), 'danger'));
    const ask = (text, label, f) => {
      row.replaceChildren(h('span', { role: 'status' }, text), button(label, () => { normal(); f(); }, 'danger'), button('Keep it as it is', () => { normal(); row.querySelector('button').focus(); }));
      row.querySelector('button').focus();
    };
    normal();
    return row;
  }

  function update(w) {
    if (head.querySelector('.danger[data-focus="Delete for good"], .danger[data-focus="Make a new secret"]')) return; // it is being asked
    fill(head, JSON.stringify(w), () => card(w.url, [stateOf(w), w.description ? ` ${w.description}` : ''], close, facts([
      ['Told of', kindsOf(w), 'kinds'], ['Area', boxOf(w)], ['Least probability', percent(w.min_probability)],
      ['Why it is not sent to', w.reason || null], ['Failing since', w.failing_since ? [when(w.failing_since), ` (${ago(w.failing_since)})`] : null],
      ['Waiting', count(w.pending), 'pending'], ['Last delivered', w.last_delivered ? when(w.last_delivered) : 'never'],
      ['Made', [when(w.created), ` by ${w.created_by}`]], ['Old secret signs until', w.old_secret_until ? when(w.old_secret_until) : null], ['Id', h('code', null, w.id)],
    ]), may('operator') ? buttons(w) : null));
  }

  const again = (d) => (!may('operator') || d.state === 'pending' ? '' : h('button', { type: 'button', class: 'button', 'aria-label': `Send again delivery ${d.id}`, data: { focus: `again-${d.id}` },
    on: { click: async () => { if (await actions.redeliver({ id }, d)) now.now(); } } }, 'Send again'));

  /** Puts the newest page in the place of what was known of its time. What lies before it stays, unless there is a gap. */
  function hold({ deliveries, next_cursor: next }) {
    const from = next ? Number(deliveries.at(-1).id) : 0;
    if (next && held.size && Math.max(...held.keys()) < from) {
      held.clear();
      oldest = null;
    }
    for (const id of held.keys()) if (id >= from) held.delete(id);
    for (const d of deliveries) held.set(Number(d.id), d);
  }

  function draw(doc) {
    hold(doc);
    const all = [...held.values()].sort((a, b) => b.id - a.id);
    fill(rows, JSON.stringify([all, state]), () => (all.length ? table([
      { label: 'Planned', value: (d) => when(d.created) }, { label: 'Event', value: (d) => h('span', { title: d.type }, eventName(d.type)) }, { label: 'Hazard', value: (d) => d.hazard ?? NONE },
      { label: 'State', value: badge }, { label: 'Attempts', num: true, value: (d) => count(d.attempt) }, { label: 'Answer', num: true, value: answer },
      { label: 'Took', num: true, value: (d) => (d.latency_ms === null ? NONE : duration(d.latency_ms / 1000).join(' ')) },
      { label: 'Last error', value: (d) => (d.last_error ? h('span', { class: d.error ? 'bad' : 'muted' }, d.last_error) : NONE) },
      { label: 'Tried', value: (d) => (d.time ? when(d.time) : NONE) }, { label: 'Next', value: (d) => (d.next ? when(d.next) : NONE) },
      { label: 'Again', num: true, value: again },
    ], all, { caption: 'Deliveries, newest first', rowData: (d) => ({ id: d.id }) })
      : empty(state === 'any' ? 'Nothing was sent yet' : 'None in this state', state === 'any' ? 'It is told when a hazard starts that it asks for. A test shows at once whether it can be reached.' : 'Delivered ones are kept for 7 days, others for 30.')));
    const cursor = oldest ?? doc.next_cursor;
    fill(more, cursor ?? '', () => (cursor ? h('button', { type: 'button', class: 'button', on: { click: () => loadOlder(cursor) } }, 'Older') : []));
  }

  const path = (cursor) => query(`/v1/webhooks/${encodeURIComponent(id)}/deliveries`, { state: state === 'any' ? null : state, limit: 20, cursor });

  async function loadOlder(cursor) {
    try {
      const page = await get(path(cursor), { signal: turn.signal });
      for (const d of page.deliveries) held.set(Number(d.id), d);
      oldest = page.next_cursor ?? '';
      delete more.dataset.key;
      now.now();
    } catch (err) {
      if (!turn.signal.aborted) more.replaceChildren(trouble(err));
    }
  }

  function list() {
    turn.abort();
    turn = new AbortController();
    held = new Map();
    oldest = null;
    delete more.dataset.key;
    now = follow(path(), EVERY_MS, {
      data: draw,
      error(err) {
        if (err.status === 404) head.replaceChildren(empty('There is no such webhook', 'It may have been deleted.'));
        if (rows.dataset.key && !err.denied && err.status !== 404) return;
        delete rows.dataset.key;
        rows.replaceChildren(err.status === 404 ? '' : trouble(err));
      },
    }, AbortSignal.any([turn.signal, signal]));
  }
  list();
  return update;
}
