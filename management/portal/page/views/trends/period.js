// Periods: the last so many hours, a day of the calendar, or from one moment to another; and what they are
// compared with.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const midnight = (t, days = 0) => {
  const d = new Date(t);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate() + days).getTime();
};

/** By name: how it is called, how long it is or where it lies, and the step that suits it. */
export const PERIODS = {
  hour: { label: 'Last hour', ms: HOUR_MS, step: '5min' }, '6h': { label: 'Last 6 hours', ms: 6 * HOUR_MS, step: '15min' }, day: { label: 'Last 24 hours', ms: DAY_MS, step: '15min' },
  today: { label: 'Today', range: (now) => [midnight(now), now], step: '15min' }, yesterday: { label: 'Yesterday', range: (now) => [midnight(now, -1), midnight(now)], step: '15min' },
  week: { label: 'Last 7 days', ms: 7 * DAY_MS, step: 'hour' }, month: { label: 'Last 28 days', ms: 28 * DAY_MS, step: 'day' }, quarter: { label: 'Last 90 days', ms: 90 * DAY_MS, step: 'day' }, custom: { label: 'From … to …' },
};

export const STEPS = { '5min': '5 minutes', '15min': '15 minutes', hour: 'Hour', day: 'Day', week: 'Week', month: 'Month' };
export const STEP_MS = { '5min': 300_000, '15min': 900_000, hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS, month: 30 * DAY_MS };
const MOST_STEPS = 1500;

export const COMPARISONS = { none: 'Nothing', before: 'The period before', day: 'A day earlier', week: 'A week earlier', own: 'One that begins …' };

/** The range of a state { period, from, to, compare, compareFrom } at a moment, in ms: { from, to, compare: { from, to } | null }. */
export function rangeOf(state, now = Date.now()) {
  // Whole minutes, so that an answer that is asked for again may come from the cache.
  const end = Math.ceil(now / 60_000) * 60_000;
  const own = state.period === 'custom';
  const period = PERIODS[state.period];
  let [from, to] = period?.range?.(end) ?? [end - (period?.ms ?? DAY_MS), end];
  if (own) [from, to] = [Date.parse(state.from) || end - DAY_MS, Date.parse(state.to) || end];
  const start = { before: from - (to - from), day: from - DAY_MS, week: from - 7 * DAY_MS, own: Date.parse(state.compareFrom) || from - (to - from) }[state.compare];
  return { from, to, compare: start === undefined ? null : { from: start, to: start + (to - from) } };
}

/** The steps that there are from the finest on. */
export const stepsFrom = (finest = '5min') => Object.fromEntries(Object.entries(STEPS).slice(Object.keys(STEPS).indexOf(finest)));

/** The step of a state: as chosen if the range isn't cut into too many and there are data so fine, else the next. */
export function stepOf(state) {
  const { from, to } = rangeOf(state);
  const wanted = state.step || PERIODS[state.period]?.step || (to - from > 3 * DAY_MS ? 'hour' : '15min');
  const names = Object.keys(STEPS);
  return names.slice(Math.max(names.indexOf(wanted), names.indexOf(state.finest ?? '5min'))).find((s) => (to - from) / STEP_MS[s] <= MOST_STEPS) ?? 'month';
}

/** The start of the step in which a moment (ms) lies, by the viewer's calendar, in ms. */
export function startOf(step, t) {
  const d = new Date(t);
  if (step === 'month') return new Date(d.getFullYear(), d.getMonth(), 1).getTime();
  if (step === 'week') return midnight(t, -((d.getDay() + 6) % 7));
  return step === 'day' ? midnight(t) : Math.floor(t / STEP_MS[step]) * STEP_MS[step];
}

/** What every question about time is asked with. */
export function timeParams(state) {
  const { from, to } = rangeOf(state);
  return {
    from: new Date(from).toISOString(), to: new Date(to).toISOString(), resolution: state.along === 'time' ? stepOf(state) : null,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
}
