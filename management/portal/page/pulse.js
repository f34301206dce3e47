// The line at the top: whether all is well, on every view. Each figure leads to the view that explains it.

import { may, onToken, token } from './core/api.js';
import { h, say } from './core/dom.js';
import { duration, rate, short, usd } from './core/format.js';
import { follow } from './core/live.js';

const STALE_S = 30;

/** Draws into el for as long as the page is open. */
export function startPulse(el) {
  const status = h('span', { id: 'status', role: 'status', data: { state: 'wait' } }, 'Connecting');
  const flow = h('b', { data: { figure: 'accepted' } }, '–');
  const fresh = h('b', { data: { figure: 'fresh' } }, '–');
  const lost = h('b', { id: 'balance' }, '–');
  const samples = h('span', { class: 'wide' });
  const cost = h('b', { data: { figure: 'cost' } }, '–');
  const price = h('a', { class: 'figure wide', href: '#/cost', title: 'What AWS would bill for what grows with use, in the last hour', hidden: true }, cost, ' a million samples');
  const figures = [
    h('a', { class: 'figure', href: '#/pipeline', title: 'Batches accepted a second' }, flow, ' batches/s'),
    h('a', { class: 'figure wide', href: '#/pipeline', title: 'From a car\'s measurement to the map, 95 of 100' }, fresh, ' to the map'),
    h('a', { class: 'figure', href: '#/pipeline', title: 'Accepted = archived + duplicates + quarantined + in flight, over 24 hours' }, lost, samples),
  ];
  el.replaceChildren(status, ...figures, price);
  let stop = null;

  const set = (state, text) => {
    status.dataset.state = state;
    say(status, text);
    el.dataset.state = state;
  };

  function pipeline(p) {
    if (!p.database.ok) set('away', 'Database away');
    else if (!p.queue.ok) set('away', 'Queue away');
    else if (p.queue.oldest_age_s > STALE_S || p.lag_s > STALE_S) set('late', 'Catching up');
    else set('live', 'Live');
    say(flow, rate(p.accepted_batches_per_s));
    say(fresh, p.freshness.speeds ? duration(p.freshness.speeds.p95_s).join(' ') : '–');
  }

  function ledger(l) {
    const ok = l.balanced && l.crosscheck.consistent;
    lost.dataset.state = l.totals.accepted === 0 ? 'wait' : ok ? 'ok' : 'bad';
    lost.dataset.balanced = String(ok);
    say(lost, l.totals.accepted === 0 ? 'Nothing accepted yet' : ok ? 'Nothing lost' : 'The ledger does not add up');
    say(samples, l.totals.accepted ? ` of ${short(l.totals.accepted_samples)} samples` : '');
  }

  function error(err) {
    if (err.denied) {
      stop?.abort();
      set('wait', 'No token');
      for (const f of figures) f.hidden = true;
    } else set('away', err.status === 0 ? 'Server away' : 'No figures');
  }

  function start() {
    stop?.abort();
    stop = new AbortController();
    for (const f of figures) f.hidden = !token();
    if (!token()) {
      price.hidden = true;
      set('wait', 'No token');
      return;
    }
    follow('/v1/pipeline', 2000, { data: pipeline, error }, stop.signal);
    follow('/v1/ledger', 6000, { data: ledger, error: () => {} }, stop.signal);
    price.hidden = true;
    if (!may('operator')) return;
    follow('/v1/cost?region=eu-central-1', 30_000, {
      data(c) {
        price.hidden = !c.last_hour.samples;
        say(cost, usd(c.last_hour.variable_usd_per_million_samples));
      },
      error: () => {},
    }, stop.signal);
  }
  onToken(start);
  start();
}
