// Line icons of our own, on a grid of 24.

import { s } from './dom.js';

const PATHS = {
  map: ['M3 6.5 9 4l6 2.5L21 4v13.5L15 20l-6-2.5L3 20z', 'M9 4v13.5', 'M15 6.5V20'],
  trends: ['M3 20h18', 'M4 15l5-5 4 3 7-8', 'M15 5h5v5'],
  pipeline: ['M3 8.5h5v7H3z', 'M16 4h5v6h-5z', 'M16 14h5v6h-5z', 'M8 12h4', 'M16 7h-4v10h4'],
  vehicles: ['M4 16v-3l2-5h12l2 5v3z', 'M4 16v2h3v-2', 'M17 16v2h3v-2', 'M7 13h2', 'M15 13h2'],
  quarantine: ['M12 3 4 6v6c0 5 3.5 8 8 9 4.5-1 8-4 8-9V6z', 'M9 9l6 6', 'M15 9l-6 6'],
  jobs: ['M12 8v4l3 2', 'M12 3a9 9 0 1 0 9 9', 'M15 3.5a9 9 0 0 1 5.5 5.5'],
  webhooks: ['M9.5 10.5a4 4 0 1 1 5.3-.8L18 15', 'M6.5 12.5a4 4 0 1 0 3.8 5H16', 'M12 7l-3.5 7'],
  cost: ['M12 3v18', 'M16.5 7.5c-1-1.5-2.5-2-4.5-2-2.5 0-4 1.2-4 3 0 4.5 9 2 9 6.5 0 2-2 3.5-5 3.5-2.2 0-4-.7-5-2.3'],
  audit: ['M6 3h9l4 4v14H6z', 'M9 12h7', 'M9 16h5', 'M9 8h3'],
  theme: ['M12 3a9 9 0 1 0 0 18z', 'M12 3a9 9 0 0 1 0 18'],
  search: ['M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14z', 'M16 16l5 5'],
  close: ['M6 6l12 12', 'M18 6L6 18'],
  key: ['M14 10a4 4 0 1 0-3.9 5L12 13l2 2 2-2 2 2 3-3-2-2z'],
  warning: ['M12 4 2.5 20h19z', 'M12 10v4', 'M12 17v.5'],
  empty: ['M4 13l3-8h10l3 8v6H4z', 'M4 13h5l1 2h4l1-2h5'],
  play: ['M8 5v14l11-7z'], pause: ['M8 5v14', 'M16 5v14'],
  download: ['M12 4v11', 'M7 11l5 5 5-5', 'M4 20h16'],
  link: ['M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1 1', 'M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1-1'],
};

/** An icon, for the eye only: say beside it what it means. */
export const icon = (name, size = 20) => s('svg', { viewBox: '0 0 24 24', width: size, height: size, 'aria-hidden': 'true', class: 'icon' },
  (PATHS[name] ?? []).map((d) => s('path', { d })));
