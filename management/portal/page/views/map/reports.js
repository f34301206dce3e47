// The cards of a hazard and of a candidate for an error of the map, each with its evidence.

import { may, send } from '../../core/api.js';
import { h, say } from '../../core/dom.js';
import { ago, percent, plural, when } from '../../core/format.js';
import { card, facts } from '../../core/card.js';
import { letterOf, nameOf } from './hazards.js';
import { errorName } from './lists.js';

/** A hazard, as /v1/hazards has it. road() opens the card of its road. */
export function hazardCard(f, { close, road }) {
  const p = f.properties;
  return card(nameOf(p.category), p.ended ? ['Ended ', when(p.ended)] : [h('span', { class: 'badge bad' }, 'Active'), ' since ', when(p.started)], close,
    h('div', { class: 'meter' }, h('span', { class: 'letter big', 'aria-hidden': 'true' }, letterOf(p.category)),
      h('p', null, h('b', { data: { fact: 'probability' } }, percent(p.probability)), h('small', null, 'probability that it is there'))),
    facts([
      ['Cars that noticed it', String(p.vehicles), 'vehicles'],
      ['Passed and noticed nothing', p.clean === undefined ? null : String(p.clean), 'clean'],
      ['Since', when(p.started)],
      ['Last evidence', [when(p.updated), ` (${ago(p.updated)})`]],
      ['Stretches of road', p.edges ? String(p.edges.length) : null],
    ]),
    h('p', { class: 'muted small' }, 'Each car that passes without noticing speaks against it; some clean passes end it.'),
    p.edge ? h('div', { class: 'row' }, h('button', { type: 'button', class: 'button', on: { click: road } }, 'The road here')) : null);
}

const MEANING = {
  missing_road: 'Cars drive where the map has no road. The dashed line is the course that they suggest.',
  wrong_oneway: 'Cars drive this one-way street against its direction.',
  moved_geometry: 'Cars drive beside the road\'s course in the map. The dashed line is where they drive.',
  closed_road: 'Nobody passes here any more, though cars pass all around.',
  missing_turn: 'Cars turn where the map has no connection.',
  wrong_turn: 'A turn that the map allows is not taken by anybody.',
};

/** A candidate, as /v1/map-errors has it. decided() is called when it was accepted or rejected. */
export function errorCard(f, { close, road, decided }) {
  const p = f.properties;
  const status = h('p', { class: 'muted small', role: 'status' });
  const decide = (to) => async () => {
    for (const b of buttons) b.disabled = true;
    say(status, 'Entering…');
    try {
      await send('PUT', `/v1/map-errors/${f.id}/status`, { status: to });
      decided(f, to);
    } catch (err) {
      for (const b of buttons) b.disabled = false;
      say(status, err.message);
    }
  };
  const buttons = [
    h('button', { type: 'button', class: 'button primary', on: { click: decide('accepted') } }, 'Accept'),
    h('button', { type: 'button', class: 'button', on: { click: decide('rejected') } }, 'Reject'),
  ];
  return card(errorName(p.type), [p.name || 'A road without a name', ' · ', p.status], close,
    h('p', null, MEANING[p.type] ?? ''),
    facts([
      ['Cars that say so', String(p.vehicles), 'vehicles'],
      ['Cars that say otherwise', String(p.against), 'against'],
      ['Certainty', percent(p.score), 'score'],
      ['First seen', when(p.first)],
      ['Last seen', [when(p.last), ` (${ago(p.last)})`]],
    ]),
    may('operator')
      ? [h('p', { class: 'muted small' }, `Is the map wrong? ${plural(p.vehicles, 'car')} say so; the decision is entered with your name and can be changed.`), h('div', { class: 'row' }, buttons)]
      : h('p', { class: 'muted small' }, 'An operator can accept or reject it: carasso token --role operator'),
    status,
    p.edge ? h('button', { type: 'button', class: 'link-button', on: { click: road } }, 'The road here') : null);
}
