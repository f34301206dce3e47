// Why is this car silent? The id goes into the body of a POST: it is in no address and no log.

import { send } from '../../core/api.js';
import { facts } from '../../core/card.js';
import { h } from '../../core/dom.js';
import { ago, count, duration, when, words } from '../../core/format.js';
import { loading, trouble } from '../../core/states.js';

const LOOKS = { sending: 'good', sending_with_trouble: 'warn', rejected: 'bad', credential_expired: 'bad', rate_limited: 'warn', silent: 'warn', unknown: '' };

const since = (t) => [when(t), ` (${ago(t)})`];

function answer(v) {
  return [
    h('p', { class: 'verdict' }, h('span', { class: `badge ${LOOKS[v.reason] ?? ''}`, id: 'vehicle-reason', data: { reason: v.reason } }, words(v.reason)), ' ', h('span', { id: 'vehicle-verdict' }, v.verdict)),
    v.known ? facts([
      ['Credential', v.credential && `${v.credential.kind}${v.credential.expired_since ? ', expired' : ''}`],
      ['Expired since', v.credential?.expired_since ? since(v.credential.expired_since) : null],
      ['Last accepted', v.last_accepted ? since(v.last_accepted.at) : 'never'],
      ['Age of its samples on arrival', v.last_accepted ? `${v.last_accepted.median_age_s < 0 ? 'ahead by ' : ''}${duration(Math.abs(v.last_accepted.median_age_s)).join(' ')}` : null],
      ['Last refused', v.last_rejected ? since(v.last_rejected.at) : 'never'],
      ['Why', v.last_rejected && [words(v.last_rejected.reason.replaceAll('-', '_')), v.last_rejected.pointer && [' at ', h('code', null, v.last_rejected.pointer)], v.last_rejected.expected && `: expected ${v.last_rejected.expected}`]],
      ['Refused since then', v.last_rejected && `${count(v.last_rejected.count)} requests`],
      ['Too often', v.rate_limited && [`${count(v.rate_limited.count)} requests, last `, ...since(v.rate_limited.at)]],
      ['Model, software', v.model ? `${v.model}, ${v.software}` : null],
    ]) : null,
  ];
}

export function silentCar(el, { signal, announce }) {
  const result = h('div', { id: 'vehicle', class: 'card' });
  const input = h('input', { type: 'text', id: 'vehicle-id', maxlength: 128, autocomplete: 'off', spellcheck: 'false', required: true });
  el.append(h('h2', null, 'Why is this car silent?'),
    h('form', { class: 'row ask', on: { submit: async (e) => {
      e.preventDefault();
      result.replaceChildren(loading(3));
      try {
        const v = await send('POST', '/v1/vehicles:status', { vehicle_id: input.value.trim() }, { signal });
        result.replaceChildren(...answer(v).flat().filter(Boolean));
        announce(v.verdict);
      } catch (err) {
        if (!signal.aborted) result.replaceChildren(trouble(err));
      }
    } } }, h('label', { for: 'vehicle-id', class: 'visually-hidden' }, 'Vehicle id'), input, h('button', { type: 'submit', class: 'button primary' }, 'Ask')),
    result);
  input.placeholder = 'Vehicle id, for instance WBA-4711';
}
