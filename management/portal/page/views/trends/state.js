// What is chosen, as it is in the address.

import { areaAddress, areaOf } from './area.js';
import { COMPARISONS, PERIODS, STEPS, rangeOf } from './period.js';

const first = (o) => Object.keys(o)[0];

/** A choice, or the first of its kind. */
const one = (value, of) => (value in of ? value : first(of));

/** Makes a state possible for its measure. */
export function fit(s, measure) {
  s.value = one(s.value, measure.values);
  s.along = one(s.along, measure.along);
  s.split = one(s.split, measure.split);
  // Something must be told apart.
  if (s.along === 'none' && s.split === 'none') s.split = Object.keys(measure.split).find((k) => k !== 'none') ?? 'none';
  s.finest = measure.finest;
  if (!measure.compare) s.compare = 'none';
  if (!measure.area || (s.area.kind === 'street' && !measure.edges)) s.area = areaOf(new URLSearchParams());
  return s;
}

/** The state of an address's parameters. */
export function stateOf(params, measures) {
  const measure = one(params.get('measure'), measures);
  return fit({
    measure, value: params.get('value'), along: params.get('along'), split: params.get('split'), class: params.get('class') ?? '', area: areaOf(params),
    period: params.get('period') in PERIODS ? params.get('period') : measures[measure].plain ? 'week' : 'day', from: params.get('from'), to: params.get('to'),
    step: params.get('step') in STEPS ? params.get('step') : '', compare: one(params.get('compare'), COMPARISONS), compareFrom: params.get('compare_from'),
  }, measures[measure]);
}

/** The parameters of a state; null for what is as it would be anyway. */
export function addressOf(s, measures) {
  const measure = measures[s.measure];
  const unless = (value, usual) => (value === usual ? null : value);
  return {
    measure: unless(s.measure, first(measures)), value: unless(s.value, first(measure.values)), along: unless(s.along, first(measure.along)), split: unless(s.split, first(measure.split)), class: s.class || null,
    period: unless(s.period, measure.plain ? 'week' : 'day'), from: s.period === 'custom' ? s.from : null, to: s.period === 'custom' ? s.to : null, step: s.step || null,
    compare: unless(s.compare, 'none'), compare_from: s.compare === 'own' ? s.compareFrom : null, ...areaAddress(s.area),
  };
}

/** The same state with its period as moments, so that its address tells the same tomorrow. */
export function fixed(s) {
  const { from, to, compare } = rangeOf(s);
  return { ...s, period: 'custom', from: new Date(from).toISOString(), to: new Date(to).toISOString(), ...(compare ? { compare: 'own', compareFrom: new Date(compare.from).toISOString() } : {}) };
}
