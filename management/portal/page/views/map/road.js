// The card of one directed segment: its speed now and over the day and week, and what is known of its limit.

import { get, query } from '../../core/api.js';
import { ready, timeChart } from '../../core/charts.js';
import { h, say } from '../../core/dom.js';
import { NONE, ago, certainty, count, heading, limit as limitText, percent, plural, roadClass, roadTitle, speed, speedValue, time, when } from '../../core/format.js';
import { inUnits, theme, units } from '../../core/prefs.js';
import { loading, trouble } from '../../core/states.js';
import { behind, table } from '../../core/table.js';
import { reading } from './canvas.js';
import { card, facts } from '../../core/card.js';
import { colourOf } from './palette.js';
import { drawProfile, profileOf } from './profile.js';

const REFRESH_MS = 15_000;
const HOUR_MS = 3_600_000;
const BUCKET_S = 300;
const SPANS = { day: { label: 'Day', hours: 24, step: BUCKET_S }, week: { label: 'Week', hours: 168, step: 1800 }, usual_day: { label: 'Usual day', usual: 'day' }, usual_week: { label: 'Usual week', usual: 'week' } };

const sign = (value) => h('span', { class: 'sign big', role: 'img', 'aria-label': `Limit ${limitText(value)}` }, value === 'none' ? '∅' : speedValue(value));

/** Sums buckets of five minutes up to steps of so many seconds: medians and percentiles weighted by samples. */
function coarser(buckets, step) {
  if (step === BUCKET_S) return buckets.map((b) => ({ ...b, t: Date.parse(b.bucket) / 1000 }));
  const by = new Map();
  for (const b of buckets) {
    const t = Math.floor(Date.parse(b.bucket) / 1000 / step) * step;
    const sum = by.get(t) ?? { t, samples: 0, vehicles: 0, p15_kmh: 0, p50_kmh: 0, p85_kmh: 0 };
    for (const k of ['p15_kmh', 'p50_kmh', 'p85_kmh']) sum[k] += b[k] * b.samples;
    sum.samples += b.samples;
    sum.vehicles = Math.max(sum.vehicles, b.vehicles);
    by.set(t, sum);
  }
  for (const sum of by.values()) for (const k of ['p15_kmh', 'p50_kmh', 'p85_kmh']) sum[k] /= sum.samples;
  return [...by.values()];
}

/**
 * Draws the card into el: p are the road's properties in the tiles (edge at least), line its course or null,
 * learned its properties in the limits layer, if any. other(edge) opens another edge.
 */
