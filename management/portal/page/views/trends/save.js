// A table as a file.

import { h } from '../../core/dom.js';

/** Text of a table as RFC 4180 says, in the units of the API; times are RFC 3339. */
function csv(columns, rows) {
  const text = (c, r) => {
    const v = c.raw ? c.raw(r) : c.value(r);
    return v instanceof Element ? v.getAttribute('datetime') ?? v.textContent : String(v ?? '');
  };
  const lines = [columns.map((c) => c.label), ...rows.map((r) => columns.map((c) => text(c, r)))];
  return lines.map((line) => line.map((v) => (/[",\r\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v)).join(',')).join('\r\n');
}

/** Hands rows to the browser to keep. */
export function saveCSV(state, columns, rows) {
  const a = h('a', { href: URL.createObjectURL(new Blob([csv(columns, rows)], { type: 'text/csv' })), download: `carasso-${state.measure}-${new Date().toISOString().slice(0, 16).replace(':', '')}.csv` });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}
