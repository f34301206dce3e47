// The map itself: tiles, what is under the pointer, and refreshing in place.

import * as maplibregl from '/portal/third_party/maplibre-gl/maplibre-gl.mjs';
import { get } from '../../core/api.js';
import { reducedMotion, theme } from '../../core/prefs.js';
import { MODES } from './modes.js';
import { colours } from './palette.js';
import { style } from './style.js';

const REFRESH_MS = 3000;
const SLOWEST_MS = 10_000;
const WORLD = [-180, -85, 180, 85];
const NOTHING = { type: 'FeatureCollection', features: [] };
const ATTRIBUTION = '<a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noopener">© OpenStreetMap contributors</a>';
const PHONE = '(max-width: 760px)';

/** The layers of tiles, and those that change while one looks. */
const LAYERS = ['roads', 'speeds', 'limits', 'hazards'];
const LIVE = ['speeds', 'limits', 'hazards'];
const IDS = { speeds: 'edge', limits: 'edge', hazards: 'id' };

// Its workers take a while to start: begin before there is a map.
maplibregl.prewarm();

const layerURL = (layer) => `${location.origin}/v1/tiles/${layer}/{z}/{x}/{y}.mvt`;

/** A feature's speed, its ratio to free flow, and what free flow is there; km/h. */
export const reading = ({ kmh = 0, ratio = 1, free }) => ({ kmh, ratio, free: free ?? (ratio > 0 ? Math.round(kmh / ratio) : 0) });

/** A rounded plate behind the numbers of roads, 3 x 3 with stretchable middle. */
function shield({ shield: fill, casing }) {
  const size = 24;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = size;
  const g = canvas.getContext('2d');
  g.beginPath();
  g.roundRect(2, 2, size - 4, size - 4, 7);
  g.fillStyle = fill;
  g.fill();
  g.lineWidth = 2;
  g.strokeStyle = casing;
  g.stroke();
  const { data } = g.getImageData(0, 0, size, size);
  return [{ width: size, height: size, data }, { pixelRatio: 2, stretchX: [[10, 14]], stretchY: [[10, 14]], content: [4, 4, size - 4, size - 4] }];
}

/** Waits for the server to have a map: waiting(kind) tells why there is none yet. */
async function sourcesOf(waiting, signal) {
  const sources = {};
  let documents = null;
  for (let wait = 1000; !documents; wait = Math.min(wait * 1.5, 8000)) {
    try {
      documents = await Promise.all(LAYERS.map((layer) => get(`/v1/tiles.json?layer=${layer}`, { auth: false, signal })));
    } catch (err) {
      if (signal.aborted) throw err;
      waiting(err.status === 0 ? 'away' : 'no-map');
      await new Promise((done) => setTimeout(done, wait));
    }
  }
  const bounds = documents[0].bounds ?? WORLD;
  LAYERS.forEach((layer, i) => {
    const tilejson = documents[i];
    sources[layer] = { type: 'vector', tiles: [layerURL(layer)], minzoom: tilejson.minzoom ?? 0, maxzoom: tilejson.maxzoom ?? 14, bounds: tilejson.bounds ?? WORLD };
    if (IDS[layer]) sources[layer].promoteId = IDS[layer];
    if (layer === 'roads') sources[layer].attribution = ATTRIBUTION;
  });
  waiting(null);
  sources.errors = { type: 'geojson', data: NOTHING };
  sources.past = { type: 'geojson', data: NOTHING };
  return { sources, bounds };
}

/**
 * Starts the map in el. `shown` is { mode, hazards, errors, past, edge, error }, at is [lon, lat, zoom] or null.
 * ui gets waiting(kind), hover(feature, point), select(feature) and moved(). Resolves when there is a map.
 */
