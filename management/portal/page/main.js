// Carasso's portal: wires the map, the figures and the segment's card.

import { adoptToken, get, setToken, token } from './api.js';
import { reading, startMap } from './map.js';
import { classes, colourOf, colours, limitClasses } from './palette.js';
import { element, fill, startPanel } from './panel.js';
import { startSegment, title } from './segment.js';
import { HAZARDS } from './style.js';
import { time } from './format.js';

const $ = (id) => document.getElementById(id);
const dark = matchMedia('(prefers-color-scheme: dark)');
const wanted = () => localStorage.getItem('carasso-theme');
const theme = () => wanted() ?? (dark.matches ? 'dark' : 'light');

adoptToken();
document.documentElement.dataset.theme = theme();

let view = null; // the map, once there is one
const panel = startPanel();
const segment = startSegment({
  theme,
  closed: () => view?.mark(null),
  show: (line) => view?.show(line),
  road: (edge) => view?.road(edge) ?? {},
});

// --- theme

function applyTheme() {
  document.documentElement.dataset.theme = theme();
  drawLegend();
  view?.setTheme(theme(), segment.edge());
  panel.redraw();
  segment.redraw();
}
$('theme').addEventListener('click', () => {
  localStorage.setItem('carasso-theme', theme() === 'dark' ? 'light' : 'dark');
  applyTheme();
});
dark.addEventListener('change', applyTheme);

// --- layers

const VIEWS = {
  speeds: { title: 'Speed, share of the free-flow speed', classes, colours: 'speed' },
  limits: { title: 'Speed limit, km/h; paler where only the map says so', classes: limitClasses, colours: 'limit' },
};
const viewed = () => document.querySelector('input[name="view"]:checked').value;

function drawLegend() {
  const v = VIEWS[viewed()];
  const c = colours(theme());
  $('legend-title').textContent = v.title;
  $('legend-scale').replaceChildren(...v.classes.map((k, i) => {
    const li = element('li');
    const swatch = element('i');
    swatch.style.background = c[v.colours][i];
    li.append(swatch, k.label);
    return li;
  }));
  $('legend-note').hidden = viewed() !== 'limits';
  $('legend-note').firstElementChild.style.background = c.differs;
}
drawLegend();

for (const input of document.querySelectorAll('input[name="view"]')) {
  input.addEventListener('change', () => {
    drawLegend();
    view?.setShown({ view: viewed() });
  });
}
$('hazards-on').addEventListener('change', () => view?.setShown({ hazards: $('hazards-on').checked }));

// --- sheet on phones

$('sheet').addEventListener('click', () => openSheet($('sheet').getAttribute('aria-expanded') !== 'true'));
function openSheet(open) {
  $('panel').classList.toggle('open', open);
  $('sheet').setAttribute('aria-expanded', String(open));
  $('sheet').firstElementChild.textContent = open ? 'Show fewer figures' : 'Show more figures';
  if (!open) $('content').scrollTop = 0;
}

// --- notes over the map

const ui = {
  note(kind, heading, text = '', code = '') {
    const el = $('map-note');
    el.dataset.kind = kind;
    el.querySelector('h2').textContent = heading;
    el.querySelector('p').textContent = text;
    el.querySelector('p').hidden = !text;
    el.querySelector('code').textContent = code;
    el.querySelector('code').hidden = !code;
    el.hidden = false;
  },
  clearNote: () => { $('map-note').hidden = true; },
  hover(feature, point) {
    const el = $('tooltip');
    if (!feature || matchMedia('(hover: none)').matches) {
      el.hidden = true;
      return;
    }
    el.replaceChildren(...summary(feature));
    el.hidden = false;
    const flip = point.x > innerWidth - 280;
    el.style.left = `${flip ? point.x - el.offsetWidth - 12 : point.x + 14}px`;
    el.style.top = `${point.y + 14}px`;
  },
  select(feature) {
    if (!feature) return;
    $('tooltip').hidden = true;
    if (feature.source === 'hazards' && !feature.properties.edge) return;
    openEdge(feature.properties.edge, feature);
    openSheet(true);
  },
  moved() {
    if (!view) return;
    const features = view.inView();
    segment.update(features);
    listSlowest(features);
    listHazards(view.hazardsInView());
    if (viewed() !== 'speeds') this.clearNote();
    else if (view.zoomedOut()) this.note('small', 'Zoom in to see speeds');
    else if (features.length || this.seen) this.clearNote();
    else this.note('small', 'Waiting for the first speeds');
    this.seen ||= features.length > 0;
  },
};

/** A feature in a line: what it is in bold, then where. */
function summary(feature) {
  const p = feature.properties;
  if (feature.source === 'hazards') {
    return [element('b', '', HAZARDS[p.category]?.[1] ?? p.category), element('span', '', ` · ${evidence(p)} · since ${time(p.started)}`)];
  }
  if (feature.source === 'limits') {
    const what = p.unlimited ? 'No limit' : `${p.kmh} km/h`;
    const why = p.source === 'learned' ? `learned, ${Math.round(p.posterior * 100)} %, ${p.n} vehicles` : 'from the map';
    const differs = p.differs || (!p.map_kmh && !p.map_unlimited) ? `, ${mapSays(p)}` : '';
    return [element('b', '', what), element('span', '', ` · ${why}${differs} · ${nameOf(feature)}`)];
  }
  const { kmh, free } = reading(p);
  return [element('b', '', `${Math.round(kmh)} km/h`), element('span', '', ` of ${free} · ${nameOf(feature)}`)];
}

