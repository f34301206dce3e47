// Trends: a measure, an area, a period and what it is grouped by; as a chart, a table, a file and an address.

import { get, token } from '../../core/api.js';
import { ready } from '../../core/charts.js';
import { h, say, stylesheet } from '../../core/dom.js';
import { count, when } from '../../core/format.js';
import { icon } from '../../core/icons.js';
import { empty, loading, signIn, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { boxField, boxOf } from './box.js';
import { draw } from './chart.js';
import { COMPARISONS, PERIODS, STEPS, rangeOf, stepOf } from './period.js';
import { speeds } from './speeds.js';

const MEASURES = { speeds };
const MOST_ROWS = 200;

const local = (t) => (t ? new Date(Date.parse(t) - new Date(t).getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : '');

const choice = (label, name, options, value, change) => h('label', { class: 'field' }, h('span', null, label),
  h('select', { name, on: { change: (e) => change(e.target.value) } }, Object.entries(options).map(([v, text]) => h('option', { value: v, selected: v === value }, text))));

/** A table's text, quoted as RFC 4180 says. */
const csv = (columns, rows) => [columns.map((c) => c.label), ...rows.map((r) => columns.map((c) => {
  const v = c.value(r);
  return v instanceof Element ? v.getAttribute('datetime') ?? v.textContent : String(v ?? '').replace('–', '').replace('−', '-');
}))].map((line) => line.map((v) => (/[",\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v)).join(',')).join('\r\n');

export async function mount(root, { params, setParams, signal, announce }) {
  await Promise.all([ready(), stylesheet('/portal/css/trends.css')]);
  const state = {
    measure: params.get('measure') in MEASURES ? params.get('measure') : 'speeds', value: params.get('value') ?? 'mean_kmh', bbox: boxOf(params.get('bbox')) ? params.get('bbox') : '',
    period: params.get('period') in PERIODS ? params.get('period') : 'day', from: params.get('from'), to: params.get('to'), step: params.get('step') in STEPS ? params.get('step') : '',
    along: params.get('along') ?? 'time', split: params.get('split') ?? 'none', compare: params.get('compare') in COMPARISONS ? params.get('compare') : 'none',
  };
  const measure = () => MEASURES[state.measure];
  if (!(state.along in measure().along)) state.along = 'time';
  if (!(state.split in measure().split)) state.split = 'none';
  if (!(state.value in measure().values)) state.value = Object.keys(measure().values)[0];

  let request = null;
  let chart = null;
  let doc = null;
  let area = null;

  const form = h('form', { class: 'panel controls', 'aria-label': 'What to show', on: { submit: (e) => e.preventDefault() } });
  const mapBox = h('div', { class: 'area-map' });
  const plot = h('div', { class: 'chart' });
  const figure = h('figure', { class: 'trend' });
  const result = h('section', { class: 'panel', 'aria-label': 'Result', 'aria-live': 'off' });
  const status = h('p', { class: 'muted small', role: 'status' });
  root.append(h('div', { class: 'page wide' },
    h('header', null, h('div', null, h('h1', null, 'Trends'), h('p', { class: 'lead' }, 'How fast the fleet drives, where and when. Nothing that fewer than three cars stand behind is shown.'))),
    h('div', { class: 'split' }, form, result)));

  function change(what) {
    Object.assign(state, what);
    setParams({
      value: state.value === 'mean_kmh' ? null : state.value, bbox: state.bbox, period: state.period === 'day' ? null : state.period,
      from: state.period === 'custom' ? state.from : null, to: state.period === 'custom' ? state.to : null, step: state.step, along: state.along === 'time' ? null : state.along,
      split: state.split === 'none' ? null : state.split, compare: state.compare === 'none' ? null : state.compare,
    });
    controls();
    load();
  }

  function controls() {
    const m = measure();
    const focused = document.activeElement?.name;
    const { from, to } = rangeOf(state);
    form.replaceChildren(
      choice('Measure', 'value', m.values, state.value, (value) => change({ value })),
      choice('Period', 'period', Object.fromEntries(Object.entries(PERIODS).map(([k, p]) => [k, p.label])), state.period, (period) => change({ period, step: '', from: new Date(from).toISOString(), to: new Date(to).toISOString() })),
      ...(state.period === 'custom' ? [['From', 'from'], ['To', 'to']].map(([label, name]) => h('label', { class: 'field' }, h('span', null, label),
        h('input', { type: 'datetime-local', name, value: local(state[name]), on: { change: (e) => e.target.value && change({ [name]: new Date(e.target.value).toISOString() }) } }))) : []),
      choice('Along', 'along', m.along, state.along, (along) => change({ along, split: along === 'none' && state.split === 'none' ? 'class' : state.split })),
      state.along === 'time' ? choice('In steps of', 'step', STEPS, stepOf(state), (step) => change({ step })) : '',
      choice('Split by', 'split', state.along === 'none' ? { class: m.split.class, segment: m.split.segment } : m.split, state.split, (split) => change({ split })),
      choice('Compare with', 'compare', COMPARISONS, state.compare, (compare) => change({ compare })),
      h('div', { class: 'field' }, h('span', null, 'Area'), mapBox, boxField(state.bbox, (text) => { area?.show(text); change({ bbox: boxOf(text) ? text : '' }); }),
        h('small', null, state.bbox ? 'A click on the map takes the box away.' : 'Everywhere. Draw a box on the map for a part.')));
    if (focused) form.querySelector(`[name="${focused}"]`)?.focus();
  }

  async function load() {
    request?.abort();
    request = new AbortController();
    const turn = AbortSignal.any([request.signal, signal]);
    if (!token()) {
      result.replaceChildren(signIn());
      return;
    }
    if (!doc) result.replaceChildren(loading(6));
    result.setAttribute('aria-busy', 'true');
    try {
      doc = await get(measure().path(state), { signal: turn });
      drawResult();
      announce(`${count(doc.groups.length)} groups`);
    } catch (err) {
      if (turn.aborted) return;
      doc = null;
      result.replaceChildren(trouble(err, load));
    } finally {
      if (!turn.aborted) result.removeAttribute('aria-busy');
    }
  }

  function drawResult() {
    const m = measure();
    const { from, to } = rangeOf(state);
    chart?.destroy();
    chart = null;
    const usable = doc.groups.filter((g) => !g.suppressed);
    if (!usable.length) {
      result.replaceChildren(empty('Nothing to show for this choice', doc.groups.length ? `All ${count(doc.groups.length)} groups have fewer than ${doc.k} cars on every road. Take a longer period or a larger area.` : 'Nobody drove there then. Take a longer period or a larger area.'));
      return;
    }
    const key = h('p', { class: 'key' });
    figure.replaceChildren(plot);
    const columns = m.columns(doc, state);
    const rows = state.along === 'time' ? doc.groups.toReversed() : doc.groups;
    result.replaceChildren(
      h('header', null, h('h2', null, `${m.values[state.value]} speed`), h('div', { class: 'row' },
        h('button', { type: 'button', class: 'button', on: { click: () => save('csv', csv(columns, doc.groups), 'text/csv') } }, icon('download', 16), 'CSV'),
        h('button', { type: 'button', class: 'button', on: { click: () => save('json', JSON.stringify(doc, null, 1), 'application/json') } }, icon('download', 16), 'JSON'),
        h('button', { type: 'button', class: 'button', on: { click: copy } }, icon('link', 16), 'Copy link'))),
      h('p', { class: 'muted small' }, when(from), ' to ', when(to), doc.compare ? [', dashed: ', when(doc.compare.from), ' to ', when(doc.compare.to)] : '', doc.suppressed_count ? ` · ${count(doc.suppressed_count)} of ${count(doc.groups.length)} groups are withheld: fewer than ${doc.k} cars` : ''),
      key, figure, status,
      h('div', { class: 'tall' }, table(columns, rows.slice(0, MOST_ROWS), { caption: 'The same as a table' })),
      rows.length > MOST_ROWS ? h('p', { class: 'muted small' }, `The first ${MOST_ROWS} of ${count(rows.length)} groups${doc.next_cursor ? ', and there are more' : ''}; the file has ${doc.next_cursor ? 'those that were fetched' : 'all'}.`) : '');
    chart = draw(plot, doc.groups, m, state, { comparing: Boolean(doc.compare), range: [from / 1000, to / 1000] });
    key.replaceChildren(...(chart.series ?? []).map((l) => h('span', null, h('i', { class: l.dash ? 'dashed' : null, style: { background: `var(${l.colour})`, color: `var(${l.colour})` } }), l.label)));
    say(status, chart.note);
    root.dataset.groups = String(doc.groups.length);
  }

  function save(extension, text, type) {
    const a = h('a', { href: URL.createObjectURL(new Blob([text], { type })), download: `carasso-${state.measure}-${new Date().toISOString().slice(0, 16).replace(':', '')}.${extension}` });
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
  }

  async function copy() {
    // What 'the last 24 hours' were now, not when somebody follows the link.
    await navigator.clipboard?.writeText(location.href).catch(() => {});
    say(status, 'The address of this page is the link; it was copied.');
  }

  controls();
  load();
  // The map comes last: it is large, and not everybody draws.
  import('./area.js').then(({ areaMap }) => areaMap(mapBox, { box: boxOf(state.bbox), drawn: (bbox) => change({ bbox }), signal })).then((a) => { area = a; window.carassoAreaMap = a.map; }, () => { mapBox.hidden = true; });
  return {
    redraw() {
      area?.redraw();
      if (doc) drawResult();
    },
  };
}

