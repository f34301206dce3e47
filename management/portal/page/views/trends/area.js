// Where: everywhere, the part of the map that was looked at, a box or polygon that was drawn, or a street.

import { extent } from '../../core/extent.js';

export const AREAS = { all: 'Everywhere', view: 'As last seen on the map', box: 'A box', polygon: 'A polygon', street: 'A street' };

const MOST_EDGES = 200; // of the API
const MOST_CORNERS = 100;

/** west,south,east,north of a text, or null if it is none. */
export function boxOf(text) {
  const b = (text ?? '').split(',').map(Number);
  return b.length === 4 && b.every(Number.isFinite) && b[0] < b[2] && b[1] < b[3] ? b : null;
}

/** Corners [lon, lat] of a text such as 1.5,42.5;1.6,42.5;1.6,42.6, or null if it has fewer than three. */
export function cornersOf(text) {
  const corners = (text ?? '').split(/[;\s]+/).filter(Boolean).map((p) => p.split(',').map(Number));
  return corners.length >= 3 && corners.length <= MOST_CORNERS && corners.every((p) => p.length === 2 && p.every(Number.isFinite) && Math.abs(p[0]) <= 180 && Math.abs(p[1]) <= 90) ? corners : null;
}

/** An area without numbers yet. */
export const anArea = (kind, extra = {}) => ({ kind, bbox: '', polygon: '', street: '', edges: '', ...extra });

/** The area of an address's parameters. */
export function areaOf(params) {
  const kind = params.get('area') ?? (params.get('bbox') ? 'box' : 'all');
  const a = anArea(kind in AREAS ? kind : 'all', { bbox: params.get('bbox') ?? '', polygon: params.get('polygon') ?? '', street: params.get('street') ?? '', edges: params.get('edges') ?? '' });
  if (a.kind === 'view' && !boxOf(a.bbox)) a.bbox = (extent() ?? []).join(',');
  return a;
}

/** A street of /v1/roads/search as an area. */
export const streetArea = (street) => anArea('street', { street: street.name || street.ref, edges: street.edges.slice(0, MOST_EDGES).join(','), bbox: street.bbox.join(',') });

/** Whether it says where; a kind that was chosen and not filled in yet does not. */
export const isSet = (a) => ({ all: true, view: Boolean(boxOf(a.bbox)), box: Boolean(boxOf(a.bbox)), polygon: Boolean(cornersOf(a.polygon)), street: Boolean(a.edges) })[a.kind];

/** What an endpoint is asked. */
export function areaParams(a) {
  if (!isSet(a)) return {};
  if (a.kind === 'polygon') {
    const corners = cornersOf(a.polygon);
    return { polygon: JSON.stringify({ type: 'Polygon', coordinates: [[...corners, corners[0]]] }) };
  }
  if (a.kind === 'street') return { edges: a.edges };
  return a.kind === 'all' ? {} : { bbox: a.bbox };
}

/** What the address keeps; null for what is not needed. */
export const areaAddress = (a) => ({
  area: a.kind === 'all' ? null : a.kind, bbox: ['view', 'box', 'street'].includes(a.kind) ? a.bbox : null, polygon: a.kind === 'polygon' ? a.polygon : null,
  street: a.kind === 'street' ? a.street : null, edges: a.kind === 'street' ? a.edges : null,
});

/** An area in words. */
export const areaWords = (a) => ({ all: 'everywhere', view: 'in the part of the map last seen', box: 'in the box', polygon: 'in the polygon', street: `on ${a.street}` })[isSet(a) ? a.kind : 'all'];

/** The ring that shows it, or null. */
export function ringOf(a) {
  if (a.kind === 'polygon') return cornersOf(a.polygon);
  const b = a.kind === 'all' ? null : boxOf(a.bbox);
  return b && [[b[0], b[1]], [b[2], b[1]], [b[2], b[3]], [b[0], b[3]]];
}
