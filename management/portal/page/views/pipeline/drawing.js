// The architecture, drawn with what flows through it now. Wide screens read it from left to right, phones
// from top to bottom.

import { h, s, say } from '../../core/dom.js';
import { behind, table } from '../../core/table.js';
import { BOXES, FLOWS } from './parts.js';

const SHAPES = {
  wide: {
    size: [1150, 352], box: [160, 84],
    at: { cars: [2, 130], receiver: [199, 130], queue: [396, 130], worker: [593, 130], database: [790, 8], objects: [790, 130], live: [790, 252], management: [988, 8], tiles: [988, 191], dead: [396, 252], quarantine: [593, 252] },
  },
  tall: {
    size: [358, 808], box: [166, 84],
    at: { cars: [4, 8], receiver: [4, 132], queue: [4, 256], worker: [4, 380], dead: [188, 256], quarantine: [188, 380], database: [4, 504], objects: [188, 504], management: [4, 610], live: [188, 610], tiles: [188, 716] },
  },
};

/** A line from one box to another: straight where they face each other, else bent once in the middle. */
function path([ax, ay], [bx, by], [w, hgt]) {
  const [ac, bc] = [[ax + w / 2, ay + hgt / 2], [bx + w / 2, by + hgt / 2]];
  const horizontal = Math.abs(bx - ax) >= w;
  if (horizontal) {
    const right = bx > ax;
    const [x1, x2] = [right ? ax + w : ax, right ? bx : bx + w];
    const mid = (x1 + x2) / 2;
    return { d: ac[1] === bc[1] ? `M${x1} ${ac[1]}H${x2}` : `M${x1} ${ac[1]}C${mid} ${ac[1]} ${mid} ${bc[1]} ${x2} ${bc[1]}`, label: [mid, (ac[1] + bc[1]) / 2 - 8] };
  }
  const down = by > ay;
  const [y1, y2] = [down ? ay + hgt : ay, down ? by : by + hgt];
  const mid = (y1 + y2) / 2;
  return { d: ac[0] === bc[0] ? `M${ac[0]} ${y1}V${y2}` : `M${ac[0]} ${y1}C${ac[0]} ${mid} ${bc[0]} ${mid} ${bc[0]} ${y2}`, label: [(ac[0] + bc[0]) / 2 + 8, mid + 4] };
}

/** How long a dash takes for its own length: the more flows, the faster, between 0.25 and 4 s. */
const pace = (perSecond) => Math.min(4, Math.max(0.25, 2.6 / (1 + Math.log10(1 + perSecond))));

/** Draws into el, for figures as parts.js makes them of a document; returns { update(figures) }. */
export function drawing(el) {
  const narrow = matchMedia('(max-width: 760px)');
  const summary = h('p', { class: 'visually-hidden', id: 'architecture-summary' });
  const stage = h('div', { class: 'stage' });
  let figures = null;
  let shown = null;
  let tableRows = [];
  const words = () => table([
    { label: 'Part', value: (r) => r.name }, { label: 'Now', value: (r) => r.value }, { label: 'What', value: (r) => r.detail },
    { label: 'State', value: (r) => h('span', { class: `badge ${r.state}` }, r.verdict) },
  ], tableRows, { caption: 'Parts of the pipeline' });
  const alternative = behind('The same as a table', words);
  el.replaceChildren(summary, stage, alternative);

  function build() {
    const shape = narrow.matches ? SHAPES.tall : SHAPES.wide;
    const [w, hgt] = shape.box;
    const parts = { flows: {}, boxes: {} };
    const lines = FLOWS.filter((f) => !(narrow.matches && f.wideOnly)).map((f) => {
      const p = path(shape.at[(narrow.matches && f.tallFrom) || f.from], shape.at[f.to], shape.box);
      const line = s('path', { d: p.d, class: 'flow', 'marker-end': 'url(#arrow)' });
      const label = s('text', { x: p.label[0], y: p.label[1], class: 'flow-label' });
      parts.flows[f.id] = { line, label };
      return s('g', { class: `edge ${f.kind ?? ''}`, data: { flow: f.id } }, s('path', { d: p.d, class: 'pipe' }), line, label);
    });
    const boxes = BOXES.map((b) => {
      const [x, y] = shape.at[b.id];
      const value = s('text', { x: x + 14, y: y + 48, class: 'value' });
      const detail = s('text', { x: x + 14, y: y + 68, class: 'detail' });
      const g = s('g', { class: 'box', data: { box: b.id } },
        s('rect', { x, y, width: w, height: hgt, rx: 12 }), s('rect', { x, y: y + 14, width: 4, height: hgt - 28, rx: 2, class: 'light' }),
        s('text', { x: x + 14, y: y + 23, class: 'name' }, b.name), value, detail);
      parts.boxes[b.id] = { g, value, detail };
      return g;
    });
    stage.replaceChildren(s('svg', { viewBox: `0 0 ${shape.size.join(' ')}`, role: 'img', 'aria-labelledby': 'architecture-summary', class: 'architecture' },
      s('defs', null, s('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: 'userSpaceOnUse', orient: 'auto-start-reverse' }, s('path', { d: 'M0 0 8 4 0 8z', class: 'head' }))),
      lines, boxes));
    shown = parts;
  }

  function update(next) {
    figures = next;
    for (const b of BOXES) {
      const f = figures.boxes[b.id];
      const { g, value, detail } = shown.boxes[b.id];
      say(value, f.value);
      say(detail, f.detail);
      g.dataset.state = f.state;
    }
    for (const [id, { line, label }] of Object.entries(shown.flows)) {
      const f = figures.flows[id];
      say(label, f.label ?? '');
      line.classList.toggle('idle', !f.perSecond);
      line.style.strokeWidth = `${f.perSecond ? 1.6 + Math.log10(1 + f.perSecond) : 1.4}px`;
      const seconds = `${pace(f.perSecond ?? 0).toFixed(1)}s`;
      // Only when it differs: setting it again would make the dashes jump.
      if (line.style.animationDuration !== seconds) line.style.animationDuration = seconds;
    }
    say(summary, figures.summary);
    tableRows = BOXES.map((b) => ({ name: b.name, ...figures.boxes[b.id] }));
    if (alternative.open) {
      alternative.lastChild.remove();
      alternative.append(words());
    }
  }

  build();
  const turned = () => {
    build();
    if (figures) update(figures);
  };
  narrow.addEventListener('change', turned);
  return { update, stop: () => narrow.removeEventListener('change', turned) };
}
