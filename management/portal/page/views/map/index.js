// The map: roads coloured by what the fleet knows, and beside it the same in words.

import { h, stylesheet } from '../../core/dom.js';
import { keepExtent } from '../../core/extent.js';
import { percent, roadTitle, speed, time } from '../../core/format.js';
import { nameOf } from './hazards.js';
import { startLegend } from './legend.js';
import { errorName, startLists } from './lists.js';
import { MODES } from './modes.js';
import { startPast } from './past.js';
import { errorCard, hazardCard } from './reports.js';
import { roadCard } from './road.js';
import { startSearch } from './search.js';

/** lon,lat,zoom of the address, or null. */
function place(params) {
  const at = (params.get('at') ?? '').split(',').map(Number);
  return at.length === 3 && at.every(Number.isFinite) ? at : null;
}

const WAITING = {
  away: ['The server is away', 'Trying again until it answers.', ''],
  'no-map': ['No map yet', 'Import a road network from OpenStreetMap; it shows here by itself.', 'carasso map import FILE.osm.pbf'],
};

export async function mount(root, ctx) {
  const { params, setParams, signal, announce } = ctx;
  const library = import('./canvas.js'); // meanwhile
  await stylesheet('/portal/third_party/maplibre-gl/maplibre-gl.css', '/portal/css/map.css');
  const shown = {
    mode: params.get('colour') in MODES ? params.get('colour') : params.get('tab') === 'limits' ? 'differs' : 'live', hazards: params.get('hazards') !== 'no', errors: params.get('errors') === 'yes' || params.get('tab') === 'errors',
    past: false, edge: Number(params.get('edge')) || null, error: null,
  };
  let canvas = null;
  let card = null; // { stop, road }
  const errors = new Map();
  const hazards = new Map();

  const area = h('div', { class: 'canvas' });
  const note = h('div', { class: 'map-note', role: 'status', hidden: true });
  const tip = h('div', { class: 'tooltip', role: 'tooltip', hidden: true });
  const legendBox = h('section', { class: 'legend', id: 'legend', 'aria-label': 'Layers of the map' });
  const listBox = h('div', { class: 'lists' });
  const searchBox = h('div', { class: 'search' });
  const cardBox = h('div', { class: 'card-box', id: 'card', hidden: true });
  const handle = h('button', { type: 'button', class: 'handle', 'aria-expanded': 'false', 'aria-controls': 'side', on: { click: () => sheet(handle.getAttribute('aria-expanded') !== 'true') } },
    h('span', { class: 'visually-hidden' }, 'Show more of the list'));
  const side = h('aside', { class: 'side', id: 'side', 'aria-label': 'What the map shows' }, handle, searchBox, listBox, cardBox);
  root.append(h('h1', { class: 'visually-hidden' }, 'Map'), area, side, legendBox, note, tip);

  function sheet(open) {
    side.classList.toggle('open', open);
    handle.setAttribute('aria-expanded', String(open));
  }

  function tell(kind, title, text = '', code = '') {
    note.dataset.kind = kind;
    note.hidden = !title;
    note.replaceChildren(...[title && h('h2', null, title), text && h('p', null, text), code && h('code', null, code)].filter(Boolean));
  }

  // --- cards

  function closeCard(focus = true) {
    if (!card) return;
    card.stop.abort();
    card = null;
    cardBox.hidden = true;
    listBox.hidden = false;
    cardBox.replaceChildren();
    shown.edge = shown.error = null;
    canvas?.restyle();
    setParams({ edge: null });
    if (focus) listBox.querySelector('[role="tabpanel"]')?.focus({ preventScroll: true });
  }

  function openCard(build, { focus } = {}) {
    card?.stop.abort();
    const stop = new AbortController();
    card = { stop, road: null };
    signal.addEventListener('abort', () => stop.abort(), { signal: stop.signal });
    cardBox.replaceChildren();
    cardBox.hidden = false;
    listBox.hidden = true;
    card.road = build(AbortSignal.any([stop.signal, signal])) ?? null;
    canvas?.restyle();
    side.scrollTop = 0;
    sheet(true);
    if (focus) cardBox.querySelector('#card-title').focus({ preventScroll: true });
  }

  const lineOf = (g) => (!g ? null : g.type === 'LineString' ? g.coordinates : g.type === 'MultiLineString' ? g.coordinates.flat() : null);

  /** Opens the card of an edge, with what each layer of tiles says of it. */
  function openRoad(edge, geometry, { fly = false, focus = fly } = {}) {
    const tile = canvas.find('speeds', edge);
    const limit = canvas.find('limits', edge);
    const line = lineOf(geometry) ?? lineOf(tile?.geometry) ?? lineOf(limit?.geometry);
    shown.edge = edge;
    shown.error = null;
    openCard((stop) => roadCard(cardBox, { ...canvas.road(edge), ...tile?.properties, edge }, {
      line, learned: limit?.properties, close: closeCard, signal: stop, other: (e) => openRoad(e, line && { type: 'LineString', coordinates: line.toReversed() }),
    }), { focus });
    setParams({ edge });
    if (fly && line) canvas.goTo(line);
  }

  function openHazard(f, { fly = false } = {}) {
    shown.edge = f.properties.edge || null;
    openCard(() => { cardBox.replaceChildren(hazardCard(f, { close: closeCard, road: () => openRoad(f.properties.edge, null) })); }, { focus: fly });
    if (fly) canvas.goTo([f.geometry.coordinates, f.geometry.coordinates]);
  }

  function openError(f, { fly = false } = {}) {
    shown.edge = null;
    shown.error = f.id;
    if (!shown.errors) change({ errors: true });
    openCard(() => { cardBox.replaceChildren(errorCard(f, { close: closeCard, road: () => openRoad(f.properties.edge, f.geometry), decided })); }, { focus: fly });
    if (fly) canvas.goTo(lineOf(f.geometry) ?? [f.properties.at, f.properties.at]);
  }

  function decided(f, status) {
    announce(`${errorName(f.properties.type)}: ${status}`);
    errors.delete(f.id);
    closeCard();
    lists.reload();
  }

  // --- the map

  const ui = {
    waiting: (kind) => tell('', ...(WAITING[kind] ?? [''])),
    hover(feature, point) {
      if (!feature || matchMedia('(hover: none)').matches) {
        tip.hidden = true;
        return;
      }
      tip.replaceChildren(...summary(feature));
      tip.hidden = !tip.childNodes.length;
      const flip = point.x > area.clientWidth - 280;
      tip.style.left = `${flip ? point.x - tip.offsetWidth - 12 : point.x + 14}px`;
      tip.style.top = `${Math.min(point.y + 14, area.clientHeight - tip.offsetHeight - 8)}px`;
    },
    select(f) {
      tip.hidden = true;
      if (!f) return;
      const p = f.properties;
      if (f.source === 'hazards') openHazard(hazards.get(p.id) ?? hazardOfTile(f));
      else if (f.source === 'errors') openError(errors.get(p.id));
      else openRoad(f.source === 'roads' ? f.id * 2 : p.edge, f.geometry);
    },
    moved() {
      if (!canvas) return;
      const speeds = canvas.speedsInView();
      if (card?.road) {
        const f = speeds.find((s) => s.properties.edge === card.road.edge);
        if (f) card.road.update(f.properties);
      }
      lists.moved();
      past.moved();
      legend.hazards(canvas.hazardsInView().length);
      if (canvas.zoomedOut()) tell('small', 'Zoom in to see the roads coloured');
      else if (shown.mode === 'live' && !shown.past && !speeds.length && !ui.seen) tell('small', 'Waiting for the first speeds');
      else if (shown.mode === 'typical' && !speeds.length) tell('small', 'What is usual is not known yet: it takes some weeks of driving');
      else tell('', '');
      ui.seen ||= speeds.length > 0;
      keepExtent(canvas.box());
      const { lng, lat } = canvas.map.getCenter();
      setParams({ at: `${lng.toFixed(4)},${lat.toFixed(4)},${canvas.map.getZoom().toFixed(2)}` });
    },
  };

  /** A hazard as its tile has it, where the API's is not at hand. */
  const hazardOfTile = (f) => ({ ...f, geometry: f.geometry, properties: { ...f.properties, vehicles: f.properties.n, clean: undefined, ended: null } });

  function summary(f) {
    const p = f.properties;
    const name = () => roadTitle({ ...p, ...canvas.road(p.edge) });
    const line = (bold, text) => [h('b', null, bold), h('span', null, ` · ${text}`)];
    if (f.source === 'hazards') return line(nameOf(p.category), `${percent(p.probability)}, ${p.n} ${p.n === 1 ? 'car' : 'cars'} · since ${time(p.started)}`);
    if (f.source === 'errors') return line(errorName(p.type), `${p.vehicles} cars`);
    if (f.source === 'roads') return line(roadTitle(p), p.limit_kmh ? `limit ${speed(p.limit_kmh)}` : 'no cars lately');
    if (f.source === 'limits') {
      const said = p.map_kmh ? `the map says ${speed(p.map_kmh)}` : p.map_unlimited ? 'the map says none' : 'unknown to the map';
      const why = p.source === 'learned' ? `learned, ${percent(p.posterior)}, ${p.n} cars` : 'from the map';
      return line(p.unlimited ? 'No limit' : speed(p.kmh), `${why}${p.source === 'learned' && (p.differs || !p.map_kmh) ? `, ${said}` : ''} · ${name()}`);
    }
    if (shown.mode === 'typical') return p.typical ? line(speed(p.typical), `usual at this hour · ${name()}`) : [];
    return line(speed(p.kmh), `${percent(p.ratio ?? 1)} of free flow, ${p.n} cars · ${name()}`);
  }

  function change(what) {
    Object.assign(shown, what);
    // Only speeds are known of the past.
    if (what.mode) shown.past = what.mode === 'live' && past.isPast();
    setParams({ colour: shown.mode === 'live' ? null : shown.mode, hazards: shown.hazards ? null : 'no', errors: shown.errors ? 'yes' : null });
    legend.draw();
    for (const name of ['hazards', 'errors']) legendBox.querySelector(`#${name}-on`).checked = shown[name];
    canvas?.restyle();
  }
  const legend = startLegend(legendBox, shown, change);
  const past = startPast(legend.past, {
    canvas: () => canvas, at: params.get('time'), signal, place: (time) => setParams({ time }),
    changed(is) {
      if (shown.past === is) return;
      shown.past = is;
      legend.draw();
      canvas?.restyle();
      lists.redraw();
    },
  });

  const lists = startLists(listBox, {
    tab: params.get('tab'), canvas: () => canvas, past: () => shown.past, signal,
    chosen(tab) {
      setParams({ tab: tab === 'slow' ? null : tab });
      // The map shows what the list is about.
      if (tab === 'slow' && MODES[shown.mode].source !== 'speeds') choose('live');
      if (tab === 'limits') choose('differs');
      if (tab === 'hazards' && !shown.hazards) change({ hazards: true });
      if (tab === 'errors' && !shown.errors) change({ errors: true });
      sheet(true);
    },
    actions: {
      road: (edge, geometry) => openRoad(edge, geometry, { fly: true }),
      hazard: (f) => openHazard(f, { fly: true }),
      error: (f) => openError(f, { fly: true }),
      data(tab, doc) {
        if (tab === 'hazards') for (const f of doc.features) hazards.set(f.id, f);
        if (tab !== 'errors') return;
        errors.clear();
        for (const f of doc.features) errors.set(f.id, f);
        canvas?.setData('errors', { type: 'FeatureCollection', features: doc.features.map((f) => ({ ...f, properties: { id: f.id, type: f.properties.type, vehicles: f.properties.vehicles } })) });
      },
    },
  });
  startSearch(searchBox, {
    announce, signal,
    found(street) {
      if (!canvas) return;
      const [w, s, e, n] = street.bbox;
      canvas.goTo([[w, s], [e, n]]);
      // Its card needs its tiles.
      canvas.map.once('idle', () => openRoad(street.edges[0], null, { focus: true }));
    },
  });
  function choose(mode) {
    legendBox.querySelector(`[name="mode"][value="${mode}"]`).checked = true;
    change({ mode });
  }

  document.addEventListener('keydown', (e) => { if (e.key === 'Escape') closeCard(); }, { signal });

  const { startCanvas } = await library;
  startCanvas(area, { shown, at: place(params), ui, signal }).then((c) => {
    canvas = c;
    // For tests: what is on the map.
    window.carassoMap = c.map;
    if (shown.edge) c.map.once('idle', () => openRoad(Number(params.get('edge'))));
  }, (err) => {
    if (!signal.aborted) tell('', 'The map can\'t be shown', /webgl/i.test(String(err)) ? 'This browser has no WebGL 2.' : String(err.message ?? err));
  });

  return {
    redraw() {
      legend.draw();
      canvas?.restyle();
      lists.redraw();
      card?.road?.redraw();
    },
  };
}

