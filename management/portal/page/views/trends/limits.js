// Trends of learned speed limits: /v1/trends/limits tells each change; they are counted here.

import { NONE, certainty, count, limit, roadClass, when, words } from '../../core/format.js';
import { ALONG, countOf, placeColumn } from './measure.js';
import { startOf, stepOf } from './period.js';
import { roadLink } from './speeds.js';

const MOST = 5000;
const UNLIMITED = 255; // how the API says that there is no limit
const values = { changes: countOf('Changes of limits', 'changes') };
const KINDS = { new: 'Learned for the first time', raised: 'Raised', lowered: 'Lowered', withdrawn: 'Withdrawn' };

function kindOf(c) {
  if (c.from_kmh === null) return 'new';
  if (c.to_kmh === null) return 'withdrawn';
  return c.to_kmh > c.from_kmh ? 'raised' : 'lowered';
}

const split = { kind: 'What changed', class: 'Class of road', none: 'Nothing' };
const nameOf = { kind: (c) => KINDS[kindOf(c)], class: (c) => words(roadClass(c.class)), none: () => '' };
const key = { time: (c, step) => startOf(step, Date.parse(c.at)), hour_of_day: (c) => new Date(c.at).getHours(), weekday: (c) => (new Date(c.at).getDay() + 6) % 7 + 1, none: () => 0 };

/** @type {import('./measure.js').Measure} */
export const limits = {
  label: 'Changes of limits',
  what: 'When the speed limits that the fleet reads changed, and how sure it is. A limit is learned from at least three cars.',
  nothing: 'No limit was learned, changed or withdrawn there then.',
  values, along: ALONG, split,
  area: true, edges: true,
  path: '/v1/trends/limits',
  plain: true, // takes no steps: each change is told
  params: (s) => ({ class: s.class, limit: MOST }),
  groups(doc, s) {
    const step = stepOf(s);
    const by = Map.groupBy(doc.changes, (c) => `${key[s.along](c, step)} ${nameOf[s.split](c)}`);
    return [...by.values()].map((list) => {
      const at = key[s.along](list[0], step);
      return { name: nameOf[s.split](list[0]), changes: list.length, ...{ time: { time: new Date(at).toISOString() }, hour_of_day: { hour_of_day: at }, weekday: { weekday: at }, none: {} }[s.along] };
    });
  },
  series: (g) => g.name,
  weight: (g) => g.changes,
  rows: (doc) => doc.changes.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at)),
  columns: () => [
    { ...placeColumn({ along: 'time' }), label: 'When', value: (c) => when(c.at) },
    { label: 'Road', value: roadLink }, { label: 'Class', value: (c) => words(roadClass(c.class)) },
    ...[['From', 'from_kmh'], ['To', 'to_kmh']].map(([label, k]) => ({ label, num: true, value: (c) => (c[k] === null ? NONE : limit(c[k] >= UNLIMITED ? 'none' : c[k])) })),
    { label: 'In the map', num: true, value: (c) => (c.limit_kmh === null ? NONE : limit(c.limit_kmh)) },
    { label: 'Certainty', num: true, value: (c) => (c.posterior === null ? NONE : certainty(c.posterior)) },
    { label: 'Cars', num: true, value: (c) => (c.vehicles === null ? NONE : count(c.vehicles)) },
    { label: 'Signs read', num: true, value: (c) => (c.readings === null ? NONE : count(c.readings)) },
  ],
};
