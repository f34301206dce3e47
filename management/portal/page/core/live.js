// Documents that change while one looks: asked for again and again, once for all who follow them.

import { get, token } from './api.js';

const SLOWEST_MS = 15_000;
const followed = new Map();

class Poll {
  constructor(path) {
    this.path = path;
    this.followers = new Set();
    this.failures = 0;
    this.doc = null;
    this.refusal = null; // the server's answer to a token; a new token makes new polls
    this.timer = 0;
    this.busy = false;
  }

  async turn() {
    clearTimeout(this.timer);
    if (this.busy || this.refusal || !this.followers.size) return;
    if (!document.hidden) {
      this.busy = true;
      const asked = token();
      try {
        const doc = await get(this.path);
        this.doc = doc;
        this.failures = 0;
        for (const f of this.followers) f.data(doc);
      } catch (err) {
        this.failures++;
        // A refusal of a token that has been replaced meanwhile means nothing.
        if (!err.denied || asked === token()) {
          if (err.denied) this.refusal = err;
          for (const f of this.followers) f.error?.(err);
        }
      }
      this.busy = false;
    }
    if (this.refusal || !this.followers.size) return;
    const every = Math.min(...[...this.followers].map((f) => f.every));
    this.timer = setTimeout(() => this.turn(), Math.min(every * 1.6 ** this.failures, Math.max(every, SLOWEST_MS)));
  }
}

/**
 * Calls data(doc) with the document at path now and every so many milliseconds, error(err) when it can't be
 * had, until signal aborts. Nothing is asked while the page is hidden; failures slow it down, and a refusal
 * of the token ends it: asking again would only wipe the form in which a better one is being typed.
 */
export function follow(path, every, { data, error }, signal) {
  if (signal.aborted) return { now: () => {} };
  if (!followed.has(path)) followed.set(path, new Poll(path));
  const poll = followed.get(path);
  const follower = { data, error, every };
  poll.followers.add(follower);
  signal.addEventListener('abort', () => {
    poll.followers.delete(follower);
    if (!poll.followers.size) {
      clearTimeout(poll.timer);
      followed.delete(path);
    }
  });
  if (poll.refusal) error?.(poll.refusal);
  else if (poll.doc) data(poll.doc);
  poll.turn();
  return { now: () => poll.turn() };
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) for (const poll of followed.values()) poll.turn();
});
