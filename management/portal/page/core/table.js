// Tables.

import { h } from './dom.js';

/**
 * A table. Columns are { label, value(row), num }; num aligns to the right. Options: caption (for screen
 * readers), open(row) makes rows clickable beside the link or button that their first cell should hold.
 */
export function table(columns, rows, { caption, rowData } = {}) {
  const kind = (c) => (c.num ? 'num' : null);
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption ?? 'Table' },
    h('table', null,
      caption && h('caption', { class: 'visually-hidden' }, caption),
      h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col', class: kind(c) }, c.label)))),
      h('tbody', null, rows.map((row) => h('tr', { data: rowData?.(row) },
        columns.map((c) => h('td', { class: kind(c) }, c.value(row) ?? '–')))))));
}

/** A table behind a summary: what a chart shows, for those who can't see it. Made when it is opened. */
export function behind(summary, make) {
  const details = h('details', null, h('summary', null, summary));
  details.addEventListener('toggle', () => {
    if (details.open && details.children.length === 1) details.append(make());
  });
  return details;
}
