// The time slider: what was driven at a time of the last 24 hours, instead of now.

import { get, query } from '../../core/api.js';
import { h, say } from '../../core/dom.js';
import { count, time, when } from '../../core/format.js';

const STEP_MS = 15 * 60_000;
const STEPS = 96; // a day
const PATIENCE_MS = 250;
const MOST = 10_000;
const SETTLED_MS = 60_000; // what cars send late comes in for a while after a quarter of an hour is over
const KEPT = 50_000; // stretches in answers, so that going back and forth asks nothing
const MARGIN = 0.2; // of what is in view, on each side: small moves ask nothing either
const NOTHING = { type: 'FeatureCollection', features: [] };

const covers = (a, b) => a[0] <= b[0] && a[1] <= b[1] && a[2] >= b[2] && a[3] >= b[3];
const size = (b) => (b[2] - b[0]) * (b[3] - b[1]);

/**
 * Whether an answer holds all that is to be known of a box: one that broke off holds less, so a much smaller box is asked anew, as is
 * after a minute what was asked while the quarter of an hour was hardly over.
 */
const answers = (held, end, box) => held.end === end && covers(held.box, box) && (!held.broken || size(box) > size(held.box) / 2)
  && (held.at - end > STEP_MS || Date.now() - held.at < SETTLED_MS);

/** What is not on the map of that time, and why. */
function missing({ speeds, few, k, broken, whole }) {
  return [
    !speeds.features.length && !few ? 'Nobody drove in view then.' : '',
    few ? `${count(few)} ${few === 1 ? 'stretch' : 'stretches'} with fewer than ${k} cars then ${few === 1 ? 'is' : 'are'} left out.` : '',
    broken ? `Only ${count(MOST)} stretches are shown: zoom in for the others.` : whole ? '' : 'Only the middle of the view is shown: zoom in for the rest.',
    'Hazards are those of now, and are hidden.',
  ].filter(Boolean).join(' ');
}

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
  let asked = null; // the time that is being asked about, and the box
  let asking = null;
  let drawn = null; // the answer that is on the map
  const held = []; // answers: { at, end, box, whole, speeds, few, k, broken }, the one used last at the end
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
    drawn = null;
    place(end === null ? null : new Date(end).toISOString());
    if (end === null) {
      note.hidden = true;
      changed(false);
      canvas()?.setData('past', NOTHING);
      return;
    }
    timer = setTimeout(load, PATIENCE_MS);
  }

  function put(answer) {
    if (drawn === answer) return;
    drawn = answer;
    changed(true);
    canvas().setData('past', answer.speeds);
    note.hidden = false;
    say(note, missing(answer));
  }

  async function load() {
    const c = canvas();
    if (!c || end === null) return;
    const seen = c.box();
    const i = held.findIndex((a) => answers(a, end, seen));
    if (i >= 0) {
      held.push(...held.splice(i, 1));
      put(held.at(-1));
      return;
    }
    const { box, whole } = c.around(MARGIN);
    if (request && !request.signal.aborted && asked === end && covers(asking, seen)) return; // it is on its way
    request?.abort();
    request = new AbortController();
    const then = end;
    [asked, asking] = [then, box];
    const turn = AbortSignal.any([request.signal, signal]);
    try {
      const doc = await get(query('/v1/segments', { bbox: box.map((v) => v.toFixed(4)).join(','), from: then - STEP_MS, to: then, limit: MOST }), { signal: turn });
      held.push({ at: Date.now(), end: then, box, whole, speeds: asSpeeds(doc), few: doc.suppressed_count, k: doc.k, broken: Boolean(doc.next_cursor) });
      while (held.length > 1 && held.reduce((n, a) => n + a.speeds.features.length, 0) > KEPT) held.shift();
      put(held.at(-1));
    } catch (err) {
      if (turn.aborted) return;
      note.hidden = false;
      say(note, err.denied ? 'A token is needed to look back.' : err.message);
    }
    asked = null;
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
