// The audit log: who changed what, when, and what came of it. For administrators.

import { get, query } from '../../core/api.js';
import { facts } from '../../core/card.js';
import { h, say, stylesheet } from '../../core/dom.js';
import { NONE, count, duration, moment, plural, when, words } from '../../core/format.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';

const PAGE = 50;
const PERIODS = { any: 'Any time', 1: 'Last hour', 24: 'Last 24 hours', 168: 'Last 7 days', 672: 'Last 28 days' };
const LOOKS = { done: 'good', refused: 'warn', failed: 'bad' };

/** What is known to be entered, for the list of suggestions; others can be typed. */
const ACTIONS = ['map_error.review', 'job.start', 'job.cancel', 'job.retry', 'quarantine.redrive', 'quarantine.redrive_all', 'vehicle.look_up', 'vehicle.erase', 'erasure.verify',
  'webhook.create', 'webhook.change', 'webhook.delete', 'webhook.rotate_secret', 'webhook.test', 'webhook.redeliver'];

const json = (v) => (v === null || v === undefined ? NONE : h('code', null, typeof v === 'string' ? v : JSON.stringify(v)));

/** What an entry says in few words: what was asked, or what changed. */
function brief(e) {
  const one = (v) => (v && typeof v === 'object' ? Object.entries(v).map(([k, x]) => `${words(k).toLowerCase()} ${typeof x === 'object' ? JSON.stringify(x) : x}`).join(', ') : '');
  const [before, after] = [one(e.before), one(e.after)];
  return before && after ? `${before} → ${after}` : after || one(e.asked);
}

export async function mount(root, { params, setParams, signal, announce }) {
  await stylesheet('/portal/css/audit.css');
  const state = { hours: params.get('hours') in PERIODS ? params.get('hours') : 'any', subject: params.get('subject') ?? '', action: params.get('action') ?? '', id: params.get('entry') };
  let entries = [];
  let next = null;
  let request = null;

  const list = h('div', { id: 'entries' }, loading(8));
  const more = h('button', { type: 'button', class: 'button', hidden: true, on: { click: () => load(true) } }, 'Older entries');
  const status = h('p', { class: 'muted small', role: 'status' });
  const detail = h('section', { class: 'panel', id: 'entry', hidden: true, 'aria-label': 'Entry', tabindex: '-1' });
  const text = (label, name, placeholder, listed) => h('label', { class: 'field' }, h('span', null, label), h('input', { type: 'text', name, value: state[name], placeholder, list: listed, autocomplete: 'off', spellcheck: 'false', maxlength: 128, on: { change: (e) => change({ [name]: e.target.value.trim() }) } }));
  const form = h('form', { class: 'row filters', role: 'search', 'aria-label': 'Filter the log', on: { submit: (e) => e.preventDefault() } },
    h('label', { class: 'field' }, h('span', null, 'Period'), h('select', { name: 'hours', on: { change: (e) => change({ hours: e.target.value }) } }, ['any', '1', '24', '168', '672'].map((v) => h('option', { value: v, selected: v === state.hours }, PERIODS[v])))),
    text('Who', 'subject', 'anybody'), text('Action', 'action', 'any', 'audit-actions'),
    h('datalist', { id: 'audit-actions' }, ACTIONS.map((a) => h('option', { value: a }))));
  root.append(h('div', { class: 'page' },
    h('header', null, h('div', null, h('h1', null, 'Audit'), h('p', { class: 'lead' }, 'Every change through the API, and every question about a vehicle: entered before it is done, never altered, and without naming a vehicle.'))),
    h('section', { class: 'panel' }, form, list, h('div', { class: 'row' }, more, status)), detail));

  function change(what) {
    Object.assign(state, what);
    setParams({ hours: state.hours === 'any' ? null : state.hours, subject: state.subject, action: state.action });
    load(false);
  }

  function open(e, focus) {
    state.id = e ? String(e.id) : null;
    setParams({ entry: state.id });
    detail.hidden = !e;
    for (const tr of list.querySelectorAll('tr[data-entry]')) tr.toggleAttribute('aria-current', tr.dataset.entry === state.id);
    if (!e) return;
    detail.replaceChildren(h('header', null, h('h2', null, `${e.action} by ${e.subject}`), h('button', { type: 'button', class: 'button', on: { click: () => open(null) } }, 'Close')),
      facts([
        ['When', when(e.at)], ['Who', `${e.subject}, ${e.role}`], ['What', e.action], ['Of what', e.target || NONE], ['Outcome', outcome(e)], ['Why', e.detail || null],
        ['Took', e.ended_at ? duration((Date.parse(e.ended_at) - Date.parse(e.at)) / 1000).join(' ') : null], ['Request', h('code', null, e.request_id)],
      ]),
      h('dl', { class: 'changes' }, [['Asked', e.asked], ['Before', e.before], ['After', e.after]].filter(([, v]) => v !== undefined && v !== null).map(([name, v]) => h('div', null, h('dt', null, name), h('dd', null, json(v))))));
    if (focus) detail.focus();
  }

  const outcome = (e) => h('span', { class: `badge ${LOOKS[e.outcome] ?? ''}`, data: { outcome: e.outcome } }, words(e.outcome));

  function draw() {
    list.replaceChildren(entries.length ? table([
      { label: 'When', value: (e) => h('button', { type: 'button', class: 'link-button', 'aria-label': `Entry of ${moment(e.at)}`, on: { click: () => open(e, true) } }, when(e.at)) },
      { label: 'Who', value: (e) => e.subject }, { label: 'Role', value: (e) => e.role }, { label: 'Action', value: (e) => h('code', null, e.action) }, { label: 'Of what', value: (e) => e.target || NONE },
      { label: 'What changed', value: (e) => h('span', { class: 'brief', title: brief(e) }, brief(e) || NONE) }, { label: 'Outcome', value: outcome },
    ], entries, { caption: 'The audit log, newest first', rowData: (e) => ({ entry: e.id }) })
      : empty('No entry', state.subject || state.action || state.hours !== 'any' ? 'Nothing was changed that fits this filter.' : 'Nobody changed anything yet. Starting a job, deciding on a map error, trying a quarantined batch again or asking about a vehicle is entered here.'));
    more.hidden = !next;
    say(status, entries.length ? `${plural(entries.length, 'entry', 'entries')}${next ? ', newest first' : ''}` : '');
  }

  async function load(older) {
    request?.abort();
    request = new AbortController();
    const turn = AbortSignal.any([request.signal, signal]);
    if (!older) list.replaceChildren(loading(8));
    try {
      const from = state.hours === 'any' ? null : Date.now() - Number(state.hours) * 3_600_000;
      const doc = await get(query('/v1/audit', { from, subject: state.subject, action: state.action, limit: PAGE, cursor: older ? next : null }), { signal: turn });
      entries = older ? [...entries, ...doc.entries] : doc.entries;
      next = doc.next_cursor ?? null;
      draw();
      if (older) announce(`${count(doc.entries.length)} older entries`);
      const wanted = entries.find((e) => String(e.id) === state.id);
      if (wanted) open(wanted);
    } catch (err) {
      if (turn.aborted) return;
      more.hidden = true;
      list.replaceChildren(trouble(err, () => load(false)));
    }
  }

  load(false);
  return { redraw: draw };
}
