// Checks a receipt of an erasure: whether it is this deployment's and unchanged, and whose data it is about.

import { send } from '../../core/api.js';
import { h } from '../../core/dom.js';

const said = (good, text) => h('p', { class: 'row' }, h('span', { class: `badge ${good ? 'good' : 'bad'}`, data: { valid: String(good) } }, good ? 'Genuine' : 'Not genuine'), text);

/** A form that takes a receipt's file, and the id of the vehicle that it should be about. */
export function receiptCheck({ signal, announce }) {
  const file = h('input', { type: 'file', id: 'receipt-file', accept: 'application/json,.json', required: true });
  const vehicle = h('input', { type: 'text', id: 'receipt-vehicle', maxlength: 128, autocomplete: 'off', spellcheck: 'false' });
  const result = h('div', { id: 'receipt-verdict', role: 'status' });

  async function check() {
    const name = vehicle.value.trim();
    vehicle.value = '';
    let receipt = null;
    try {
      receipt = JSON.parse(await file.files[0].text());
    } catch {
      result.replaceChildren(said(false, 'The file is no receipt: it is not JSON.'));
      return;
    }
    try {
      const v = await send('POST', '/v1/erasures:verify', { receipt, ...(name && { vehicle_id: name }) }, { signal });
      result.replaceChildren(said(v.valid, v.why), v.vehicle === null ? '' : h('p', { data: { about: String(v.vehicle) } }, v.vehicle ? 'It is about this vehicle.' : 'It is about another vehicle.'));
      announce(result.textContent);
    } catch (err) {
      if (!signal.aborted) result.replaceChildren(said(false, err.message));
    }
  }

  return h('details', { id: 'check-receipt' }, h('summary', null, 'Check a receipt'),
    h('form', { class: 'row check-receipt', on: { submit: (e) => { e.preventDefault(); check(); } } },
      h('label', { class: 'field' }, h('span', null, 'Its file'), file), h('label', { class: 'field' }, h('span', null, 'Vehicle id (optional)'), vehicle), h('button', { type: 'submit', class: 'button' }, 'Check')),
    result);
}
