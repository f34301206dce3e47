// What a view shows while it has nothing else to show.

import { bearer, setToken, token } from './api.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/** Grey bars where rows will be. */
export const loading = (rows = 4, label = 'Loading') => h('div', { class: 'skeleton', role: 'status' },
  h('span', { class: 'visually-hidden' }, label), Array.from({ length: rows }, () => h('i')));

/** Nothing there, and why that is so. */
export const empty = (title, text = '', ...more) => h('div', { class: 'state' }, icon('empty', 28), h('h2', null, title), text && h('p', null, text), more);

/** Something failed. `again` is called by the button. */
export function failed(err, again) {
  return h('div', { class: 'state', role: 'alert' }, icon('warning', 28),
    h('h2', null, err.status === 0 ? 'The server is away' : err.status === 404 ? 'This server does not offer it' : 'That did not work'),
    h('p', null, err.status === 0 ? 'It is asked again by itself.' : String(err.message ?? err)),
    again && h('button', { type: 'button', class: 'button', on: { click: again } }, 'Try again'));
}

/** Asks for a token, saying why. A new token opens the view again. */
export function signIn(err) {
  const { role, expires } = bearer();
  const expired = token() && expires && expires < Date.now();
  const title = expired ? 'Your token has expired' : err?.status === 403 ? 'This needs a higher role' : 'A token is needed here';
  const wanted = /role (\w+)/.exec(err?.status === 403 ? err.message : '')?.[1] ?? 'analyst';
  const input = h('input', { id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': 'token-how' });
  return h('form', {
    class: 'state sign-in', data: { state: 'sign-in' },
    on: { submit: (e) => {
      e.preventDefault();
      setToken(input.value);
    } },
  }, icon('key', 28), h('h2', null, title),
  h('p', { id: 'token-how' }, err?.status === 403 ? `You are here as ${role || 'somebody else'}. ` : 'The map is public; figures are not. ',
    'Print a token on the server, and paste it here. It stays in this tab.'),
  err?.status === 401 && token() && !expired ? h('p', { class: 'error' }, 'The server does not take this token.') : null,
  h('code', null, `carasso token --role ${wanted}`),
  h('label', { for: 'token' }, 'Token'),
  h('div', { class: 'row' }, input, h('button', { type: 'submit', class: 'button primary' }, 'Connect')));
}

/** The state that fits an error. */
export const trouble = (err, again) => (err.denied ? signIn(err) : failed(err, again));