const mapSays = (p) => (p.map_kmh ? `the map says ${p.map_kmh}` : p.map_unlimited ? 'the map says none' : 'unknown to the map');
const evidence = (p) => `${Math.round(p.probability * 100)} %, ${p.n} ${p.n === 1 ? 'vehicle' : 'vehicles'}`;

/** Opens the card of an edge, with what each layer says of it. */
function openEdge(edge, feature, options) {
  const speed = view.find('speeds', edge);
  const limit = view.find('limits', edge);
  segment.open({ geometry: feature.geometry, properties: { class: feature.properties.class, ...speed?.properties, edge } }, { ...options, limit: limit?.properties });
  view.mark(edge);
}

function listHazards(features) {
  const list = features.sort((a, b) => b.properties.probability - a.properties.probability).slice(0, 6);
  $('hazards-empty').hidden = list.length > 0;
  $('hazard-count').hidden = features.length === 0;
  $('hazard-count').textContent = String(features.length);
  fill($('hazards'), JSON.stringify(list.map((f) => f.properties)), () => list.map((f) => {
    const p = f.properties;
    const li = element('li');
    const b = element('button');
    b.type = 'button';
    b.append(element('span', 'swatch hazard'), element('span', 'name', HAZARDS[p.category]?.[1] ?? p.category), element('span', 'value', `${evidence(p)} · ${time(p.started)}`));
    b.addEventListener('click', () => {
      view.show([f.geometry.coordinates, f.geometry.coordinates]);
      if (p.edge) openEdge(p.edge, f);
    });
    li.append(b);
    return li;
  }));
}

const nameOf = (feature) => title({ ...feature.properties, ...view.road(feature.properties.edge) });

function listSlowest(features) {
  const slow = features.map((f) => ({ f, r: reading(f.properties) })).sort((a, b) => a.r.ratio - b.r.ratio).slice(0, 5);
  $('slow-empty').hidden = slow.length > 0;
  fill($('slow'), JSON.stringify([theme(), slow.map(({ f, r }) => [f.properties.edge, Math.round(r.kmh)])]), () => slow.map(({ f, r }) => {
    const li = element('li');
    const b = element('button');
    b.type = 'button';
    const swatch = element('span', 'swatch');
    swatch.style.background = colourOf(r.ratio, theme());
    const value = element('span', 'value');
    value.append(element('b', '', String(Math.round(r.kmh))), ` of ${Math.round(r.free)} km/h`);
    b.append(swatch, element('span', 'name', nameOf(f)), value);
    b.addEventListener('click', () => {
      openEdge(f.properties.edge, f, { fly: true });
    });
    li.append(b);
    return li;
  }));
}

// --- figures

function status(state, text) {
  const el = $('status');
  if (el.textContent !== text) el.textContent = text;
  el.dataset.state = state;
  $('panel').classList.toggle('stale', state === 'away');
}

function askForToken(why) {
  $('sign-in').hidden = false;
  $('figures').hidden = true;
  $('sign-out').hidden = true;
  if (why) {
    $('sign-in-why').textContent = why;
    $('sign-in-why').className = 'error';
  }
  status('wait', 'No token');
}
$('sign-in').addEventListener('submit', (e) => {
  e.preventDefault();
  setToken($('token').value);
  $('token').value = '';
  $('sign-in').hidden = true;
  status('wait', 'Connecting');
  wake();
});
$('sign-out').addEventListener('click', () => {
  setToken('');
  askForToken('');
});

let wake = () => {};
const sleep = (ms) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  wake = () => {
    clearTimeout(timer);
    done();
  };
});

async function followPipeline() {
  let ledgerAt = 0;
  for (let failures = 0; ; await sleep(failures ? Math.min(1000 * 1.6 ** failures, 10_000) : 1000)) {
    if (!token()) {
      if ($('sign-in').hidden) askForToken('');
      continue;
    }
    if (document.hidden) continue;
    try {
      const p = await get('/v1/pipeline');
      failures = 0;
      $('sign-in').hidden = true;
      $('sign-out').hidden = false;
      panel.pipeline(p);
      if (!p.database.ok) status('away', 'Database away');
      else if (!p.queue.ok) status('away', 'Queue away');
      else if (p.queue.oldest_age_s > 30 || p.lag_s > 30) status('late', 'Catching up');
      else status('live', 'Live');
      if (Date.now() - ledgerAt > 5000) {
        ledgerAt = Date.now();
        panel.ledger(await get('/v1/ledger'));
      }
    } catch (err) {
      if (err.status === 401 || err.status === 403) {
        setToken('');
        askForToken(`${err.message}`);
        continue;
      }
      failures++;
      status('away', err.status === 0 ? 'Server away' : 'No figures');
    }
  }
}

followPipeline();
startMap(theme(), ui).then((v) => {
  view = v;
  // For tests: what is on the map.
  window.carassoMap = v.map;
}, (err) => ui.note('', 'The map can\'t be shown', /webgl/i.test(String(err)) ? 'This browser has no WebGL 2.' : String(err.message ?? err)));
