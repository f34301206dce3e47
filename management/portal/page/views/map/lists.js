// The lists beside the map, which say in words what it shows: what is slow, hazards, limits that differ,
// errors of the map. The last three come from the API and so need a token.

import { get, query } from '../../core/api.js';
import { fill, h } from '../../core/dom.js';
import { ago, certainty, count, limit, minute, percent, plural, roadTitle, speedValue, when } from '../../core/format.js';
import { theme, units } from '../../core/prefs.js';
import { empty, loading, trouble } from '../../core/states.js';
import { reading } from './canvas.js';
import { letterOf, nameOf } from './hazards.js';
import { colourOf } from './palette.js';

const MOST = 40;
const SLOW = 12;
const REFRESH_MS = 15_000;

export const ERROR_TYPES = {
  missing_road: 'Missing road', wrong_oneway: 'Wrong one-way', moved_geometry: 'Moved road', closed_road: 'Closed road', missing_turn: 'Missing turn', wrong_turn: 'Wrong turn',
};
export const errorName = (type) => ERROR_TYPES[type] ?? type.replaceAll('_', ' ');

const row = (id, start, name, detail, value, click) => h('li', null, h('button', { type: 'button', data: { focus: id }, on: { click } },
  start, h('span', { class: 'name' }, name, detail && h('small', null, detail)), h('span', { class: 'value' }, value)));

const TABS = [
  { id: 'slow', label: 'Slow now' },
  { id: 'hazards', label: 'Hazards', path: (bbox) => query('/v1/hazards', { bbox, limit: MOST }) },
  { id: 'limits', label: 'Limits', path: (bbox) => query('/v1/limits', { bbox, differs: true, limit: MOST }) },
  { id: 'errors', label: 'Map errors', path: (bbox) => query('/v1/map-errors', { bbox, status: 'open', limit: 200 }) },
];

/**
 * Draws into el. actions: { road(edge, line), hazard(feature), error(feature), data(tab, document) };
 * canvas() is the map or null, past() whether it shows the past, chosen(tab) is told which list is open.
 */
