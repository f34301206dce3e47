// The form that says what is to be shown.

import { extent } from '../../core/extent.js';
import { h } from '../../core/dom.js';
import { roadClass, words } from '../../core/format.js';
import { startSearch } from '../map/search.js';
import { AREAS, anArea, boxOf, cornersOf, isSet, streetArea } from './area.js';
import { COMPARISONS, PERIODS, rangeOf, stepOf, stepsFrom } from './period.js';

const CLASSES = ['motorway', 'trunk', 'primary', 'secondary', 'tertiary', 'residential', 'unclassified', 'living_street', 'service'];

const local = (t) => (t ? new Date(Date.parse(t) - new Date(t).getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : '');
const labels = (o) => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, v.label]));

const choice = (label, name, options, value, change) => h('label', { class: 'field' }, h('span', null, label),
  h('select', { name, on: { change: (e) => change(e.target.value) } }, Object.entries(options).map(([v, text]) => h('option', { value: v, selected: v === value }, text))));

const moment = (label, name, value, change) => h('label', { class: 'field' }, h('span', null, label),
  h('input', { type: 'datetime-local', name, value: local(value), on: { change: (e) => e.target.value && change(new Date(e.target.value).toISOString()) } }));

/** A field that takes an area as numbers, for those who don't draw. */
const numbers = (name, value, placeholder, label, change) => h('input', { type: 'text', id: name, name, value, placeholder, spellcheck: 'false', 'aria-label': label, on: { change: (e) => change(e.target.value.trim()) } });

/** Draws into form; change(what) is told what of the state changed. Returns { draw(state) }. mapBox is the map to draw on. */
export function startControls(form, { measures, mapBox, change, announce, signal }) {
  const street = h('div', { class: 'search' });
  startSearch(street, { found: (found) => change({ area: streetArea(found) }), announce, signal });
  const streetField = street.querySelector('input');

  function place(s, m) {
    if (!m.area) return h('p', { class: 'muted small' }, 'This measure is of the whole fleet, wherever it drives.');
    const a = s.area;
    const kinds = Object.fromEntries(Object.entries(AREAS).filter(([k]) => k !== 'street' || m.edges));
    const pick = (kind) => {
      if (kind === 'view') change({ area: anArea('view', { bbox: (extent() ?? []).join(',') }) });
      else change({ area: anArea(kind, kind === 'box' ? { bbox: s.area.bbox } : {}) });
    };
    const hint = {
      all: '', view: isSet(a) ? '' : 'Open the map first: what it shows is taken.', street: a.street ? `Both directions of ${a.street}.` : 'Type a name and choose from the list.',
      box: isSet(a) ? 'A click on the map takes it away.' : 'Drag on the map, or type its edges.', polygon: isSet(a) ? 'A click on the map begins another one.' : 'Click its corners on the map; a double click ends it.',
    }[a.kind];
    if (document.activeElement !== streetField) streetField.value = a.street;
    return h('div', { class: 'field place' }, choice('Area', 'area', kinds, a.kind, pick),
      a.kind === 'street' ? street : null, mapBox,
      a.kind === 'box' ? numbers('bbox', a.bbox, 'west,south,east,north', 'Area: west, south, east, north in degrees', (text) => change({ area: anArea('box', { bbox: boxOf(text) ? text : '' }) })) : null,
      a.kind === 'polygon' ? numbers('polygon', a.polygon, 'lon,lat;lon,lat;lon,lat', 'Corners: longitude, latitude; and so on', (text) => change({ area: anArea('polygon', { polygon: cornersOf(text) ? text : '' }) })) : null,
      hint && h('small', null, hint));
  }

  return {
    draw(s) {
      const m = measures[s.measure];
      const focused = document.activeElement?.name;
      const { from, to, compare } = rangeOf(s);
      const iso = (t) => new Date(t).toISOString();
      mapBox.hidden = s.area.kind === 'all';
      form.replaceChildren(...[
        choice('Measure', 'measure', labels(measures), s.measure, (measure) => change({ measure, value: null, along: null, split: null, step: '' })),
        Object.keys(m.values).length > 1 && choice('Value', 'value', labels(m.values), s.value, (value) => change({ value })),
        place(s, m),
        choice('Period', 'period', labels(PERIODS), s.period, (period) => change({ period, step: '', from: iso(from), to: iso(to) })),
        s.period === 'custom' && moment('From', 'from', s.from, (t) => change({ from: t })),
        s.period === 'custom' && moment('To', 'to', s.to, (t) => change({ to: t })),
        choice('Along', 'along', m.along, s.along, (along) => change({ along })),
        s.along === 'time' && choice('In steps of', 'step', stepsFrom(m.finest), stepOf(s), (step) => change({ step })),
        Object.keys(m.split).length > 1 && choice('Split by', 'split', Object.fromEntries(Object.entries(m.split).filter(([k]) => k !== 'none' || s.along !== 'none')), s.split, (split) => change({ split })),
        m.edges && choice('Roads', 'class', { '': 'All classes', ...Object.fromEntries(CLASSES.map((c) => [c, words(roadClass(c))])) }, s.class, (c) => change({ class: c })),
        m.compare && choice('Compare with', 'compare', COMPARISONS, s.compare, (to2) => change({ compare: to2, compareFrom: compare ? iso(compare.from) : iso(from - (to - from)) })),
        s.compare === 'own' && moment('Which begins', 'compare-from', s.compareFrom, (t) => change({ compareFrom: t })),
      ].filter(Boolean));
      if (focused) form.querySelector(`[name="${focused}"]`)?.focus();
    },
  };
}
