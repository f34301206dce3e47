// How well sensors are, by model and software, and whether a new software is better: /v1/trends/sensor-health.

import { get, query } from '../../core/api.js';
import { h } from '../../core/dom.js';
import { NONE, count, words } from '../../core/format.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';

const PERIODS = { 24: 'Last 24 hours', 168: 'Last 7 days', 672: 'Last 28 days' };
const SHARES = [['sign_disagreement', 'Signs read wrong'], ['signs_missing', 'Signs not seen'], ['unmatched', 'Off the roads'], ['missing_speed', 'No speed'], ['missing_heading', 'No heading'], ['missing_temperature', 'No temperature']];
const WORSE = { higher: 'bad', lower: 'good' };

const percentOf = (v) => `${(100 * v).toFixed(v < 0.0995 ? 1 : 0)} %`;

/** A share with its 95 % interval on hover. */
const share = (s) => (s ? h('span', { title: `${percentOf(s.low)} to ${percentOf(s.high)} (95 %), ${count(s.cases)} of ${count(s.of)}` }, percentOf(s.share)) : NONE);

export function sensorHealth(el, { params, setParams, signal }) {
  const state = { hours: params.get('hours') in PERIODS ? params.get('hours') : '24', baseline: params.get('baseline') ?? '', candidate: params.get('candidate') ?? '' };
  let doc = null;
  let softwares = [];
  const body = h('div', { id: 'health' }, loading(5));
  const versus = h('div', { id: 'roll-out' });
  const select = (label, name, options, value) => h('label', { class: 'field inline' }, h('span', null, label), h('select', { name, on: { change: (e) => change({ [name]: e.target.value }) } },
    Object.entries(options).map(([v, text]) => h('option', { value: v, selected: v === value }, text))));
  const pickers = h('div', { class: 'row' });
  el.append(h('header', null, h('h2', null, 'Sensor health by model and software'), pickers), body, versus);

  function change(what) {
    Object.assign(state, what);
    setParams({ hours: state.hours === '24' ? null : state.hours, baseline: state.baseline, candidate: state.candidate });
    load();
  }

  function pick() {
    const versions = Object.fromEntries([['', '–'], ...softwares.map((s) => [s, s])]);
    pickers.replaceChildren(select('Period', 'hours', PERIODS, state.hours), select('Compare', 'baseline', versions, state.baseline), select('with', 'candidate', versions, state.candidate));
  }

  async function load() {
    const to = Math.ceil(Date.now() / 60_000) * 60_000;
    const both = state.baseline && state.candidate && state.baseline !== state.candidate;
    try {
      doc = await get(query('/v1/trends/sensor-health', { from: new Date(to - state.hours * 3_600_000).toISOString(), to: new Date(to).toISOString(), baseline: both ? state.baseline : null, candidate: both ? state.candidate : null }), { signal });
      softwares = [...new Set(doc.groups.map((g) => g.software).filter(Boolean))].sort();
      draw();
    } catch (err) {
      if (signal.aborted) return;
      versus.replaceChildren();
      body.replaceChildren(trouble(err, load));
    }
  }

  function draw() {
    pick();
    const shown = doc.groups.filter((g) => !g.suppressed);
    body.replaceChildren(shown.length ? table([
      { label: 'Model', value: (g) => g.model }, { label: 'Software', value: (g) => g.software },
      { label: 'Cars, least', num: true, value: (g) => count(g.vehicles_at_least) }, { label: 'km', num: true, value: (g) => count(g.km) },
      { label: 'GPS, m', num: true, value: (g) => (g.gps_accuracy_m === null ? NONE : g.gps_accuracy_m.toFixed(1)) },
      ...SHARES.map(([key, label]) => ({ label, num: true, value: (g) => share(g[key]) })),
      { label: 'ABS per 1,000 km', num: true, value: (g) => (g.per_1000_km ? count(g.per_1000_km.abs) : NONE) },
    ], shown, { caption: 'Sensor health', rowData: (g) => ({ kind: `${g.model} ${g.software}` }) })
      : empty('No kind of vehicle to show', doc.groups.length ? `All have fewer than ${doc.k} vehicles in this period.` : 'Nobody drove in this period.'));
    if (shown.length && doc.suppressed_count) body.append(h('p', { class: 'muted small' }, `${count(doc.suppressed_count)} kinds with fewer than ${doc.k} vehicles are withheld.`));
    const c = doc.comparison;
    versus.replaceChildren(...(c ? [h('h3', null, `${c.candidate} against ${c.baseline}`), table([
      { label: 'Measure', value: (m) => words(m.measure) }, { label: c.baseline, num: true, value: (m) => share(m.baseline) }, { label: c.candidate, num: true, value: (m) => share(m.candidate) },
      { label: 'Difference, 95 %', num: true, value: (m) => (m.difference === null || m.difference === undefined ? NONE : `${m.difference > 0 ? '+' : '−'}${percentOf(Math.abs(m.difference))} (${percentOf(m.low)} to ${percentOf(m.high)})`) },
      { label: 'Verdict', num: true, value: (m) => h('span', { class: `badge ${WORSE[m.verdict] ?? ''}` }, m.verdict === 'higher' ? 'worse' : m.verdict === 'lower' ? 'better' : words(m.verdict)) },
    ], c.measures, { caption: 'Comparison of two software versions' })] : []));
  }

  pick();
  load();
  return { redraw: () => doc && draw() };
}
