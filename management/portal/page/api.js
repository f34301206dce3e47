// Talks to the management API. The token arrives in the URL's fragment, which browsers don't
// send to servers, and stays in this tab's session.

const KEY = 'carasso-token';

/** Moves a token from the address bar into the session. */
export function adoptToken() {
  const match = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!match) return;
  setToken(decodeURIComponent(match[1]));
  history.replaceState(null, '', location.pathname + location.search);
}

export const token = () => sessionStorage.getItem(KEY) ?? '';
export const setToken = (t) => (t ? sessionStorage.setItem(KEY, t.trim()) : sessionStorage.removeItem(KEY));

/** An answer that is no success. `status` is 0 when the server could not be reached. */
export class APIError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Fetches a JSON document, within ten seconds. */
export async function get(path, { auth = true, signal } = {}) {
  const headers = auth && token() ? { Authorization: `Bearer ${token()}` } : {};
  const timeout = AbortSignal.timeout(10_000);
  let res;
  try {
    res = await fetch(path, { headers, cache: 'no-cache', signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  } catch (err) {
    if (signal?.aborted) throw err;
    throw new APIError(0, 'The server is away.');
  }
  if (!res.ok) {
    let problem = {};
    try {
      problem = await res.json();
    } catch { /* not a problem document */ }
    throw new APIError(res.status, problem.detail ?? problem.title ?? res.statusText);
  }
  return res.json();
}
