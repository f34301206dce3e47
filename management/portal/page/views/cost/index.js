// Cost: what the pipeline would be billed on AWS for what it counted, live: /v1/cost.

import { h, fill, stylesheet } from '../../core/dom.js';
import { bytes, count, percent, short, usd, when } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';

const REGIONS = { 'eu-central-1': 'Frankfurt', 'us-east-1': 'N. Virginia' };
const SPANS = { last_hour: 'Last hour', last_day: 'Last 24 hours' };

const tile = (name, value, note, key) => h('div', { class: 'tile' }, h('dt', null, name), h('dd', null, h('span', { data: { figure: key } }, value), h('p', { class: 'note' }, note)));

export async function mount(root, { params, setParams, signal }) {
  await stylesheet('/portal/css/cost.css');
  const state = { region: params.get('region') in REGIONS ? params.get('region') : 'eu-central-1', span: params.get('span') in SPANS ? params.get('span') : 'last_hour' };
  let doc = null;
  let following = new AbortController();
  const body = h('div', { class: 'bill' }, loading(6));
  const choice = (name, options, change) => h('fieldset', { class: 'choice' }, h('legend', { class: 'visually-hidden' }, name), Object.entries(options).map(([id, label]) => h('label', null,
    h('input', { type: 'radio', name, value: id, checked: state[name] === id, on: { change: () => change(id) } }), h('span', null, label))));
  root.append(h('div', { class: 'page' },
    h('header', null, h('div', null, h('h1', null, 'Cost'), h('p', { class: 'lead' }, 'What AWS would bill for what was counted here, at list prices: an estimate, without free tiers, discounts and taxes.')),
      h('div', { class: 'row' }, choice('span', SPANS, (span) => { state.span = span; keep(); draw(); }), choice('region', REGIONS, (region) => { state.region = region; keep(); begin(); }))),
    body));

  const keep = () => setParams({ region: state.region === 'eu-central-1' ? null : state.region, span: state.span === 'last_hour' ? null : state.span });

  function draw() {
    if (!doc) return;
    const b = doc[state.span];
    fill(body, JSON.stringify([state.span, b, doc.region]), () => {
      if (!b.samples) return empty('Nothing was counted in this time', 'As soon as cars send, what they cost is here.');
      const lines = b.lines.toSorted((x, y) => y.usd - x.usd);
      const most = Math.max(...lines.map((l) => l.usd), 1e-9);
      return [
        h('dl', { class: 'tiles' },
          tile('Per million samples', usd(b.variable_usd_per_million_samples), `of what grows with use; ${usd(b.usd_per_million_samples)} with what always runs`, 'per-million'),
          tile('Per 1,000 km', usd(b.variable_usd_per_1000_km), `${usd(b.usd_per_1000_km)} with what always runs${b.km_assumed ? '; km as at 50 km/h' : ''}`, 'per-km'),
          tile('In this time', usd(b.usd), `${short(b.samples)} samples, ${count(b.km)} km, ${usd(b.variable_usd)} of it grows with use`, 'total'),
          tile('Archived', bytes(b.archived_bytes), `${(b.archived_bytes / b.samples).toFixed(1)} B a sample; kept ${doc.assumptions.retention_months} months, charged at once`, 'archived')),
        h('section', { class: 'panel' }, h('header', null, h('h2', null, 'What it is made of'), h('p', { class: 'muted small' }, when(b.from), ' to ', when(b.to))),
          table([
            { label: 'Service', value: (l) => l.service }, { label: 'What', value: (l) => [l.item, l.fixed ? [' ', h('span', { class: 'badge' }, 'always runs')] : ''] },
            { label: 'Units', num: true, value: (l) => `${l.units >= 100 || l.units === 0 ? count(l.units) : l.units.toPrecision(3)} ${l.unit}` },
            { label: 'US dollars', num: true, value: (l) => usd(l.usd) },
            { label: 'Share', value: (l) => h('div', { class: 'bar share', role: 'img', 'aria-label': percent(l.usd / (b.usd || 1)) }, h('i', { style: { width: `${(100 * l.usd) / most}%` } })) },
          ], lines, { caption: 'What the cost is made of', rowData: (l) => ({ line: `${l.service} ${l.item}` }) })),
        h('p', { class: 'muted small' }, `Prices of ${doc.prices_as_of} for ${REGIONS[doc.region] ?? doc.region}. ${doc.price_source} Assumed: rented processors are ${percent(doc.assumptions.utilisation)} busy, ${doc.assumptions.gb_per_vcpu} GB with each; PostgreSQL on ${doc.assumptions.rds_instance} with ${doc.assumptions.rds_gb} GB. In one process, simulated cars are in the processor's time.`),
      ];
    });
  }

  function begin() {
    following.abort();
    following = new AbortController();
    follow(`/v1/cost?region=${state.region}`, 10_000, {
      data(d) {
        doc = d;
        draw();
      },
      error(err) {
        if (doc && !err.denied) return;
        delete body.dataset.key;
        body.replaceChildren(h('div', { class: 'panel' }, trouble(err)));
      },
    }, following.signal);
  }
  signal.addEventListener('abort', () => following.abort());
  begin();
  return {};
}
