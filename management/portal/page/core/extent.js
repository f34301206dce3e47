// The part of the map that was looked at last, so that other views can ask about it.

const KEY = 'carasso-extent';

/** Keeps west, south, east, north in degrees for this tab. */
export const keepExtent = (box) => sessionStorage.setItem(KEY, JSON.stringify(box.map((v) => Number(v.toFixed(4)))));

/** What was kept, or null if the map was not open yet. */
export function extent() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}
