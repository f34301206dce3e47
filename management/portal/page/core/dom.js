// Builds elements. Text is always set as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {Node|string|number|null|undefined|false|Child[]} Child */

function put(el, attrs, children) {
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') for (const [event, f] of Object.entries(value)) el.addEventListener(event, f);
    else if (name === 'data') Object.assign(el.dataset, value);
    else if (name === 'style') for (const [property, v] of Object.entries(value)) el.style.setProperty(property, v);
    else if (name === 'value' || name === 'checked') el[name] = value;
    else el.setAttribute(name, value === true ? '' : String(value));
  }
  el.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

/** An HTML element: h('p', { class: 'muted', data: { fact: 'n' }, on: { click: f } }, 'text', child).
 * @param {string} tag @param {Object|null} [attrs] @param {...Child} children */
export const h = (tag, attrs, ...children) => put(document.createElement(tag), attrs, children);

/** The same for SVG. */
export const s = (tag, attrs, ...children) => put(document.createElementNS(SVG, tag), attrs, children);

const FOCUSABLE = 'a[href], button, input, select, summary, [tabindex]';

/** Replaces what an element holds, only when `key` has changed since the last time. What has the focus in it
 * keeps it: the element with the same data-focus, else the one in the same place. */
export function fill(el, key, children) {
  if (el.dataset.key === key) return;
  el.dataset.key = key;
  const had = el !== document.activeElement && el.contains(document.activeElement) ? document.activeElement : null;
  const place = had ? [...el.querySelectorAll(FOCUSABLE)].indexOf(had) : -1;
  el.replaceChildren(...[children()].flat(Infinity).filter(Boolean));
  if (!had) return;
  const now = [...el.querySelectorAll(FOCUSABLE)];
  const same = had.dataset.focus && now.find((e) => e.dataset.focus === had.dataset.focus);
  (same || now[Math.min(place, now.length - 1)])?.focus({ preventScroll: true });
}

/** Sets a text only when it changed, so that live regions speak only of changes. */
export function say(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

const sheets = new Map();

/** Resolves when a style sheet of ours is in force. */
export function stylesheet(...urls) {
  return Promise.all(urls.map((href) => {
    if (!sheets.has(href)) {
      sheets.set(href, new Promise((done, failed) => {
        const link = h('link', { rel: 'stylesheet', href, on: { load: done, error: () => failed(new Error(`${href} did not load`)) } });
        document.head.append(link);
      }));
    }
    return sheets.get(href);
  }));
}

/** The value of a custom property of the theme. */
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
