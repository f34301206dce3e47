// The map: roads and live speeds, refreshed in place.

import * as maplibregl from '/portal/third_party/maplibre-gl/maplibre-gl.mjs';
import { get } from './api.js';
import { style, visible } from './style.js';

const REFRESH_MS = 3000;
const WORLD = [-180, -85, 180, 85];
const ATTRIBUTION = '<a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noopener">© OpenStreetMap contributors</a>';

const layerURL = (layer) => `${location.origin}/v1/tiles/${layer}/{z}/{x}/{y}.mvt`;

/** A feature's speed, its ratio to free flow, and what free flow is there. */
export function reading({ kmh = 0, ratio = 1 }) {
  return { kmh, ratio, free: ratio > 0 ? Math.round(kmh / ratio) : 0 };
}

/** The layers of tiles, and those that change while one looks. */
const LAYERS = ['roads', 'speeds', 'limits', 'hazards'];
const LIVE = ['speeds', 'limits', 'hazards'];

/**
 * Starts the map. `ui` gets note(kind, title, text, code), clearNote(), hover(feature, point),
 * select(feature) and moved(). Resolves when there is a map to show.
 */
export async function startMap(theme, ui) {
  const shown = { view: 'speeds', hazards: true };
  const sources = {};
  let bounds = null;
  for (const layer of LAYERS) {
    const tilejson = await waitForMap(layer, ui);
    bounds ??= tilejson.bounds ?? WORLD;
    sources[layer] = {
      type: 'vector', tiles: [layerURL(layer)], minzoom: tilejson.minzoom ?? 0, maxzoom: tilejson.maxzoom ?? 14, bounds: tilejson.bounds ?? WORLD,
      promoteId: { speeds: 'edge', limits: 'edge', hazards: 'id' }[layer], attribution: layer === 'roads' ? ATTRIBUTION : undefined,
    };
    if (!sources[layer].promoteId) delete sources[layer].promoteId;
    if (!sources[layer].attribution) delete sources[layer].attribution;
  }
  const narrow = matchMedia('(max-width: 760px)');
  const padding = () => (narrow.matches
    ? { top: 70, bottom: 170, left: 20, right: 20 }
    : { top: 30, bottom: 40, left: 420, right: 60 });
  const reduced = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const map = new maplibregl.Map({
    container: 'map',
    style: style(theme, sources, shown),
    bounds: [[bounds[0], bounds[1]], [bounds[2], bounds[3]]],
    fitBoundsOptions: { padding: padding() },
    minZoom: 5,
    maxZoom: 19,
    fadeDuration: 150,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    // Ask the server whether a tile is still the newest, rather than the cache.
    transformRequest: (url) => ({ url, cache: 'no-cache' }),
  });
  // Nothing moves below the zoom at which speeds begin: rather begin with a part of the map.
  const speedsFrom = sources.speeds.minzoom;
  if (map.getZoom() < speedsFrom) map.jumpTo({ zoom: speedsFrom + 0.1 });
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false, visualizePitch: false }), 'top-right');
  map.addControl(new maplibregl.AttributionControl({ compact: false }), 'bottom-right');
  map.addControl(new maplibregl.ScaleControl({ maxWidth: 90 }), 'bottom-left');

  let hovered = null;
  const setHover = (id) => {
    if (id === hovered) return;
    if (hovered !== null) map.setFeatureState({ source: 'speeds', sourceLayer: 'speeds', id: hovered }, { hover: false });
    hovered = id;
    if (id !== null) map.setFeatureState({ source: 'speeds', sourceLayer: 'speeds', id }, { hover: true });
  };
  /** What is under a point: a hazard before a road. */
  const at = (point) => {
    const layers = ['hazards', `${shown.view}-reach`].filter((l) => map.getLayer(l));
    const found = map.queryRenderedFeatures(point, { layers });
    return found.find((f) => f.layer.id === 'hazards') ?? found[0];
  };
  map.on('mousemove', (e) => {
    const f = at(e.point);
    map.getCanvas().style.cursor = f ? 'pointer' : '';
    setHover(f?.source === 'speeds' ? f.properties.edge : null);
    ui.hover(f ?? null, e.point);
  });
  map.on('mouseout', () => {
    setHover(null);
    ui.hover(null);
  });
  map.on('click', (e) => ui.select(at(e.point) ?? null, e.point));
  map.on('idle', () => ui.moved());
  map.on('error', () => { /* a tile that failed is asked for again at the next refresh */ });

  const refresh = () => {
    // Not while tiles are still on their way: that would start them again.
    if (document.hidden) return;
    for (const layer of LIVE) if (map.getSource(layer) && map.isSourceLoaded(layer)) map.refreshTiles(layer);
  };
  setInterval(refresh, REFRESH_MS);
  document.addEventListener('visibilitychange', refresh);

  return {
    map,
    /** Marks the edge; null marks none. */
    mark(edge) {
      for (const l of ['speeds-selected', 'limits-selected']) if (map.getLayer(l)) map.setFilter(l, ['==', ['get', 'edge'], edge ?? -1]);
    },
    /** Colours the roads by 'speeds' or 'limits', and shows hazards or not. */
    setShown(change) {
      Object.assign(shown, change);
      for (const { id } of map.getStyle().layers) map.setLayoutProperty(id, 'visibility', visible(id, shown) ? 'visible' : 'none');
    },
    setTheme(t, edge) {
      map.setStyle(style(t, sources, shown), { diff: true });
      map.once('styledata', () => this.mark(edge));
    },
    /** An edge's feature in a layer of tiles, wherever it is loaded. */
    find(layer, edge) {
      if (!map.getSource(layer)) return undefined;
      return map.querySourceFeatures(layer, { sourceLayer: layer, filter: ['==', ['get', 'edge'], edge] })[0];
    },
    /** The hazards in view, each once. */
    hazardsInView() {
      if (!map.getLayer('hazards')) return [];
      const seen = new Map();
      for (const f of map.queryRenderedFeatures({ layers: ['hazards'] })) seen.set(f.properties.id, f);
      return [...seen.values()];
    },
    /** What the roads layer knows of an edge's road: its name, number and limit. */
    road(edge) {
      if (!map.getSource('roads')) return {};
      const id = Math.floor(edge / 2);
      const found = map.querySourceFeatures('roads', { sourceLayer: 'roads', filter: ['==', ['id'], id] })[0]?.properties ?? {};
      return { name: found.name ?? '', ref: found.ref ?? '' };
    },
    show(line) {
      const box = line.reduce((b, p) => b.extend(p), new maplibregl.LngLatBounds(line[0], line[0]));
      map.fitBounds(box, { padding: padding(), maxZoom: Math.max(map.getZoom(), 15), duration: reduced ? 0 : 900 });
    },
    /** Whether speeds are drawn at this zoom. */
    zoomedOut: () => map.getZoom() < speedsFrom,
    /** The speeds in view, each edge once. */
    inView() {
      if (!map.getLayer('speeds') || shown.view !== 'speeds') return [];
      const seen = new Map();
      for (const f of map.queryRenderedFeatures({ layers: ['speeds'] })) seen.set(f.properties.edge, f);
      return [...seen.values()];
    },
  };
}

async function waitForMap(layer, ui) {
  for (let wait = 1000; ; wait = Math.min(wait * 1.5, 8000)) {
    try {
      const tilejson = await get(`/v1/tiles.json?layer=${layer}`, { auth: false });
      ui.clearNote();
      return tilejson;
    } catch (err) {
      if (err.status === 0) ui.note('', 'The server is away', 'Trying again until it answers.');
      else ui.note('', 'No map yet', 'Import a road network from OpenStreetMap; it shows here by itself.', 'carasso map import FILE.osm.pbf');
    }
    await new Promise((done) => setTimeout(done, wait));
  }
}