export function startLists(el, { tab, canvas, past, actions, chosen, signal }) {
  let open = TABS.some((t) => t.id === tab) ? tab : 'slow';
  let request = null;
  let asked = '';
  const docs = {};
  const buttons = new Map();
  const body = h('div', { class: 'list-body', id: 'list', role: 'tabpanel', tabindex: '0' }, loading(6));

  const tabs = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Lists' }, TABS.map((t) => {
    const b = h('button', { type: 'button', role: 'tab', id: `tab-${t.id}`, 'aria-controls': 'list', on: { click: () => choose(t.id) } }, t.label, h('b', { hidden: true }));
    buttons.set(t.id, b);
    return b;
  }));
  tabs.addEventListener('keydown', (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    e.preventDefault();
    const i = TABS.findIndex((t) => t.id === open);
    choose(TABS[(i + step + TABS.length) % TABS.length].id);
    buttons.get(open).focus();
  });
  el.replaceChildren(tabs, body);

  function mark() {
    buttons.get('slow').firstChild.textContent = past() ? 'Slow then' : 'Slow now';
    for (const [id, b] of buttons) {
      b.setAttribute('aria-selected', String(id === open));
      b.tabIndex = id === open ? 0 : -1;
    }
    body.setAttribute('aria-labelledby', `tab-${open}`);
  }

  function choose(id) {
    open = id;
    mark();
    chosen(id);
    body.replaceChildren(loading(6));
    delete body.dataset.key;
    draw();
    load(true);
  }

  function badge(id, n, more) {
    const b = buttons.get(id).lastChild;
    b.hidden = !n;
    b.textContent = n ? ` ${n}${more ? '+' : ''}` : '';
  }

  const DRAW = {
    slow() {
      const features = canvas()?.speedsInView() ?? [];
      const slow = features.map((f) => ({ f, r: reading(f.properties) })).sort((a, b) => a.r.ratio - b.r.ratio).slice(0, SLOW)
        .map((x) => ({ ...x, name: roadTitle({ ...x.f.properties, ...canvas().road(x.f.properties.edge) }) }));
      fill(body, JSON.stringify([theme(), units(), slow.map(({ f, r, name }) => [f.properties.edge, name, Math.round(r.kmh), f.properties.n])]), () => (slow.length
        ? [h('p', { class: 'list-note' }, `Slowest of ${plural(features.length, 'road')} in view, against free flow`),
          h('ol', { class: 'rows', id: 'slow' }, slow.map(({ f, r, name }) => row(f.properties.edge, h('i', { class: 'swatch', style: { background: colourOf(r.ratio, theme()) } }),
            name, `${plural(f.properties.n, 'car')} · ${percent(r.ratio)} of free flow`,
            [h('b', null, speedValue(r.kmh)), ` of ${speedValue(r.free)} ${units()}`], () => actions.road(f.properties.edge, f.geometry))))]
        : empty('No speeds in view', past() ? 'Zoom in or move the map. Speeds show from three cars on.' : 'Zoom in or move the map, or wait for the first cars. Speeds show from three cars on.')));
    },
    hazards({ features }) {
      const sorted = features.toSorted((a, b) => b.properties.probability - a.properties.probability);
      fill(body, JSON.stringify(sorted.map((f) => [f.id, f.properties.probability, f.properties.clean])), () => (sorted.length
        ? [h('p', { class: 'list-note' }, 'Told however few cars are behind them: they concern safety'),
          h('ol', { class: 'rows', id: 'hazards' }, sorted.map((f) => {
            const p = f.properties;
            return row(f.id, h('i', { class: 'letter', 'aria-hidden': 'true' }, letterOf(p.category)), nameOf(p.category),
              [`${plural(p.vehicles, 'car')} noticed, ${p.clean} did not · `, when(p.started, minute)], h('b', null, percent(p.probability)), () => actions.hazard(f));
          }))]
        : empty('No hazard in view', 'Nothing slippery, foggy or blocked is known here now.')));
    },
    limits({ features, next_cursor: more }) {
      const sorted = features.toSorted((a, b) => (b.properties.length_m ?? 0) - (a.properties.length_m ?? 0));
      fill(body, JSON.stringify([units(), sorted.map((f) => [f.id, f.properties.learned])]), () => (sorted.length
        ? [h('p', { class: 'list-note' }, `The fleet reads another limit than the map says${more ? `; the first ${MOST}, zoom in for others` : ''}`),
          h('ol', { class: 'rows', id: 'differing' }, sorted.map((f) => {
            const p = f.properties;
            return row(f.id, h('span', { class: 'sign', 'aria-hidden': 'true' }, p.learned === 'none' ? '∅' : speedValue(p.learned)),
              roadTitle(p), `${plural(p.vehicles, 'car')}, ${certainty(p.posterior)} sure · ${p.length_m ? `${count(p.length_m)} m` : ''}`,
              [h('span', { class: 'visually-hidden' }, `learned ${limit(p.learned)}, `), 'map: ', h('b', null, p.map === null ? 'none known' : p.map === 'none' ? 'no limit' : speedValue(p.map))],
              () => actions.road(p.edge, f.geometry));
          }))]
        : empty('No limit differs here', 'Wherever the fleet is sure of a limit in view, the map has the same.')));
    },
    errors({ features }) {
      const sorted = features.toSorted((a, b) => b.properties.score - a.properties.score);
      fill(body, JSON.stringify(sorted.map((f) => [f.id, f.properties.vehicles])), () => (sorted.length
        ? [h('p', { class: 'list-note' }, 'Candidates for review, dashed on the map'),
          h('ol', { class: 'rows', id: 'candidates' }, sorted.map((f) => row(f.id, h('i', { class: 'dash', 'aria-hidden': 'true' }), errorName(f.properties.type),
            [f.properties.name || 'no name', ` · ${plural(f.properties.vehicles, 'car')} · last ${ago(f.properties.last)}`], h('b', null, percent(f.properties.score)), () => actions.error(f))))]
        : empty('Nothing to review here', 'Where enough cars contradict the map, a candidate appears.')));
    },
  };

  function draw() {
    if (open === 'slow') DRAW.slow();
    else if (docs[open]) DRAW[open](docs[open]);
  }

  /** Asks for what is in view; of all lists, since their counts show, but not more often than needed. */
  async function load(force) {
    const c = canvas();
    if (!c || document.hidden) return;
    const bbox = c.box().map((v) => v.toFixed(4)).join(',');
    if (bbox === asked && !force) return;
    asked = bbox;
    request?.abort();
    request = new AbortController();
    const turn = AbortSignal.any([request.signal, signal]);
    await Promise.all(TABS.filter((t) => t.path).map(async (t) => {
      try {
        docs[t.id] = await get(t.path(bbox), { signal: turn });
        const { features } = docs[t.id];
        badge(t.id, features.length, docs[t.id].next_cursor);
        actions.data(t.id, docs[t.id]);
        if (open === t.id) draw();
      } catch (err) {
        if (turn.aborted || open !== t.id) return;
        if (docs[t.id] && !err.denied) return; // the last answer stands
        delete body.dataset.key;
        body.replaceChildren(trouble(err, () => load(true)));
      }
    }));
  }

  const timer = setInterval(() => load(true), REFRESH_MS);
  signal.addEventListener('abort', () => clearInterval(timer));
  mark();
  return {
    moved() {
      draw();
      load(false);
    },
    redraw() {
      mark();
      delete body.dataset.key;
      draw();
    },
    reload: () => load(true),
    choose,
  };
}
