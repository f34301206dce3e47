// How many vehicles come through, and why requests of others are refused: /v1/vehicles/summary.

import { fill, h } from '../../core/dom.js';
import { count, duration, words } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { loading, trouble } from '../../core/states.js';

const MOST_REASONS = 4;

const tile = (name, value, note, key) => h('div', { class: 'tile' }, h('dt', null, name), h('dd', null, h('span', { data: { figure: key } }, value), note && h('p', { class: 'note' }, note)));

const reasons = (list) => (list.length ? list.slice(0, MOST_REASONS).map((r) => `${words(r.reason.replaceAll('-', '_'))} ${count(r.requests)}`).join(' · ') : 'none');

export function summary(el, { signal }) {
  el.append(loading(2));
  follow('/v1/vehicles/summary', 20_000, {
    data(s) {
      fill(el, JSON.stringify(s), () => h('dl', { class: 'tiles' },
        tile('Seen in the last hour', count(s.seen_last_hour), `${count(s.seen_last_day)} in the last day`, 'seen-hour'),
        tile('Known', count(s.known), `counted within ${s.standard_error_percent.toFixed(1)} %`, 'known'),
        tile('Silent', count(s.silent_longer), `for longer than ${duration(s.silence_s).join(' ')}`, 'silent'),
        tile('Requests refused, last hour', count(s.refused_requests_last_hour), reasons(s.refused_last_hour), 'refused-hour'),
        tile('Requests refused, last day', count(s.refused_requests_last_day), reasons(s.refused_last_day), 'refused-day')));
    },
    error(err) {
      if (el.dataset.key && !err.denied) return;
      delete el.dataset.key;
      el.replaceChildren(h('div', { class: 'panel' }, trouble(err)));
    },
  }, signal);
}
