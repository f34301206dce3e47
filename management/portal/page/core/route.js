// Where one is: #/view?name=value. The fragment is the shareable state of a view.

const remembered = new Map();

/** The view and its parameters, from the address bar. */
export function here() {
  const [, view = '', search = ''] = /^#\/?([a-z-]*)(?:\?(.*))?$/.exec(location.hash) ?? [];
  return { view, params: new URLSearchParams(search) };
}

function address(view, params) {
  // Commas and colons may stand for themselves in a fragment; they read better.
  const text = params.toString().replaceAll('%2C', ',').replaceAll('%3A', ':');
  return `#/${view}${text ? `?${text}` : ''}`;
}

/** Changes parameters of the view that is open, without a step in the history. null removes. */
export function setParams(changes) {
  const { view, params } = here();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === '') params.delete(name);
    else params.set(name, String(value));
  }
  const to = address(view, params);
  remembered.set(view, to);
  if (to !== location.hash) history.replaceState(null, '', to);
}

/** The address of a view as it was left. */
export const addressOf = (view) => remembered.get(view) ?? `#/${view}`;

/** An address to link to. */
export const link = (view, params = {}) => address(view, new URLSearchParams(params));

/** Keeps what is in the address bar as the way its view was left. */
export function remember() {
  const { view, params } = here();
  if (view) remembered.set(view, address(view, params));
}
