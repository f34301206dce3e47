// The ledger by hour: accepted = archived + duplicates + quarantined + in flight, with every gap named.

import { h } from '../../core/dom.js';
import { count, plural, short, time, when } from '../../core/format.js';
import { table } from '../../core/table.js';

const MOST_GAPS = 20;

const verdict = (ok, gaps) => h('span', { class: `badge ${ok ? gaps ? 'info' : 'good' : 'bad'}` }, ok ? gaps ? `adds up, ${gaps} on the way` : 'adds up' : 'does not add up');

/** The verdict over the day, in words. */
export function ledgerVerdict(l) {
  const t = l.totals;
  if (!t.accepted) return { state: 'wait', title: 'Nothing accepted yet', text: 'As soon as a car sends a batch, it is accounted for here.' };
  const onTheWay = t.in_flight ? `, ${count(t.in_flight)} still on the way` : '';
  if (l.balanced && l.crosscheck.consistent) {
    return { state: 'good', title: 'Nothing is lost', text: `Of ${count(t.accepted)} batches (${short(t.accepted_samples)} samples) that cars were told are accepted, every one is accounted for${onTheWay}.` };
  }
  return { state: 'bad', title: l.balanced ? 'Ledger and archive disagree' : 'The ledger does not add up', text: 'Gaps that are older than the queue can hold are lost; they are named below.' };
}

export function ledgerTable(l) {
  const rows = l.rows.toReversed();
  const gaps = rows.flatMap((r) => r.gaps.map((g) => ({ ...g, hour: r.hour })));
  return [
    table([
      { label: 'Hour', value: (r) => when(r.hour, (d) => `${time(d)}–${time(d.getTime() + 3_600_000)}`) },
      { label: 'Accepted', num: true, value: (r) => h('b', null, count(r.accepted)) },
      { label: 'Archived', num: true, value: (r) => count(r.archived) },
      { label: 'Duplicates', num: true, value: (r) => count(r.duplicate) },
      { label: 'Quarantined', num: true, value: (r) => count(r.quarantined) },
      { label: 'In flight', num: true, value: (r) => count(r.in_flight) },
      { label: 'Samples', num: true, value: (r) => short(r.accepted_samples) },
      { label: 'Verdict', num: true, value: (r) => verdict(r.balanced, r.gaps.length) },
    ], rows, { caption: 'The ledger by hour, in batches', rowData: (r) => ({ hour: r.hour }) }),
    gaps.length ? h('div', { class: 'gaps' }, h('h3', null, `Gaps (${count(gaps.length)})`), h('ul', null, gaps.slice(0, MOST_GAPS).map((g) => h('li', null,
      h('span', { class: `badge ${g.state === 'lost' ? 'bad' : 'info'}` }, g.state.replaceAll('_', ' ')), ' ', when(g.hour), ` · receiver ${g.receiver.slice(0, 8)} · envelopes ${count(g.from_seq)} to ${count(g.to_seq)} · ${plural(g.batches, 'batch', 'batches')}, ${plural(g.samples, 'sample')}`)))) : null,
  ].filter(Boolean);
}
