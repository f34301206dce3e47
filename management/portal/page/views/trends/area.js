// A small map on which a box is drawn.

import * as maplibregl from '/portal/third_party/maplibre-gl/maplibre-gl.mjs';
import { get } from '../../core/api.js';
import { stylesheet } from '../../core/dom.js';
import { theme } from '../../core/prefs.js';
import { colours } from '../map/palette.js';
import { boxOf } from './box.js';

const PRECISION = 4;

const ring = ([w, s, e, n]) => ({ type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]] } });
const NONE = { type: 'FeatureCollection', features: [] };

/** A map in el on which a box can be drawn; drawn(text) is called with it. Returns { show(text), redraw() }. */
export async function areaMap(el, { box, drawn, signal }) {
  await stylesheet('/portal/third_party/maplibre-gl/maplibre-gl.css');
  const tilejson = await get('/v1/tiles.json?layer=roads', { auth: false, signal });
  const b = tilejson.bounds;
  const look = () => {
    const c = colours(theme());
    return { version: 8, sources: { roads: { type: 'vector', tiles: [`${location.origin}/v1/tiles/roads/{z}/{x}/{y}.mvt`], minzoom: tilejson.minzoom, maxzoom: tilejson.maxzoom, bounds: b }, box: { type: 'geojson', data: box ? ring(box) : NONE } },
      layers: [
        { id: 'background', type: 'background', paint: { 'background-color': c.background } },
        { id: 'roads', type: 'line', source: 'roads', 'source-layer': 'roads', paint: { 'line-color': c.label, 'line-opacity': 0.75, 'line-width': ['match', ['get', 'class'], ['motorway', 'trunk', 'primary'], 1.8, 0.8] } },
        { id: 'box', type: 'fill', source: 'box', paint: { 'fill-color': c.speed[3], 'fill-opacity': 0.2 } },
        { id: 'box-line', type: 'line', source: 'box', paint: { 'line-color': c.speed[3], 'line-width': 2 } },
      ] };
  };
  const map = new maplibregl.Map({ container: el, style: look(), bounds: [[b[0], b[1]], [b[2], b[3]]], fitBoundsOptions: { padding: 12 }, attributionControl: false, dragRotate: false, dragPan: false, boxZoom: false, doubleClickZoom: false, keyboard: false, fadeDuration: 0 });
  map.touchZoomRotate.disable();
  map.getCanvas().setAttribute('aria-label', 'Map to draw a box on; the field below takes numbers instead');
  signal.addEventListener('abort', () => map.remove());
  const set = (next) => {
    box = next;
    map.getSource('box')?.setData(box ? ring(box) : NONE);
  };
  let start = null;
  const span = (p, q) => [Math.min(p.lng, q.lng), Math.min(p.lat, q.lat), Math.max(p.lng, q.lng), Math.max(p.lat, q.lat)].map((v) => Number(v.toFixed(PRECISION)));
  const canvas = map.getCanvasContainer();
  const at = (e) => {
    const r = canvas.getBoundingClientRect();
    return map.unproject([e.clientX - r.left, e.clientY - r.top]);
  };
  canvas.style.touchAction = 'none';
  canvas.style.cursor = 'crosshair';
  canvas.addEventListener('pointerdown', (e) => {
    start = at(e);
    canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener('pointermove', (e) => { if (start) set(span(start, at(e))); });
  canvas.addEventListener('pointerup', (e) => {
    if (!start) return;
    const next = span(start, at(e));
    start = null;
    // A mere click takes the box away.
    set(next[2] - next[0] > 1e-3 && next[3] - next[1] > 1e-3 ? next : null);
    drawn(box ? box.join(',') : '');
  });
  return { show: (text) => set(boxOf(text)), redraw: () => map.setStyle(look(), { diff: true }), map };
}
