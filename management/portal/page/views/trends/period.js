// Periods: the last so many hours, or from one moment to another; and what they are compared with.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** By name: how long, how it is called, and the step that suits it. */
export const PERIODS = {
  hour: { label: 'Last hour', ms: HOUR_MS, step: '5min' }, '6h': { label: 'Last 6 hours', ms: 6 * HOUR_MS, step: '15min' }, day: { label: 'Last 24 hours', ms: DAY_MS, step: '15min' },
  week: { label: 'Last 7 days', ms: 7 * DAY_MS, step: 'hour' }, month: { label: 'Last 28 days', ms: 28 * DAY_MS, step: 'day' }, custom: { label: 'From … to …' },
};

export const STEPS = { '5min': '5 minutes', '15min': '15 minutes', hour: 'Hour', day: 'Day', week: 'Week', month: 'Month' };
const STEP_MS = { '5min': 300_000, '15min': 900_000, hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS, month: 30 * DAY_MS };
const MOST_STEPS = 1500;

export const COMPARISONS = { none: 'Nothing', before: 'The period before', week: 'A week earlier' };

/** The range of a state { period, from, to, compare } at a moment, in ms: { from, to, compare: { from, to } | null }. */
export function rangeOf(state, now = Date.now()) {
  // Whole minutes, so that an answer that is asked for again may come from the cache.
  const to = state.period === 'custom' && state.to ? Date.parse(state.to) : Math.ceil(now / 60_000) * 60_000;
  const from = state.period === 'custom' && state.from ? Date.parse(state.from) : to - (PERIODS[state.period]?.ms ?? DAY_MS);
  const back = { before: to - from, week: 7 * DAY_MS }[state.compare];
  return { from, to, compare: back ? { from: from - back, to: to - back } : null };
}

/** The step of a state: as chosen if the range isn't cut into too many, else the finest that fits. */
export function stepOf(state) {
  const { from, to } = rangeOf(state);
  const wanted = state.step || PERIODS[state.period]?.step || 'hour';
  const names = Object.keys(STEPS);
  return names.slice(names.indexOf(wanted)).find((s) => (to - from) / STEP_MS[s] <= MOST_STEPS) ?? 'month';
}
