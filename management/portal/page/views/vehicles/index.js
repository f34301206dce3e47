// Vehicles: how many come through, why one of them is silent, and how well their sensors are.

import { h } from '../../core/dom.js';
import { erase } from './erase.js';
import { silentCar } from './silent.js';
import { sensorHealth } from './health.js';
import { summary } from './summary.js';

export async function mount(root, ctx) {
  const tiles = h('section', { 'aria-label': 'Summary' });
  const silent = h('section', { class: 'panel' });
  const health = h('section', { class: 'panel' });
  const erasing = h('section', { class: 'panel', id: 'erase' });
  root.append(h('div', { class: 'page' },
    h('header', null, h('div', null, h('h1', null, 'Vehicles'), h('p', { class: 'lead' }, 'Told without saying whose: a vehicle\'s id is asked about, never shown, and every question is in the audit log.'))),
    tiles, silent, health, erasing));
  summary(tiles, ctx);
  silentCar(silent, ctx);
  erase(erasing, ctx);
  const { redraw } = sensorHealth(health, ctx);
  return { redraw };
}
