// Numbers for people.

const whole = new Intl.NumberFormat('en');
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

export const count = (n) => whole.format(Math.round(n));
export const short = (n) => (n < 100_000 ? count(n) : compact.format(n));
export const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : short(n));
export const time = (t) => clock.format(new Date(t));

/** Seconds as [number, unit]. */
export function duration(s) {
  if (s < 0.0005) return ['0', 's'];
  if (s < 0.9995) return [String(Math.round(s * 1000)), 'ms'];
  if (s < 120) return [s < 10 ? s.toFixed(1) : String(Math.round(s)), 's'];
  if (s < 7200) return [String(Math.round(s / 60)), 'min'];
  return [whole.format(Math.round(s / 3600)), 'h'];
}

const points = ['north', 'north-east', 'east', 'south-east', 'south', 'south-west', 'west', 'north-west'];

/** The point of the compass that a line of [lon, lat] pairs heads for. */
export function heading(line) {
  const [a, b] = [line[0], line.at(-1)];
  const dx = (b[0] - a[0]) * Math.cos((a[1] * Math.PI) / 180);
  return points[Math.round(((Math.atan2(dx, b[1] - a[1]) * 180) / Math.PI + 360) / 45) % 8];
}

export const roadClass = (c) => (c ? c.replace('_', ' ') : '');
