// The pipeline's figures.

import { sparkline } from './charts.js';
import { count, duration, rate, short } from './format.js';

const $ = (id) => document.getElementById(id);

function set(name, value, unit = '') {
  const el = document.querySelector(`[data-figure="${name}"]`);
  const text = String(value) + unit;
  if (el.dataset.shown === text) return;
  el.dataset.shown = text;
  el.textContent = value;
  if (unit) {
    const small = document.createElement('small');
    small.textContent = unit;
    el.append(small);
  }
}

/** Elements for a list, made anew only when they changed. */
export function fill(list, key, items) {
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...items());
}

export function element(tag, className, text) {
  const el = document.createElement(tag);
  if (className) el.className = className;
  if (text !== undefined) el.textContent = text;
  return el;
}

export function startPanel() {
  let charts = null;
  const chart = (name, series, options) => sparkline(document.querySelector(`[data-chart="${name}"]`), series, options);
  return {
    /** Shows a document of /v1/pipeline. */
    pipeline(p) {
      $('figures').hidden = false;
      charts ??= { flow: chart('flow', 2), fresh: chart('fresh', 2), queue: chart('queue', 1, { least: 1 }) };
      const fresh = p.freshness.speeds;
      set('accepted', rate(p.accepted_batches_per_s));
      set('processed', rate(p.processed_batches_per_s));
      set('p50', ...(fresh ? duration(fresh.p50_s) : ['–']));
      set('p95', ...(fresh ? duration(fresh.p95_s) : ['–']));
      set('age', ...duration(p.queue.oldest_age_s));
      set('backlog', count(p.queue.visible + p.queue.in_flight));
      set('lag', duration(p.lag_s).join(' '));
      set('outbox', count(p.outbox_tiles));
      set('dead', count(p.queue.dead_letters));
      const t = Date.parse(p.at) / 1000;
      charts.flow.push(t, [p.accepted_batches_per_s, p.processed_batches_per_s]);
      charts.fresh.push(t, [fresh?.p50_s ?? null, fresh?.p95_s ?? null]);
      charts.queue.push(t, [p.queue.oldest_age_s]);
      fill($('workers'), JSON.stringify(p.workers.map((w) => [w.name, w.batches_per_s])), () => p.workers.map((w) => {
        const li = element('li');
        li.append(element('span', 'name', w.name), element('span', 'rate', `${rate(w.batches_per_s)} batches/s`));
        return li;
      }));
      $('workers-empty').hidden = p.workers.length > 0;
    },
    /** Shows a document of /v1/ledger. */
    ledger(l) {
      for (const name of ['accepted', 'archived', 'duplicate', 'quarantined', 'in_flight']) set(`ledger-${name}`, count(l.totals[name]));
      const ok = l.balanced && l.crosscheck.consistent;
      const text = l.totals.accepted === 0 ? 'Nothing accepted yet'
        : ok ? 'Balanced' : l.balanced ? 'Ledger and archive disagree' : 'Out of balance';
      $('balance').dataset.state = l.totals.accepted === 0 ? 'wait' : ok ? 'ok' : 'bad';
      $('balance').textContent = ok && l.totals.accepted ? `Balanced: ${short(l.totals.accepted_samples)} samples` : text;
      $('balance').dataset.balanced = String(ok);
    },
    redraw() {
      if (charts) for (const c of Object.values(charts)) c.redraw();
    },
  };
}
