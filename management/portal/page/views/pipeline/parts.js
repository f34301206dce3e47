// The parts of the pipeline and the flows between them, and what each has to say of a document of
// /v1/pipeline.

import { NONE, count, duration, plural, rate, short } from '../../core/format.js';

const LATE_S = 5;
const STUCK_S = 30;
const SLOW_MS = 250;

export const BOXES = [
  { id: 'cars', name: 'Cars' }, { id: 'receiver', name: 'Receiver' }, { id: 'queue', name: 'Queue' }, { id: 'worker', name: 'Workers' },
  { id: 'database', name: 'PostgreSQL' }, { id: 'objects', name: 'Object store' }, { id: 'live', name: 'Live store' },
  { id: 'tiles', name: 'Tiles, deltas' }, { id: 'management', name: 'Management' }, { id: 'dead', name: 'Dead letters' }, { id: 'quarantine', name: 'Quarantine' },
];

export const FLOWS = [
  { id: 'post', from: 'cars', to: 'receiver' }, { id: 'send', from: 'receiver', to: 'queue' }, { id: 'poll', from: 'queue', to: 'worker' },
  { id: 'claim', from: 'worker', to: 'database' }, { id: 'archive', from: 'worker', to: 'objects' }, { id: 'publish', from: 'worker', to: 'live', tallFrom: 'objects' },
  { id: 'query', from: 'database', to: 'management' }, { id: 'point', from: 'live', to: 'tiles' }, { id: 'objects', from: 'objects', to: 'tiles', wideOnly: true },
  { id: 'bury', from: 'queue', to: 'dead', kind: 'fault' }, { id: 'reject', from: 'worker', to: 'quarantine', kind: 'fault' },
];

const text = (s) => duration(s).join(' ');
const good = (value, detail, verdict = 'ok') => ({ value, detail, state: 'good', verdict });
const judged = (bad, warn, value, detail, why) => ({ value, detail, state: bad ? 'bad' : warn ? 'warn' : 'good', verdict: bad || warn ? why : 'ok' });

/** What the drawing shows: by box { value, detail, state, verdict }, by flow { perSecond, label }, and a sentence. */
export function figuresOf(p) {
  const waiting = p.queue.visible + p.queue.in_flight;
  const per = (n) => `${rate(n)}/s`;
  const speeds = p.freshness.speeds;
  const wish = p.scaling?.desired_workers;
  const workers = p.workers.length;
  const boxes = {
    cars: good(`${rate(p.samples_per_s_60s)}/s`, 'samples, last minute'),
    receiver: good(`${rate(p.accepted_batches_per_s)}/s`, 'batches acknowledged'),
    queue: p.queue.ok
      ? judged(p.queue.oldest_age_s > STUCK_S, p.queue.oldest_age_s > LATE_S, `${short(waiting)} waiting`, `oldest ${text(p.queue.oldest_age_s)}`, 'old messages')
      : { value: NONE, detail: 'out of reach', state: 'bad', verdict: 'away' },
    worker: judged(waiting > 0 && !workers, wish !== undefined && wish > workers, `${rate(p.processed_batches_per_s)}/s`, wish !== undefined && wish !== workers ? `${plural(workers, 'worker')}, ${wish} wished for` : `${plural(workers, 'worker')}, ${text(p.lag_s)} behind`, workers ? 'more are wished for' : 'nobody works'),
    database: p.database.ok ? judged(false, p.database.latency_ms > SLOW_MS, `${Math.round(p.database.latency_ms)} ms`, 'ledger, aggregates', 'slow') : { value: NONE, detail: 'out of reach', state: 'bad', verdict: 'away' },
    objects: good(short(p.totals.archived_samples), 'samples archived'),
    live: judged(false, p.outbox_tiles > 5000, `${short(p.outbox_tiles)} tiles`, 'waiting to be published', 'behind'),
    tiles: speeds ? judged(speeds.p95_s > 60, speeds.p95_s > 20, text(speeds.p95_s), 'for 95 of 100 speeds', 'not fresh') : good(NONE, 'nothing published'),
    management: good('API, portal', 'people look here'),
    dead: judged(p.queue.dead_letters > 0, false, count(p.queue.dead_letters), 'envelopes given up', 'look at them'),
    quarantine: judged(false, p.totals.quarantined > 0, count(p.totals.quarantined), 'batches kept aside', 'look at them'),
  };
  const accepted = p.accepted_batches_per_s;
  const processed = p.processed_batches_per_s;
  const flows = {
    post: { perSecond: accepted, label: per(accepted) }, send: { perSecond: accepted }, poll: { perSecond: processed, label: per(processed) },
    claim: { perSecond: processed }, archive: { perSecond: processed }, publish: { perSecond: speeds?.tiles ? processed : 0 },
    query: { perSecond: 0.5 }, point: { perSecond: speeds?.tiles ? processed : 0 }, objects: { perSecond: speeds?.tiles ? processed : 0 },
    bury: { perSecond: 0 }, reject: { perSecond: 0 },
  };
  const troubles = BOXES.filter((b) => boxes[b.id].state !== 'good').map((b) => `${b.name}: ${boxes[b.id].verdict}`);
  return {
    boxes, flows,
    summary: `Cars to receiver to queue to workers to stores to tiles. ${per(accepted)} batches come in, ${per(processed)} are processed, ${plural(waiting, 'envelope')} wait. ${troubles.length ? troubles.join('; ') : 'All parts are well.'}`,
  };
}