export function roadCard(el, p, { line, learned, close, other, signal }) {
  let chart = null;
  let tableOpen = false;
  let span = 'day';
  let doc = null;
  let profile = null;
  let limits = null;
  let current = p;

  const now = h('p', { class: 'now' });
  const gauge = h('div', { class: 'bar gauge', role: 'img' }, h('i'));
  const list = h('div');
  const plot = h('div', { class: 'chart profile', role: 'img' });
  const caption = h('p', { class: 'muted small' }, 'Loading');
  const tableBox = h('div');
  const evidence = h('div', { class: 'evidence' }, loading(3));
  const signBox = h('div');
  const top = h('div', { class: 'speed' }, now, signBox);

  el.replaceChildren(card(roadTitle(p), [p.name && p.ref, roadClass(p.class), line && `towards ${heading(line)}`].filter(Boolean).join(' · '), close,
    top, gauge, list,
    h('figure', null,
      h('div', { class: 'figure-top' }, h('h3', null, 'Speed'),
        h('fieldset', { class: 'choice small' }, h('legend', { class: 'visually-hidden' }, 'Period'), Object.entries(SPANS).map(([id, s]) => h('label', null,
          h('input', { type: 'radio', name: 'span', value: id, checked: id === span, on: { change: () => { span = id; draw(); load(); } } }), h('span', null, s.label))))),
      plot, caption, tableBox),
    h('h3', null, 'Speed limit'), evidence,
    h('button', { type: 'button', class: 'link-button', on: { click: () => other(p.edge % 2 ? p.edge - 1 : p.edge + 1) } }, 'The other direction')));

  function paint() {
    const known = current.kmh !== undefined;
    const { kmh, ratio, free } = reading(current);
    now.replaceChildren(known ? speedValue(kmh) : NONE, h('small', null, units()), h('small', { class: 'muted' }, known ? 'now' : 'too few cars now'));
    gauge.hidden = !known;
    gauge.firstChild.style.width = `${Math.min(100, Math.round(ratio * 100))}%`;
    gauge.firstChild.style.background = colourOf(ratio, theme());
    gauge.setAttribute('aria-label', `${Math.round(ratio * 100)} percent of the free-flow speed`);
    const last = doc?.buckets.at(-1);
    const shown = doc?.buckets.filter((b) => !b.suppressed) ?? [];
    const samples = shown.reduce((n, b) => n + b.samples, 0);
    // Suppressed buckets have samples too, how many isn't told.
    const hours = doc ? Math.round((Date.parse(doc.to) - Date.parse(doc.from)) / HOUR_MS) : 24;
    const withheld = doc && shown.length < doc.buckets.length;
    list.replaceChildren(facts([
      ['Of free flow', known ? `${percent(ratio)} of ${speed(free)}` : doc?.free_kmh ? `free flow ${speed(doc.free_kmh)}` : NONE, 'share'],
      ['Usual at this hour', current.typical ? speed(current.typical) : null, 'typical'],
      ['Cars, lately', known && current.n ? count(current.n) : NONE, 'vehicles'],
      ['Newest data', last ? [time(last.bucket), ' to ', time(Date.parse(last.bucket) + BUCKET_S * 1000)] : doc ? 'none in this period' : NONE, 'fresh'],
      [`Samples, ${hours === 24 ? 'day' : 'week'}`, !doc ? NONE : !withheld ? count(samples) : shown.length ? `over ${count(samples)}` : NONE, 'samples'],
    ]));
    const posted = learned?.unlimited ? 'none' : learned?.kmh ?? doc?.limit_kmh;
    signBox.replaceChildren(...(posted ? [sign(posted)] : []));
  }

  /** The chart as a table, which stays open when the chart is drawn again. */
  function showTable(make) {
    const details = behind('As a table', make);
    details.open = tableOpen;
    details.addEventListener('toggle', () => { if (details.isConnected) tableOpen = details.open; });
    tableBox.replaceChildren(details);
  }

  /** What is usual, once it has come. */
  function drawUsual() {
    chart?.destroy();
    chart = null;
    tableBox.replaceChildren();
    plot.hidden = !profile;
    if (!profile) return;
    plot.hidden = false;
    const usual = drawProfile(plot, profile, SPANS[span].usual, learned?.kmh ?? profile.limit_kmh);
    chart = usual.chart;
    plot.hidden = !chart;
    plot.setAttribute('aria-label', usual.label);
    say(caption, usual.caption);
    if (usual.table) showTable(usual.table);
  }

  function draw() {
    if (SPANS[span].usual) drawUsual();
    else if (doc) drawChart();
  }

  function drawChart() {
    chart?.destroy();
    chart = null;
    const { step, hours } = SPANS[span];
    const shown = coarser(doc.buckets.filter((b) => !b.suppressed), step);
    plot.hidden = !shown.length;
    tableBox.replaceChildren();
    if (!shown.length) {
      say(caption, `Never ${doc.k} cars within five minutes in this period, so nothing is shown.`);
      return;
    }
    say(caption, `Median, and 15th to 85th percentile, in ${units()}. Below ${doc.k} cars nothing is shown.`);
    const to = Math.ceil(Date.parse(doc.to) / 1000 / step) * step;
    // A road that is young begins where its data begin, not a day ago.
    const from = Math.max(to - hours * 3600, Math.min(shown[0].t, to - 3600));
    const by = new Map(shown.map((b) => [b.t, b]));
    const x = [];
    for (let t = Math.floor(from / step) * step; t <= to; t += step) x.push(t);
    const column = (name) => x.map((t) => (by.has(t) ? inUnits(by.get(t)[name]) : null));
    const posted = learned?.kmh ?? doc.limit_kmh;
    chart = timeChart(plot, {
      x, range: [from, to], least: inUnits(posted ?? 10), format: (v) => `${Math.round(v)}`,
      series: [{ label: 'median', values: column('p50_kmh') }, { label: '', values: column('p15_kmh'), quiet: true }, { label: '', values: column('p85_kmh'), quiet: true },
        { label: 'limit', values: x.map(() => (posted ? inUnits(posted) : null)), colour: '--bad', dash: [5, 4], width: 1.25 }],
      bands: [{ from: 1, to: 2, colour: '--series-1' }],
    });
    const medians = shown.map((b) => b.p50_kmh);
    plot.setAttribute('aria-label', `Medians from ${speed(Math.min(...medians))} to ${speed(Math.max(...medians))}; the table below says the same`);
    showTable(() => table([
      { label: 'From', value: (b) => when(b.t * 1000) }, { label: 'Median', num: true, value: (b) => speedValue(b.p50_kmh) },
      { label: '15 %', num: true, value: (b) => speedValue(b.p15_kmh) }, { label: '85 %', num: true, value: (b) => speedValue(b.p85_kmh) }, { label: 'Cars', num: true, value: (b) => count(b.vehicles) },
    ], shown.toReversed(), { caption: 'Speeds of this road' }));
  }

  async function load() {
    const to = Date.now() + 60_000;
    try {
      await ready();
      if (SPANS[span].usual) {
        if (profile) return; // it changes slowly
        profile = await profileOf(p.edge, signal);
        if (!signal.aborted) draw();
        return;
      }
      doc = await get(`/v1/segments/${p.edge}/speeds?from=${to - SPANS[span].hours * HOUR_MS}&to=${to}`, { signal });
      if (signal.aborted) return;
      if (!p.name && !p.ref) el.querySelector('#card-title').textContent = roadTitle(doc);
      const last = doc.buckets.findLast((b) => !b.suppressed);
      // Its tile may not be loaded: the last five minutes stand for now.
      if (current.kmh === undefined && last && Date.now() - Date.parse(last.bucket) < 2 * BUCKET_S * 1000) {
        current = { ...current, kmh: last.mean_kmh, ratio: last.mean_kmh / doc.free_kmh, n: last.vehicles };
      }
      paint();
      draw();
    } catch (err) {
      if (signal.aborted) return;
      plot.hidden = true;
      say(caption, err.denied ? 'A token is needed to see its hours.' : `Its hours can't be shown: ${err.message}`);
    }
  }

  /** The evidence of the limit: what it may be, how sure, from how many, and how it changed. */
  async function loadLimit() {
    const around = (line ?? []).reduce((b, [x, y]) => [Math.min(b[0], x), Math.min(b[1], y), Math.max(b[2], x), Math.max(b[3], y)], [180, 90, -180, -90]);
    try {
      const [found, changes] = await Promise.all([
        line ? get(query('/v1/limits', { bbox: [around[0] - 2e-4, around[1] - 2e-4, around[2] + 2e-4, around[3] + 2e-4].map((v) => v.toFixed(5)).join(','), geometry: false }), { signal }) : { features: [] },
        get(`/v1/segments/${p.edge}/limits`, { signal }),
      ]);
      limits = { now: found.features.find((f) => f.id === p.edge)?.properties, changes: changes.changes, map: changes.limit_kmh };
      drawLimit();
    } catch (err) {
      if (!signal.aborted) evidence.replaceChildren(err.denied ? h('p', { class: 'muted small' }, 'A token is needed to see the evidence.') : trouble(err));
    }
  }

  function drawLimit() {
    const l = limits.now;
    const said = (v) => (v === null || v === undefined ? 'nothing' : v === 'none' ? 'no limit' : speed(v));
    const inMap = l ? l.map : learned?.map_unlimited ? 'none' : learned?.map_kmh ?? limits.map;
    const bars = l && h('ol', { class: 'posterior' }, l.candidates.filter((c) => c.probability >= 0.0005).map((c) => h('li', null,
      h('span', { class: 'num' }, c.limit === 'none' ? '∅' : speedValue(c.limit)), h('div', { class: 'bar' }, h('i', { style: { width: `${Math.max(1, c.probability * 100)}%` } })),
      h('span', { class: 'num' }, c.probability > 0.999 ? '> 99.9 %' : `${(c.probability * 100).toFixed(1)} %`))));
    evidence.replaceChildren(...[
      facts([
        ['Learned', l ? `${said(l.learned)} (${certainty(l.posterior)}, ${plural(l.vehicles, 'car')})` : 'not yet: too few cars, or not sure', 'limit'],
        ['In the map', h('span', { class: l?.differs ? 'bad' : null }, said(inMap)), 'map-limit'],
        ['Signs read', l ? count(l.readings) : null],
        ['Since', l?.since ? when(l.since) : null],
      ]),
      bars && h('p', { class: 'muted small' }, `What the signs and speeds say it may be, ${units()}`), bars,
      l?.variants.length ? h('ul', { class: 'variants' }, l.variants.map((v) => h('li', null, h('b', null, said(v.limit)),
        ` ${[v.wet && 'when wet', v.from_hour !== null && `from ${v.from_hour} to ${v.to_hour} o'clock`].filter(Boolean).join(', ')}`, h('small', { class: 'muted' }, ` ${percent(v.posterior)}, ${plural(v.vehicles, 'car')}`)))) : null,
      limits.changes.length ? h('ul', { class: 'variants' }, limits.changes.slice(0, 5).map((c) => h('li', null, when(c.at), `: ${said(c.from)} → ${said(c.to)}`, h('small', { class: 'muted' }, ` ${ago(c.at)}`)))) : null,
    ].filter(Boolean));
  }

  paint();
  load();
  loadLimit();
  const timer = setInterval(() => !document.hidden && load(), REFRESH_MS);
  signal.addEventListener('abort', () => {
    clearInterval(timer);
    chart?.destroy();
  });
  return {
    edge: p.edge,
    /** Follows the map's refreshes. */
    update(properties) {
      current = { ...current, ...properties };
      paint();
    },
    redraw() {
      paint();
      draw();
      if (limits) drawLimit();
    },
  };
}
