// The time slider: what was driven at a time of the last 24 hours, instead of now.

import { get, query } from '../../core/api.js';
import { h, say } from '../../core/dom.js';
import { time, when } from '../../core/format.js';

const STEP_MS = 15 * 60_000;
const STEPS = 96; // a day
const PATIENCE_MS = 250;
const MOST = 10_000;
const NOTHING = { type: 'FeatureCollection', features: [] };

/** What /v1/segments told, as lines like those of the speeds layer. */
const asSpeeds = (doc) => ({ type: 'FeatureCollection', features: doc.features.filter((f) => f.geometry && !f.properties.suppressed && f.properties.free_kmh).map(({ geometry, properties: p }) => ({
  type: 'Feature', geometry, properties: { edge: p.edge, class: p.class, name: p.name, ref: p.ref, kmh: p.mean_kmh, free: p.free_kmh, ratio: p.mean_kmh / p.free_kmh, n: p.vehicles },
})) });

/**
 * Draws the slider into el. canvas() is the map or null; changed(past) is called when the map shows the past
 * or no longer does, place(t) with the time to keep in the address, null for now. at: a time to begin with.
 */
export function startPast(el, { canvas, changed, place, at, signal }) {
  let end = null; // of the quarter of an hour that is shown, ms; null: now
  let timer = 0;
  let request = null;
  let asked = '';
  const label = h('output', { for: 'past-slider', id: 'past-time' });
  const live = h('button', { type: 'button', class: 'button', id: 'past-live', on: { click: () => { slider.value = String(STEPS); move(); } } }, 'Now');
  const slider = h('input', { type: 'range', id: 'past-slider', min: 0, max: STEPS, step: 1, 'aria-label': 'Time, over the last 24 hours', on: { input: move } });
  slider.value = String(STEPS);
  const note = h('p', { class: 'note', role: 'status', hidden: true });
  el.replaceChildren(h('div', { class: 'slider' }, slider, label, live), note);

  const now = () => Math.floor(Date.now() / STEP_MS) * STEP_MS;

  function draw() {
    live.hidden = end === null;
    label.replaceChildren(end === null ? 'Now' : when(end - STEP_MS, (d) => `${time(d)}–${time(end)}`));
    slider.setAttribute('aria-valuetext', label.textContent);
  }

  function move() {
    const back = STEPS - Number(slider.value);
    end = back ? now() - (back - 1) * STEP_MS : null;
    draw();
    clearTimeout(timer);
    request?.abort();
    asked = '';
    place(end === null ? null : new Date(end).toISOString());
    if (end === null) {
      note.hidden = true;
      changed(false);
      canvas()?.setData('past', NOTHING);
      return;
    }
    timer = setTimeout(load, PATIENCE_MS);
  }

  async function load() {
    const c = canvas();
    if (!c || end === null) return;
    const bbox = c.box().map((v) => v.toFixed(3)).join(',');
    if (asked === `${bbox} ${end}`) return;
    asked = `${bbox} ${end}`;
    request?.abort();
    request = new AbortController();
    const turn = AbortSignal.any([request.signal, signal]);
    try {
      const doc = await get(query('/v1/segments', { bbox, from: end - STEP_MS, to: end, limit: MOST }), { signal: turn });
      const speeds = asSpeeds(doc);
      changed(true);
      c.setData('past', speeds);
      note.hidden = speeds.features.length > 0;
      say(note, `Nowhere in view did ${doc.k} cars drive then.`);
    } catch (err) {
      if (turn.aborted) return;
      asked = '';
      note.hidden = false;
      say(note, err.denied ? 'A token is needed to look back.' : err.message);
    }
  }

  const start = Date.parse(at ?? '');
  if (start) {
    const back = Math.round((now() - start) / STEP_MS) + 1;
    if (back >= 1 && back <= STEPS) {
      slider.value = String(STEPS - back);
      end = now() - (back - 1) * STEP_MS;
    }
  }
  draw();
  return { moved: load, isPast: () => end !== null };
}
