// The pipeline: the architecture drawn live, what each part carries, and the ledger that proves that
// nothing is lost.

import { ready, sparkline } from '../../core/charts.js';
import { fill, h, say, stylesheet } from '../../core/dom.js';
import { NONE, ago, count, duration, rate, when } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { drawing } from './drawing.js';
import { ledgerTable, ledgerVerdict } from './ledger.js';
import { figuresOf } from './parts.js';

const LAYERS = [['hazards', 'Hazards'], ['speeds', 'Speeds'], ['limits', 'Limits'], ['errors', 'Map errors'], ['roads', 'Roads']];

/** How many workers there are beside how many autoscaling would have, and why. */
function autoscaling(a) {
  const more = a.desired_workers - a.workers;
  return [
    h('dl', { class: 'equation' }, [['Workers', count(a.workers), 'workers'], ['Autoscaling wishes', count(a.desired_workers), 'desired-workers'], ['Backlog of each', `${rate(a.backlog_per_worker)} of ${rate(a.allowed_backlog_per_worker)}`, null]]
      .map(([name, value, figure]) => h('div', null, h('dt', null, name), h('dd', figure && { data: { figure } }, value)))),
    h('p', { class: 'muted small' }, more > 0 ? h('span', { class: 'badge warn' }, `${more} more wished for`) : h('span', { class: 'badge good' }, 'enough'),
      ` A backlog is to be worked off within ${text(a.latency_target_s)}; one worker does ${rate(a.envelopes_per_s_per_worker)} envelopes a second${a.capacity_assumed ? ' (assumed, until measured)' : ''}.`),
  ];
}

const text = (v) => duration(v).join(' ');

export async function mount(root, { signal }) {
  await Promise.all([ready(), stylesheet('/portal/css/pipeline.css')]);
  const stage = h('section', { class: 'panel', 'aria-label': 'Architecture' }, loading(6));
  const flow = h('div', { class: 'chart small', 'aria-hidden': 'true' });
  const age = h('div', { class: 'chart small', 'aria-hidden': 'true' });
  const figure = () => h('b', null, NONE);
  const [accepted, processed, oldest] = [figure(), figure(), figure()];
  const freshness = h('div', null, loading(3));
  const workers = h('div', null, loading(2));
  const scaling = h('div', { class: 'scaling', hidden: true });
  const verdict = h('div', { class: 'verdict', role: 'status' }, loading(1));
  const ledger = h('div', null, loading(5));
  root.append(h('div', { class: 'page' },
    h('header', null, h('div', null, h('h1', null, 'Pipeline'), h('p', { class: 'lead' }, 'From the car to the map, as it flows now. Nothing that a car was told is accepted may be lost: the ledger below proves it.'))),
    stage,
    h('div', { class: 'pair' },
      h('section', { class: 'panel' }, h('header', null, h('h2', null, 'Batches per second'), h('p', { class: 'key' }, h('span', null, h('i'), 'accepted ', accepted), h('span', null, h('i', { class: 'two' }), 'processed ', processed))), flow),
      h('section', { class: 'panel' }, h('header', null, h('h2', null, 'Age of the queue'), h('p', { class: 'key' }, h('span', null, h('i'), 'oldest ', oldest))), age)),
    h('section', { class: 'panel' }, h('header', null, h('h2', null, 'Ledger, last 24 hours'), h('a', { href: '#/quarantine' }, 'Quarantine')), verdict, ledger),
    h('div', { class: 'pair' },
      h('section', { class: 'panel' }, h('h2', null, 'From event to map, by layer'), freshness),
      h('section', { class: 'panel' }, h('h2', null, 'Workers'), scaling, workers))));

  let picture = null;
  let charts = null;

  follow('/v1/pipeline', 2000, {
    data(p) {
      if (!picture) {
        picture = drawing(stage);
        signal.addEventListener('abort', picture.stop);
        charts = { flow: sparkline(flow, 2, { least: 1 }), age: sparkline(age, 1, { least: 1 }) };
        signal.addEventListener('abort', () => Object.values(charts).forEach((c) => c.destroy()));
      }
      picture.update(figuresOf(p));
      const t = Date.parse(p.at) / 1000;
      charts.flow.push(t, [p.accepted_batches_per_s, p.processed_batches_per_s]);
      charts.age.push(t, [p.queue.oldest_age_s]);
      say(accepted, rate(p.accepted_batches_per_s));
      say(processed, rate(p.processed_batches_per_s));
      say(oldest, text(p.queue.oldest_age_s));
      const known = LAYERS.filter(([id]) => p.freshness[id]);
      fill(freshness, JSON.stringify(p.freshness), () => (known.length ? table([
        { label: 'Layer', value: ([, name]) => name },
        { label: 'Median', num: true, value: ([id]) => text(p.freshness[id].event_p50_s) },
        { label: '95 of 100', num: true, value: ([id]) => text(p.freshness[id].event_p95_s) },
        { label: 'since accepted', num: true, value: ([id]) => text(p.freshness[id].p95_s) },
        { label: 'Tiles', num: true, value: ([id]) => count(p.freshness[id].tiles) },
      ], known, { caption: 'How long from the event to the map' }) : empty('Nothing was published lately')));
      scaling.hidden = !p.scaling;
      if (p.scaling) fill(scaling, JSON.stringify(p.scaling), () => autoscaling(p.scaling));
      fill(workers, JSON.stringify(p.workers), () => (p.workers.length ? table([
        { label: 'Name', value: (w) => w.name }, { label: 'Batches/s', num: true, value: (w) => rate(w.batches_per_s) }, { label: 'Samples/s', num: true, value: (w) => rate(w.samples_per_s) },
        { label: 'Flushes', num: true, value: (w) => count(w.flushes) }, { label: 'Committed', num: true, value: (w) => when(w.last_committed_at, (d) => ago(d)) },
      ], p.workers, { caption: 'Workers' }) : empty('No worker committed in the last minute', 'Batches wait in the queue meanwhile; none is lost.')));
    },
    error(err) {
      if (!picture || err.denied) stage.replaceChildren(trouble(err));
      if (err.denied) picture = null;
    },
  }, signal);

  follow('/v1/ledger', 6000, {
    data(l) {
      const v = ledgerVerdict(l);
      fill(verdict, JSON.stringify([v, l.totals]), () => [h('p', { class: `headline ${v.state}`, id: 'verdict', data: { balanced: String(l.balanced) } }, v.title), h('p', { class: 'muted' }, v.text),
        h('dl', { class: 'equation' }, [['accepted', 'Accepted', ''], ['archived', 'Archived', '='], ['duplicate', 'Duplicates', '+'], ['quarantined', 'Quarantined', '+'], ['in_flight', 'In flight', '+']]
          .map(([key, name, sign]) => h('div', null, sign && h('span', { class: 'operator', 'aria-hidden': 'true' }, sign), h('dt', null, name), h('dd', { data: { figure: `ledger-${key}` } }, count(l.totals[key])))))]);
      fill(ledger, JSON.stringify(l.rows), () => (l.rows.length ? ledgerTable(l) : empty('No hour to account for yet')));
    },
    error(err) {
      if (ledger.dataset.key && !err.denied) return;
      verdict.replaceChildren();
      ledger.replaceChildren(err.denied ? '' : trouble(err));
    },
  }, signal);

  return { redraw: () => charts && Object.values(charts).forEach((c) => c.redraw()) };
}
