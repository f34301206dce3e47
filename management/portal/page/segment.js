// The card about one directed segment: its speed now and over the last hours.

import { get } from './api.js';
import { profile } from './charts.js';
import { count, heading, roadClass, time } from './format.js';
import { reading } from './map.js';
import { colourOf } from './palette.js';
import { element } from './panel.js';

const HOURS = 6;
const card = document.getElementById('segment');

export const title = (p) => p.name || p.ref || `Unnamed ${roadClass(p.class) || 'road'}`;

/** Opens the card for a feature of the speeds layer. `theme` tells the theme in use. */
export function startSegment({ theme, closed, show, road }) {
  let chart = null;
  let request = null;
  let current = null;
  let line = null;

  function close() {
    request?.abort();
    chart?.destroy();
    chart = current = null;
    card.hidden = true;
    card.replaceChildren();
    closed();
  }

  function paint(p) {
    if (p.kmh === undefined) return; // no live speed
    const { kmh, ratio } = reading(p);
    card.querySelector('.now').firstChild.textContent = String(Math.round(kmh));
    const bar = card.querySelector('.gauge i');
    bar.style.width = `${Math.min(100, Math.round(ratio * 100))}%`;
    bar.style.background = colourOf(ratio, theme());
    card.querySelector('.gauge').setAttribute('aria-label', `${Math.round(ratio * 100)} percent of the free-flow speed`);
    card.querySelector('[data-fact="share"]').textContent = `${Math.round(ratio * 100)} %`;
    if (p.n) card.querySelector('[data-fact="vehicles"]').textContent = count(p.n);
  }

  function build(p, coordinates) {
    const top = element('div', 'top');
    const h = element('h2', '', title(p));
    h.id = 'segment-name';
    const x = element('button', 'icon-button', '✕');
    x.type = 'button';
    x.setAttribute('aria-label', 'Close');
    x.addEventListener('click', close);
    top.append(h, x);
    const what = element('p', 'what', [p.name && p.ref, roadClass(p.class), coordinates && `towards ${heading(coordinates)}`].filter(Boolean).join(' · '));
    const speed = element('div', 'speed');
    const now = element('p', 'now', '–');
    now.append(element('small', '', 'km/h'));
    speed.append(now);
    const gauge = element('div', 'gauge');
    gauge.setAttribute('role', 'img');
    gauge.append(element('i'));
    const facts = element('dl', 'list');
    for (const [key, name] of [['share', 'Of the free-flow speed'], ['vehicles', 'Vehicles, lately'], ['fresh', 'Newest data'], ['samples', `Samples, last ${HOURS} h`]]) {
      const row = element('div');
      const dd = element('dd', '', '–');
      dd.dataset.fact = key;
      row.append(element('dt', '', name), dd);
      facts.append(row);
    }
    const figure = element('figure');
    const plot = element('div', 'profile');
    plot.setAttribute('role', 'img');
    figure.append(plot, element('figcaption', '', 'Loading the last hours'));
    card.replaceChildren(top, what, speed, gauge, facts, figure);
    card.hidden = false;
  }

  /** What the limits layer knows of the edge. */
  function learned(l) {
    sign(l.unlimited ? 0 : l.kmh);
    const row = element('div');
    const dd = element('dd', '', l.source === 'learned'
      ? `${l.unlimited ? 'none' : l.kmh} (${Math.round(l.posterior * 100)} %, ${count(l.n)} vehicles)`
      : 'from the map only');
    dd.dataset.fact = 'limit';
    row.append(element('dt', '', 'Limit learned'), dd);
    card.querySelector('dl').append(row);
    if (l.source !== 'learned') return;
    const map = element('div');
    map.append(element('dt', '', 'Limit in the map'), element('dd', l.differs ? 'differs' : '', l.map_unlimited ? 'none' : String(l.map_kmh ?? 'unknown')));
    card.querySelector('dl').append(map);
  }

  function sign(limit) {
    if (!limit || limit > 200 || card.querySelector('.sign')) return;
    const s = element('span', 'sign', String(limit));
    s.setAttribute('role', 'img');
    s.setAttribute('aria-label', `Limit ${limit} km/h`);
    card.querySelector('.speed').append(s);
  }

  async function load(p) {
    request?.abort();
    request = new AbortController();
    const { signal } = request;
    const to = Date.now() + 60_000;
    const from = to - HOURS * 3600_000;
    const caption = card.querySelector('figcaption');
    try {
      const doc = await get(`/v1/segments/${p.edge}/speeds?from=${from}&to=${to}`, { signal });
      if (signal.aborted) return;
      if (doc.limit_kmh) sign(doc.limit_kmh);
      if (!p.name && !p.ref) card.querySelector('h2').textContent = title(doc);
      const last = doc.buckets.at(-1);
      card.querySelector('[data-fact="fresh"]').textContent = last ? `${time(last.bucket)} to ${time(Date.parse(last.bucket) + 300_000)}` : 'none';
      const shown = doc.buckets.filter((b) => !b.suppressed);
      // Suppressed buckets have samples too, how many isn't told.
      const withheld = shown.length < doc.buckets.length;
      const samples = count(shown.reduce((n, b) => n + b.samples, 0));
      card.querySelector('[data-fact="samples"]').textContent = !withheld ? samples : shown.length ? `over ${samples}` : '–';
      caption.textContent = shown.length
        ? `Median, and 15th to 85th percentile, per five minutes. Below ${doc.k} vehicles nothing is shown.`
        : `No five minutes of the last ${HOURS} hours had ${doc.k} vehicles, so nothing is shown.`;
      const now = shown.at(-1);
      // Its tile may not be loaded: the last five minutes stand for now.
      if (current.kmh === undefined && now) paint({ ...current, kmh: now.mean_kmh, ratio: now.mean_kmh / doc.free_kmh, n: now.vehicles });
      const plot = card.querySelector('.profile');
      plot.hidden = !shown.length;
      chart?.destroy();
      chart = null;
      if (!shown.length) return;
      const medians = shown.map((b) => b.p50_kmh);
      plot.setAttribute('aria-label', `Medians from ${Math.min(...medians)} to ${Math.max(...medians)} km/h`);
      chart = profile(plot, shown, { from: from / 1000, to: to / 1000, limit: current.limit?.kmh ?? doc.limit_kmh });
    } catch (err) {
      if (signal.aborted) return;
      caption.textContent = err.status === 401 || err.status === 403 ? 'A token is needed to see the last hours.' : `The last hours can't be shown: ${err.message}`;
      card.querySelector('.profile').hidden = true;
    }
  }

  document.addEventListener('keydown', (e) => {
    if (e.key === 'Escape' && current !== null) close();
  });
  setInterval(() => {
    if (current !== null && !document.hidden) load(current);
  }, 15_000);

  return {
    close,
    edge: () => current?.edge ?? null,
    open(feature, { fly = false, limit } = {}) {
      current = { ...feature.properties, ...road(feature.properties.edge), limit };
      const { type, coordinates } = feature.geometry;
      line = { LineString: coordinates, Point: [coordinates, coordinates] }[type] ?? coordinates.flat();
      chart?.destroy();
      chart = null;
      build(current, feature.geometry.type === 'Point' ? null : line);
      paint(current);
      if (limit) learned(limit);
      load(current);
      card.scrollIntoView({ block: 'nearest' });
      if (fly) {
        show(line);
        card.querySelector('button').focus();
      }
    },
    /** Follows the map's refreshes. */
    update(features) {
      const f = current && features.find((g) => g.properties.edge === current.edge);
      if (f) paint((current = { ...current, ...f.properties }));
    },
    redraw: () => chart?.redraw(),
  };
}
