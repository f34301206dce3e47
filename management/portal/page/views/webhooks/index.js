// Webhooks: which systems are told of hazards, and what came of every delivery.

import { may, send } from '../../core/api.js';
import { fill, h, say, stylesheet } from '../../core/dom.js';
import { NONE, count, when } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { webhookCard } from './detail.js';
import { webhookForm } from './form.js';
import { kindsOf, stateOf, termsOf } from './words.js';

const EVERY_MS = 4000;

export async function mount(root, { params, setParams, signal, announce }) {
  await stylesheet('/portal/css/webhooks.css');
  let chosen = params.get('webhook');
  let known = []; // as the list had them last
  let shown = null; // { id, stop, update }
  const status = h('p', { role: 'status', class: 'muted' });
  const make = h('button', { type: 'button', class: 'button primary', hidden: !may('operator'), 'aria-expanded': 'false', 'aria-controls': 'new-webhook', on: { click: () => open(making.hidden) } }, 'New webhook');
  const secret = h('section', { class: 'panel', id: 'secret', hidden: true, tabindex: '-1', 'aria-label': 'Secret' });
  const making = h('section', { class: 'panel', id: 'new-webhook', hidden: true, 'aria-label': 'New webhook' });
  const detail = h('section', { class: 'panel', id: 'webhook', hidden: true });
  const list = h('div', { id: 'webhooks' }, loading(4));
  root.append(h('div', { class: 'page' },
    h('header', null, h('div', null, h('h1', null, 'Webhooks'), h('p', { class: 'lead' }, 'Systems that are told of each hazard from its start to its end: as CloudEvents, signed, in order and at least once.'), status), make),
    secret, making, h('section', { class: 'panel' }, list), detail));

  function open(is) {
    making.hidden = !is;
    make.setAttribute('aria-expanded', String(is));
    if (!is) return;
    making.replaceChildren(webhookForm({ create, close: () => { open(false); make.focus(); } }));
    making.querySelector('input').focus();
  }

  /** Shows a secret: the only time that it is known. */
  function reveal(w) {
    const copied = h('span', { class: 'muted small', role: 'status' });
    secret.hidden = false;
    secret.replaceChildren(h('header', null, h('h2', null, 'Its secret, shown this once'), h('button', { type: 'button', class: 'button', on: { click: () => { secret.hidden = true; secret.replaceChildren(); } } }, 'I have kept it')),
      h('p', { class: 'muted' }, `Whoever receives at ${w.url} verifies signatures with it. It can't be shown again; a new one can be made.`),
      h('div', { class: 'row' }, h('code', { class: 'block-code', data: { secret: w.id } }, w.secret),
        h('button', { type: 'button', class: 'button', on: { click: () => copy(w.secret, copied) } }, 'Copy'), copied));
    secret.focus();
    secret.scrollIntoView({ block: 'nearest' });
  }

  async function copy(text, told) {
    try {
      await navigator.clipboard.writeText(text);
      say(told, 'Copied.');
    } catch {
      say(told, 'The browser does not let it be copied: mark it and copy it by hand.');
    }
  }

  /** Makes one; throws what the form has to show. */
  async function create(order) {
    const w = await send('POST', '/v1/webhooks', order, { signal });
    open(false);
    say(status, 'The webhook was made: it is told of what is there now, and of all that begins.');
    show(w.id, false);
    reveal(w);
    now.now();
  }

  async function act(method, path, body, done) {
    try {
      const answer = await send(method, path, body, { signal });
      const text = done(answer);
      say(status, text);
      announce(text);
      now.now();
      return answer;
    } catch (err) {
      if (!signal.aborted) say(status, err.message);
      return null;
    }
  }

  const actions = {
    state: (w, state) => act('PATCH', `/v1/webhooks/${w.id}`, { state }, () => (state === 'active' ? 'It is sent to again; what waited is due now.' : 'It is paused: what happens meanwhile waits.')),
    test: (w) => act('POST', `/v1/webhooks/${w.id}/test`, undefined, () => 'A test is on its way.'),
    async rotate(w) {
      const made = await act('POST', `/v1/webhooks/${w.id}/rotate-secret`, {}, () => 'It has a new secret; the one before signs too for a day.');
      if (made) reveal(made);
    },
    async remove(w) {
      if (await act('DELETE', `/v1/webhooks/${w.id}`, undefined, () => 'The webhook is deleted, with its log.')) close();
    },
    redeliver: (w, d) => act('POST', `/v1/webhooks/${w.id}/deliveries/${d.id}/redeliver`, undefined, () => `Delivery ${d.id} is due again.`),
  };

  function close() {
    shown?.stop.abort();
    shown = null;
    chosen = null;
    detail.hidden = true;
    detail.replaceChildren();
    setParams({ webhook: null });
    mark();
  }

  function show(id, focus = true) {
    shown?.stop.abort();
    chosen = id;
    setParams({ webhook: id });
    mark();
    const stop = new AbortController();
    detail.hidden = false;
    shown = { id, stop, update: webhookCard(detail, { id, actions, close, signal: AbortSignal.any([stop.signal, signal]) }) };
    const w = known.find((k) => k.id === id);
    if (w) shown.update(w);
    if (focus) detail.querySelector('#card-title')?.focus();
  }

  function mark() {
    for (const tr of list.querySelectorAll('tr[data-webhook]')) {
      if (tr.dataset.webhook === chosen) tr.setAttribute('aria-current', 'true');
      else tr.removeAttribute('aria-current');
    }
  }

  const pause = (w) => (!may('operator') ? '' : h('button', { type: 'button', class: 'button', data: { focus: `state-${w.id}` }, 'aria-label': `${w.state === 'active' ? 'Pause' : 'Resume'} ${w.url}`,
    on: { click: () => actions.state(w, w.state === 'active' ? 'paused' : 'active') } }, w.state === 'active' ? 'Pause' : 'Resume'));

  const now = follow('/v1/webhooks', EVERY_MS, {
    data(doc) {
      known = doc.webhooks;
      fill(list, JSON.stringify(known), () => (known.length ? table([
        { label: 'Sent to', value: (w) => h('div', { class: 'target' }, h('button', { type: 'button', class: 'link-button', data: { focus: w.id }, on: { click: () => show(w.id) } }, w.url), w.description ? h('small', { class: 'muted' }, w.description) : null) },
        { label: 'Told of', value: (w) => h('div', { class: 'target' }, kindsOf(w), h('small', { class: 'muted' }, termsOf(w))) },
        { label: 'State', value: (w) => h('div', { class: 'target' }, stateOf(w), w.reason ? h('small', { class: 'muted' }, w.reason) : null) },
        { label: 'Waiting', num: true, value: (w) => count(w.pending) }, { label: 'Last delivered', num: true, value: (w) => (w.last_delivered ? when(w.last_delivered) : NONE) },
        { label: 'Actions', num: true, value: pause },
      ], known, { caption: 'Webhooks, oldest first', rowData: (w) => ({ webhook: w.id }) })
        : empty('Nobody is told yet', may('operator') ? 'Make a webhook, and a road authority\'s system is told of each hazard as it starts, changes and ends.' : 'An operator can make a webhook, so that a road authority\'s system is told of each hazard.')));
      mark();
      const w = known.find((k) => k.id === chosen);
      if (w) shown?.update(w);
    },
    error(err) {
      if (list.dataset.key && !err.denied) return;
      delete list.dataset.key;
      list.replaceChildren(trouble(err));
    },
  }, signal);

  if (chosen) show(chosen, false);
  document.addEventListener('keydown', (e) => {
    if (e.key !== 'Escape') return;
    if (!making.hidden) open(false);
    else if (chosen) close();
  }, { signal });
  return {
    update(next) {
      const id = next.get('webhook');
      if (id === chosen) return;
      if (id) show(id, false);
      else close();
    },
  };
}

