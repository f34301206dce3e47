// Carasso's portal: the frame around the views, and which of them is open.

import { adoptToken, may, onToken, setToken, token } from './core/api.js';
import { h, say } from './core/dom.js';
import { icon } from './core/icons.js';
import { onPrefs, setUnits, theme, toggleTheme, units } from './core/prefs.js';
import { addressOf, here, remember, setParams } from './core/route.js';
import { loading, trouble } from './core/states.js';
import { startPulse } from './pulse.js';
import { VIEWS } from './views.js';

const $ = (id) => document.getElementById(id);
const main = $('main');

document.documentElement.dataset.theme = theme();
adoptToken();

/** The view that is open: { id, stop: AbortController, mounted }. */
let open = null;

/**
 * What a view is mounted with.
 * @typedef {Object} Context
 * @property {URLSearchParams} params the view's state as in the address bar
 * @property {(changes: Object) => void} setParams changes it there; null removes a parameter
 * @property {AbortSignal} signal aborts when the view is left
 * @property {(text: string) => void} announce speaks to screen readers
 *
 * A view's module exports mount(root, context), which may be async and may return an object with
 * update(params), called when the address changed while the view is open, and redraw(), called when
 * theme or units changed.
 */

async function show(focus) {
  const { view, params } = here();
  const entry = VIEWS.find((v) => v.id === view);
  if (!entry) {
    history.replaceState(null, '', addressOf(VIEWS[0].id));
    show(focus);
    return;
  }
  remember();
  if (open?.id === entry.id && open.mounted?.update) {
    open.mounted.update(params);
    return;
  }
  open?.stop.abort();
  const stop = new AbortController();
  const turn = open = { id: entry.id, stop, mounted: null };
  const root = h('div', { class: `view view-${entry.id}` }, loading(5));
  main.replaceChildren(root);
  main.dataset.view = entry.id;
  document.title = `${entry.title} · Carasso`;
  drawNav();
  if (focus) {
    main.focus({ preventScroll: true });
    say($('announce'), entry.title);
  }
  try {
    const { mount } = await entry.load();
    if (stop.signal.aborted) return;
    root.replaceChildren();
    const context = { params, setParams: (changes) => { if (open === turn) { setParams(changes); drawNav(); } }, signal: stop.signal, announce: (text) => say($('announce'), text) };
    turn.mounted = (await mount(root, context)) ?? {};
    if (open === turn) root.dataset.ready = 'true'; // for tests
  } catch (err) {
    if (stop.signal.aborted) return;
    root.replaceChildren(h('div', { class: 'page' }, h('h1', null, entry.title), trouble(err, reopen)));
  }
}

function reopen() {
  open?.stop.abort();
  open = null;
  show(false);
}

function drawNav() {
  const { view } = here();
  for (const a of $('views').querySelectorAll('a')) {
    a.href = addressOf(a.dataset.view);
    a.parentElement.hidden = Boolean(a.dataset.role) && !may(a.dataset.role);
    if (a.dataset.view === view) {
      a.setAttribute('aria-current', 'page');
      a.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else a.removeAttribute('aria-current');
  }
}

function drawSwitches() {
  const other = theme() === 'dark' ? 'light' : 'dark';
  $('theme').setAttribute('aria-label', `Switch to ${other}`);
  $('theme').title = `Switch to ${other}`;
  $('units').textContent = units();
  $('units').setAttribute('aria-label', `Speeds in ${units()}; switch to ${units() === 'mph' ? 'km/h' : 'mph'}`);
  $('leave').hidden = !token();
}

$('views').append(...VIEWS.map((v) => h('li', null, h('a', { href: `#/${v.id}`, data: { view: v.id, ...(v.role && { role: v.role }) } }, icon(v.id), h('span', null, v.title)))));
$('theme').append(icon('theme', 18));
$('theme').addEventListener('click', toggleTheme);
$('units').addEventListener('click', () => setUnits(units() === 'mph' ? 'km/h' : 'mph'));
$('leave').addEventListener('click', () => setToken(''));
$('skip').addEventListener('click', (e) => {
  e.preventDefault(); // the fragment is the view's
  main.focus();
});
onPrefs(() => {
  drawSwitches();
  open?.mounted?.redraw?.();
});
onToken(() => {
  drawSwitches();
  drawNav();
  reopen();
});
addEventListener('hashchange', () => {
  adoptToken();
  show(true);
});

drawSwitches();
drawNav();
startPulse($('pulse'));
show(false);
