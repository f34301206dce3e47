// Trends: a measure, an area, a period and what it is grouped by; as a chart, a table, a file and an address.

import { download, get, query, token } from '../../core/api.js';
import { ready } from '../../core/charts.js';
import { h, say, stylesheet } from '../../core/dom.js';
import { count, span } from '../../core/format.js';
import { icon } from '../../core/icons.js';
import { empty, loading, signIn, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { areaParams, areaWords } from './area.js';
import { draw } from './chart.js';
import { startControls } from './controls.js';
import { coverage } from './coverage.js';
import { fleet } from './fleet.js';
import { hazards } from './hazards.js';
import { limits } from './limits.js';
import { rangeOf, timeParams } from './period.js';
import { sensors } from './sensors.js';
import { speeds } from './speeds.js';
import { addressOf, fit, fixed, stateOf } from './state.js';

const MEASURES = { speeds, limits, hazards, fleet, sensors, coverage };
const FORMATS = [['csv', 'CSV'], ['geojson', 'GeoJSON'], ['parquet', 'Parquet']];
const MOST_ROWS = 200;

/** Where an endpoint is asked for what a state shows. */
function pathOf(s) {
  const m = MEASURES[s.measure];
  const { resolution, time_zone, ...range } = timeParams(s);
  return query(m.path, { ...(m.area ? areaParams(s.area) : {}), ...range, ...(m.plain ? {} : { resolution, time_zone }), ...m.params(s) });
}

/** Where the same is answered as a file, of all pages. */
function fileOf(s, format) {
  const url = new URL(pathOf(s), location.origin);
  url.searchParams.delete('limit');
  url.searchParams.set('format', format);
  return `${url.pathname}${url.search}`;
}

export async function mount(root, { params, setParams, signal, announce }) {
  await Promise.all([ready(), stylesheet('/portal/css/trends.css')]);
  let state = stateOf(params, MEASURES);
  let request = null;
  let chart = null;
  let doc = null;
  let area = null;
  const measure = () => MEASURES[state.measure];

  const lead = h('p', { class: 'lead' });
  const form = h('form', { class: 'panel controls', 'aria-label': 'What to show', on: { submit: (e) => e.preventDefault() } });
  const mapBox = h('div', { class: 'area-map' });
  const plot = h('div', { class: 'chart' });
  const figure = h('figure', { class: 'trend' });
  const result = h('section', { class: 'panel', 'aria-label': 'Result', 'aria-live': 'off' });
  const status = h('p', { class: 'muted small', role: 'status' });
  root.append(h('div', { class: 'page wide' }, h('header', null, h('div', null, h('h1', null, 'Trends'), lead)), h('div', { class: 'split' }, form, result)));
  const controls = startControls(form, { measures: MEASURES, mapBox, change, announce, signal });

  function change(what) {
    if (what.measure && what.measure !== state.measure) doc = null;
    state = fit({ ...state, ...what }, MEASURES[what.measure ?? state.measure]);
    setParams(addressOf(state, MEASURES));
    show();
  }

  function show() {
    say(lead, measure().what);
    controls.draw(state);
    if (state.area.kind !== 'all') showMap();
    area?.show(state.area);
    load();
  }

  /** The map is large, and not everybody needs it. */
  function showMap() {
    if (showMap.asked) return;
    showMap.asked = true;
    import('./areamap.js').then(({ areaMap }) => areaMap(mapBox, { area: state.area, drawn: (drawn) => change({ area: drawn }), signal })).then((a) => {
      area = a;
      area.show(state.area);
      window.carassoAreaMap = a.map; // for tests
    }, () => {
      if (!signal.aborted) mapBox.replaceChildren(h('p', { class: 'muted small' }, 'The map can\'t be shown; the field below takes numbers.'));
    });
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
    const asked = state;
    try {
      doc = await get(pathOf(asked), { signal: turn });
      drawResult();
      announce(`${count(measure().groups(doc, state).length)} groups`);
    } catch (err) {
      if (turn.aborted) return;
      doc = null;
      result.replaceChildren(trouble(err, load));
    } finally {
      if (!turn.aborted) result.removeAttribute('aria-busy');
    }
  }

  /** What is shown, of when and where, and what is withheld. */
  function about(groups) {
    const { from, to } = rangeOf(state);
    const withheld = doc.suppressed_count ?? 0;
    return h('p', { class: 'muted small', data: { withheld: String(withheld) } }, span(from, to), measure().area ? ` · ${areaWords(state.area)}` : '',
      doc.compare ? [' · dashed: ', span(doc.compare.from, doc.compare.to)] : '',
      withheld ? ` · ${count(withheld)} of ${count(Math.max(groups.length, withheld))} groups are withheld: fewer than ${doc.k} cars` : '');
  }

  function drawResult() {
    const m = measure();
    const { from, to } = rangeOf(state);
    chart?.destroy();
    chart = null;
    const groups = m.groups(doc, state);
    root.dataset.groups = String(groups.length);
    const usable = groups.filter((g) => !g.suppressed);
    if (!usable.length) {
      result.replaceChildren(empty('Nothing to show for this choice', groups.length || doc.suppressed_count ? `Fewer than ${doc.k} cars stand behind each of ${count(Math.max(groups.length, doc.suppressed_count))} groups, so all are withheld. Take a longer period${m.area ? ' or a larger area' : ''}.` : m.nothing,
        state.period === 'month' ? null : h('button', { type: 'button', class: 'button', on: { click: () => change({ period: 'month', step: '' }) } }, 'Show the last 28 days')));
      return;
    }
    const key = h('p', { class: 'key' });
    figure.replaceChildren(plot);
    const columns = m.columns(doc, state);
    const all = m.rows?.(doc, state) ?? (state.along === 'time' ? groups.toReversed() : groups);
    const v = m.values[state.value];
    result.replaceChildren(
      h('header', null, h('h2', null, v.label), h('div', { class: 'row' },
        FORMATS.map(([format, name]) => h('button', { type: 'button', class: 'button', 'aria-label': `Save as ${name}`, on: { click: () => save(format, name) } }, icon('download', 16), name)),
        h('button', { type: 'button', class: 'button', on: { click: copy } }, icon('link', 16), 'Copy link'))),
      about(groups), key, figure, status,
      h('div', { class: 'tall' }, table(columns, all.slice(0, MOST_ROWS), { caption: m.rows ? 'Each change' : 'The same as a table' })),
      all.length > MOST_ROWS || doc.next_cursor ? h('p', { class: 'muted small' }, `${count(Math.min(MOST_ROWS, all.length))} of ${count(all.length)} rows are shown${doc.next_cursor ? ', and there are more: files have all' : '; files have all'}.`) : '',
      ...(m.more?.(doc) ?? []));
    chart = draw(plot, usable, m, state, { comparing: Boolean(doc.compare), range: [from / 1000, to / 1000] });
    key.replaceChildren(...(chart.series.length > 1 || state.split !== 'none' ? chart.series : []).map((l) => h('span', null, h('i', { class: l.dash ? 'dashed' : null, style: { background: `var(${l.colour})`, color: `var(${l.colour})` } }), l.label)));
    say(status, chart.note);
  }

  /** All groups as the server writes them, not only the page that is shown. */
  async function save(format, name) {
    say(status, `Writing ${name} …`);
    try {
      await download(fileOf(state, format), `carasso-${state.measure}-${new Date().toISOString().slice(0, 16).replace(':', '')}.${format}`, { signal });
      say(status, `The ${name} file is saved.`);
    } catch (err) {
      if (!signal.aborted) say(status, `No file: ${err.message}`);
    }
  }

  async function copy() {
    // 'The last 24 hours' are those of now, not of when somebody follows the link.
    const before = location.href;
    setParams(addressOf(fixed(state), MEASURES));
    const text = location.href;
    setParams(addressOf(state, MEASURES));
    try {
      await navigator.clipboard.writeText(text);
      say(status, 'Copied: the link shows just this, tomorrow too.');
    } catch {
      say(status, `Copying is not allowed here; the address of this page is the link: ${before}`);
    }
  }

  setParams(addressOf(state, MEASURES));
  show();
  return {
    update(next) {
      state = stateOf(next, MEASURES);
      doc = null;
      show();
    },
    redraw() {
      area?.redraw();
      if (doc) drawResult();
    },
  };
}
