// Talks to the management API. The token arrives in the URL's fragment, which browsers don't
// send to servers, and stays in this tab's session. It is never logged or put into a URL.

const KEY = 'carasso-token';
const TIMEOUT_MS = 15_000;
const FILE_TIMEOUT_MS = 600_000;
const listeners = new Set();

/** Moves a token from the address bar into the session. */
export function adoptToken() {
  const match = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!match) return;
  sessionStorage.setItem(KEY, decodeURIComponent(match[1]).trim());
  history.replaceState(null, '', `${location.pathname}${location.search}#/map`);
}

export const token = () => sessionStorage.getItem(KEY) ?? '';

/** Keeps a token, or forgets it when empty. */
export function setToken(t) {
  if (t) sessionStorage.setItem(KEY, t.trim());
  else sessionStorage.removeItem(KEY);
  for (const f of listeners) f();
}

/** Calls f whenever a token came or went. */
export const onToken = (f) => listeners.add(f);

/** What the token says of its bearer, unproved: the server decides. Empty without one. */
export function bearer() {
  try {
    const claims = JSON.parse(atob(token().split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
    return { role: claims.role ?? '', expires: claims.exp ? claims.exp * 1000 : 0 };
  } catch {
    return { role: '', expires: 0 };
  }
}

const RANKS = ['analyst', 'operator', 'admin'];

/** Whether the bearer has at least a role. */
export const may = (role) => RANKS.indexOf(bearer().role) >= RANKS.indexOf(role);

/** An answer that is no success. `status` is 0 when the server could not be reached. */
export class APIError extends Error {
  constructor(status, message, problem = {}) {
    super(message);
    this.status = status;
    this.problem = problem;
  }

  /** Whether a token is missing, expired or of too low a role. */
  get denied() {
    return this.status === 401 || this.status === 403;
  }
}

async function answer(path, { method = 'GET', auth = true, signal, body, headers = {}, timeout = TIMEOUT_MS } = {}) {
  const init = { method, cache: 'no-cache', headers: { ...headers } };
  if (auth && token()) init.headers.Authorization = `Bearer ${token()}`;
  if (body !== undefined) {
    init.headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(body);
  }
  const late = AbortSignal.timeout(timeout);
  init.signal = signal ? AbortSignal.any([signal, late]) : late;
  let res;
  try {
    res = await fetch(path, init);
  } catch (err) {
    if (signal?.aborted) throw err;
    throw new APIError(0, 'The server is away.');
  }
  if (res.ok) return res;
  let problem = {};
  try {
    problem = await res.json();
  } catch { /* not a problem document */ }
  throw new APIError(res.status, problem.detail ?? problem.title ?? (res.statusText || `Status ${res.status}`), problem);
}

/** Fetches a JSON document. Options: auth (true), signal. */
export const get = async (path, options) => (await answer(path, options)).json();

/** Sends a JSON document and returns the one that is answered, null for none. */
export async function send(method, path, body, options) {
  const text = await (await answer(path, { ...options, method, body })).text();
  return text ? JSON.parse(text) : null;
}

/** Fetches a file, since a link can't carry a token, and hands it to the browser to keep. */
export async function download(path, name, options) {
  const res = await answer(path, { timeout: FILE_TIMEOUT_MS, ...options });
  // Broken off on the way: a part must not be taken for the whole.
  const blob = await res.blob().catch(() => { throw new APIError(0, 'The file broke off on its way.'); });
  const a = document.createElement('a');
  a.href = URL.createObjectURL(blob);
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

/** A path with the parameters that have a value. */
export function query(path, params) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v !== undefined && v !== null && v !== '') q.set(k, String(v));
  const text = q.toString();
  return text ? `${path}?${text}` : path;
}