export async function startCanvas(el, { shown, at, ui, signal }) {
  const { sources, bounds } = await sourcesOf(ui.waiting, signal);
  const narrow = matchMedia(PHONE);
  // What lies over the map: the panel at the side, or the sheet below.
  const padding = () => (narrow.matches ? { top: 200, bottom: 250, left: 20, right: 20 } : { top: 40, bottom: 70, left: 400, right: 70 });
  const map = new maplibregl.Map({
    container: el,
    style: style(theme(), sources, shown),
    ...(at ? { center: [at[0], at[1]], zoom: at[2] } : { bounds: [[bounds[0], bounds[1]], [bounds[2], bounds[3]]], fitBoundsOptions: { padding: padding() } }),
    minZoom: 5,
    maxZoom: 19,
    fadeDuration: reducedMotion() ? 0 : 150,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    // Ask the server whether a tile is still the newest, rather than the cache.
    transformRequest: (url) => ({ url, cache: 'no-cache' }),
  });
  // Nothing moves below the zoom at which speeds begin: rather begin with a part of the map.
  const speedsFrom = sources.speeds.minzoom;
  if (!at && map.getZoom() < speedsFrom) map.jumpTo({ zoom: speedsFrom + 0.1 });
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false, visualizePitch: false }), 'top-right');
  map.addControl(new maplibregl.AttributionControl({ compact: false }), 'bottom-right');
  map.addControl(new maplibregl.ScaleControl({ maxWidth: 90 }), 'bottom-left');
  map.getCanvas().setAttribute('aria-label', 'Map. The lists beside it say the same.');

  const data = { errors: NOTHING, past: NOTHING };
  const plate = () => {
    const [image, options] = shield(colours(theme()));
    if (map.hasImage('shield')) map.updateImage('shield', image);
    else map.addImage('shield', image, options);
  };
  map.on('style.load', plate);

  let hovered = null;
  const setHover = (id) => {
    if (id === hovered) return;
    if (hovered !== null) map.setFeatureState({ source: 'speeds', sourceLayer: 'speeds', id: hovered }, { hover: false });
    hovered = id;
    if (id !== null) map.setFeatureState({ source: 'speeds', sourceLayer: 'speeds', id }, { hover: true });
  };
  const ORDER = ['hazards', 'error-points', 'errors-reach', 'past', 'speeds-reach', 'limits-reach', 'roads-reach'];
  /** What is under a point: a hazard before a candidate before a road. */
  const under = (point) => {
    const found = map.queryRenderedFeatures(point, { layers: ORDER.filter((l) => map.getLayer(l)) });
    return found.sort((a, b) => ORDER.indexOf(a.layer.id) - ORDER.indexOf(b.layer.id))[0] ?? null;
  };
  map.on('mousemove', (e) => {
    const f = under(e.point);
    map.getCanvas().style.cursor = f ? 'pointer' : '';
    setHover(f?.source === 'speeds' ? f.properties.edge : null);
    ui.hover(f, e.point);
  });
  map.on('mouseout', () => {
    setHover(null);
    ui.hover(null);
  });
  map.on('click', (e) => ui.select(under(e.point)));
  map.on('idle', () => ui.moved());
  // Idleness may be long in coming where tiles are slow: tell of what is there already.
  let told = 0;
  map.on('sourcedata', (e) => {
    if (!e.isSourceLoaded || Date.now() - told < 700) return;
    told = Date.now();
    ui.moved();
  });
  map.on('error', () => { /* a tile that failed is asked for again at the next refresh */ });

  // The next refresh comes some time after the map has come to rest from the last one, so that a slow
  // machine keeps time for its user; and anyway after a while.
  let timer = 0;
  const plan = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(refresh, ms);
  };
  const refresh = () => {
    if (signal.aborted) return;
    plan(SLOWEST_MS);
    // Not while tiles are still on their way: that would start them again.
    if (document.hidden) return;
    for (const layer of LIVE) if (map.getSource(layer) && map.isSourceLoaded(layer)) map.refreshTiles(layer);
  };
  map.on('idle', () => plan(REFRESH_MS));
  document.addEventListener('visibilitychange', refresh, { signal });
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    map.remove();
  });

  const once = (layers, key) => {
    const ids = layers.filter((l) => map.getLayer(l));
    const seen = new Map();
    if (ids.length) for (const f of map.queryRenderedFeatures({ layers: ids })) seen.set(key(f), f);
    return [...seen.values()];
  };

  return {
    map,
    bounds,
    /** Draws what `shown` says now, in the theme in use. */
    restyle() {
      const s = style(theme(), { ...sources, errors: { ...sources.errors, data: data.errors }, past: { ...sources.past, data: data.past } }, shown);
      map.setStyle(s, { diff: true });
      plate();
    },
    /** Sets what a source of GeoJSON ('errors', 'past') holds. */
    setData(name, collection) {
      data[name] = collection;
      map.getSource(name)?.setData(collection);
    },
    /** An edge's feature in a layer of tiles, wherever it is loaded. */
    find: (layer, edge) => (map.getSource(layer) ? map.querySourceFeatures(layer, { sourceLayer: layer, filter: ['==', ['get', 'edge'], edge] })[0] : undefined),
    /** What the roads layer knows of an edge's road. */
    road(edge) {
      if (!map.getSource('roads')) return {};
      const f = map.querySourceFeatures('roads', { sourceLayer: 'roads', filter: ['==', ['id'], Math.floor(edge / 2)] })[0];
      return f ? { name: f.properties.name ?? '', ref: f.properties.ref ?? '', class: f.properties.class } : {};
    },
    /** Moves to a line of [lon, lat], or to a point. */
    goTo(line) {
      const box = line.reduce((b, p) => b.extend(p), new maplibregl.LngLatBounds(line[0], line[0]));
      map.fitBounds(box, { padding: padding(), maxZoom: Math.max(map.getZoom(), 15), duration: reducedMotion() ? 0 : 900 });
    },
    /** Whether the coloured lines are too fine for this zoom. */
    zoomedOut: () => map.getZoom() < sources[MODES[shown.mode].source].minzoom,
    speedsInView: () => once([shown.past ? 'past' : 'speeds'], (f) => f.properties.edge),
    hazardsInView: () => once(['hazards'], (f) => f.properties.id),
    /** What is in view and a margin on each side (a share of it), and whether that is all of the view. */
    around(margin, most = 0.6) {
      const b = map.getBounds();
      const seen = this.box(most);
      const clip = (v, lo, hi) => Math.min(hi, Math.max(lo, v));
      const [w, h] = [seen[2] - seen[0], seen[3] - seen[1]];
      const dx = Math.max(0, Math.min(margin * w, (most - w) / 2));
      const dy = Math.max(0, Math.min(margin * h, (most * 0.6 - h) / 2));
      const box = [clip(seen[0] - dx, bounds[0], seen[0]), clip(seen[1] - dy, bounds[1], seen[1]), clip(seen[2] + dx, seen[2], bounds[2]), clip(seen[3] + dy, seen[3], bounds[3])];
      return { box, whole: seen[0] <= Math.max(b.getWest(), bounds[0]) && seen[1] <= Math.max(b.getSouth(), bounds[1]) && seen[2] >= Math.min(b.getEast(), bounds[2]) && seen[3] >= Math.min(b.getNorth(), bounds[3]) };
    },
    /** What is in view and on the map, as west, south, east, north; at most so many degrees wide and high. */
    box(most = 0.6) {
      const b = map.getBounds();
      const half = most / 2;
      const { lng, lat } = map.getCenter();
      const w = Math.max(b.getWest(), bounds[0], lng - half);
      const s = Math.max(b.getSouth(), bounds[1], lat - half * 0.6);
      return [w, s, Math.max(w, Math.min(b.getEast(), bounds[2], lng + half)), Math.max(s, Math.min(b.getNorth(), bounds[3], lat + half * 0.6))];
    },
  };
}
