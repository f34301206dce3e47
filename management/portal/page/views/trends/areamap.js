// A small map that shows an area, and on which boxes and polygons are drawn.

import * as maplibregl from '/portal/third_party/maplibre-gl/maplibre-gl.mjs';
import { get } from '../../core/api.js';
import { stylesheet } from '../../core/dom.js';
import { theme } from '../../core/prefs.js';
import { colours } from '../map/palette.js';
import { anArea, ringOf } from './area.js';

const DIGITS = 4;
const LEAST_DEG = 1e-3;
const NEAR_PX = 10;

const round = (p) => [p.lng, p.lat].map((v) => Number(v.toFixed(DIGITS)));
const NONE = { type: 'FeatureCollection', features: [] };
const drawingOf = (corners, closed) => (!corners?.length ? NONE : { type: 'FeatureCollection', features: [
  closed ? { type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: [[...corners, corners[0]]] } } : { type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates: corners.length > 1 ? corners : [corners[0], corners[0]] } },
  ...(closed ? [] : corners.map((c) => ({ type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates: c } }))),
] });

/**
 * A map in el. drawn(area) is called with a box or polygon that was drawn. Returns { show(area), redraw(), map }:
 * show also decides what drawing makes: boxes by dragging, polygons by a click for each corner and one on the first
 * corner, or a double click, to end it. With other areas the map is moved instead.
 */
export async function areaMap(el, { area, drawn, signal }) {
  await stylesheet('/portal/third_party/maplibre-gl/maplibre-gl.css');
  const tilejson = await get('/v1/tiles.json?layer=roads', { auth: false, signal });
  const b = tilejson.bounds;
  let data = drawingOf(ringOf(area), true);
  let placed = false;
  const look = () => {
    const c = colours(theme());
    const line = c.speed[3];
    return { version: 8, sources: { roads: { type: 'vector', tiles: [`${location.origin}/v1/tiles/roads/{z}/{x}/{y}.mvt`], minzoom: tilejson.minzoom, maxzoom: tilejson.maxzoom, bounds: b }, area: { type: 'geojson', data } },
      layers: [
        { id: 'background', type: 'background', paint: { 'background-color': c.background } },
        { id: 'roads', type: 'line', source: 'roads', 'source-layer': 'roads', paint: { 'line-color': c.label, 'line-opacity': 0.75, 'line-width': ['match', ['get', 'class'], ['motorway', 'trunk', 'primary'], 1.8, 0.8] } },
        { id: 'area', type: 'fill', source: 'area', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': line, 'fill-opacity': 0.2 } },
        { id: 'area-line', type: 'line', source: 'area', paint: { 'line-color': line, 'line-width': 2 } },
        { id: 'area-corners', type: 'circle', source: 'area', filter: ['==', ['geometry-type'], 'Point'], paint: { 'circle-radius': 4.5, 'circle-color': line } },
      ] };
  };
  const map = new maplibregl.Map({ container: el, style: look(), bounds: [[b[0], b[1]], [b[2], b[3]]], fitBoundsOptions: { padding: 12 }, minZoom: tilejson.minzoom, attributionControl: false, dragRotate: false, boxZoom: false, doubleClickZoom: false, keyboard: false, fadeDuration: 0 });
  map.touchZoomRotate.disableRotation();
  map.getCanvas().setAttribute('aria-label', 'Map to draw an area on; the field below takes numbers instead');
  signal.addEventListener('abort', () => map.remove());

  let corners = []; // of a polygon that is being drawn
  let start = null; // of a box that is being drawn
  const put = (points, closed) => {
    data = drawingOf(points, closed);
    map.getSource('area')?.setData(data);
  };
  const drawing = () => ['box', 'polygon'].includes(area.kind);
  const canvas = map.getCanvasContainer();
  const pointer = (e) => {
    const r = canvas.getBoundingClientRect();
    return [e.clientX - r.left, e.clientY - r.top];
  };
  const span = (p, q) => [Math.min(p[0], q[0]), Math.min(p[1], q[1]), Math.max(p[0], q[0]), Math.max(p[1], q[1])];

  function mode() {
    canvas.style.touchAction = drawing() ? 'none' : '';
    canvas.style.cursor = drawing() ? 'crosshair' : '';
    map.dragPan[drawing() ? 'disable' : 'enable']();
  }

  function finish() {
    if (corners.length < 3) return;
    const done = anArea('polygon', { polygon: corners.map((c) => c.join(',')).join(';') });
    corners = [];
    drawn(done);
  }

  canvas.addEventListener('pointerdown', (e) => {
    if (area.kind !== 'box') return;
    start = round(map.unproject(pointer(e)));
    canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener('pointermove', (e) => {
    const at = () => round(map.unproject(pointer(e)));
    if (start) put(ringOf(anArea('box', { bbox: span(start, at()).join(',') })), true);
    else if (corners.length) put([...corners, at()], false);
  });
  canvas.addEventListener('pointerup', (e) => {
    if (!start) return;
    const box = span(start, round(map.unproject(pointer(e))));
    start = null;
    // A mere click takes the box away.
    drawn(anArea('box', { bbox: box[2] - box[0] > LEAST_DEG && box[3] - box[1] > LEAST_DEG ? box.join(',') : '' }));
  });
  canvas.addEventListener('click', (e) => {
    if (area.kind !== 'polygon') return;
    const p = pointer(e);
    const near = (c) => Math.hypot(...Object.values(map.project(c)).map((v, i) => v - p[i])) < NEAR_PX;
    if (corners.length >= 3 && (e.detail > 1 || near(corners[0]))) finish();
    else if (!corners.length || !near(corners.at(-1))) {
      corners.push(round(map.unproject(p)));
      put(corners, false);
    }
  });
  mode();
  return {
    map,
    show(next) {
      area = next;
      corners = [];
      put(ringOf(area), true);
      mode();
      const ring = ringOf(area);
      if (!ring || (placed && drawing())) return;
      placed = true;
      const box = ring.reduce((all, p) => all.extend(p), new maplibregl.LngLatBounds(ring[0], ring[0]));
      map.fitBounds(box, { padding: drawing() ? 50 : 24, maxZoom: 14, duration: 0 });
    },
    redraw: () => map.setStyle(look(), { diff: true }),
  };
}
