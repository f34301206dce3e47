// Jobs: what can be started, what runs, and what became of it.

import { get, may, query, send } from '../../core/api.js';
import { card, facts } from '../../core/card.js';
import { fill, h, say, stylesheet } from '../../core/dom.js';
import { ago, count, duration, percent, plural, when, words } from '../../core/format.js';
import { follow } from '../../core/live.js';
import { empty, loading, trouble } from '../../core/states.js';
import { table } from '../../core/table.js';
import { argumentForm } from './form.js';

const LOOKS = { queued: 'info', running: 'info', retrying: 'warn', succeeded: 'good', failed: 'bad', cancelled: '' };
const STATES = ['any', 'running', 'queued', 'retrying', 'succeeded', 'failed', 'cancelled'];
const UNDER_WAY = ['queued', 'running', 'retrying'];

const badge = (j) => h('span', { class: `badge ${LOOKS[j.state] ?? ''}`, data: { state: j.state } }, j.cancelling ? 'cancelling' : j.state);

/** How far a job is, as a bar where that is known. */
function progress(j) {
  const { done, total, message } = j.progress;
  if (!UNDER_WAY.includes(j.state)) return message ? h('span', { class: 'muted' }, message) : '';
  const bar = total ? h('div', { class: 'bar', role: 'progressbar', 'aria-label': `Progress of ${j.kind}`, 'aria-valuenow': Math.round((100 * done) / total), 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('i', { style: { width: percent(done / total).replace(' ', '') } })) : null;
  return h('div', { class: 'progress' }, bar, h('small', { class: 'muted' }, [total ? `${count(done)} of ${count(total)}` : done ? count(done) : '', message].filter(Boolean).join(' · ')));
}

const took = (j) => (j.started && j.ended ? duration((new Date(j.ended) - new Date(j.started)) / 1000).join(' ') : j.started && j.state === 'running' ? duration((Date.now() - new Date(j.started)) / 1000).join(' ') : '–');

export async function mount(root, { params, setParams, signal, announce }) {
  await stylesheet('/portal/css/jobs.css');
  const filter = { kind: params.get('kind') ?? '', state: STATES.includes(params.get('state')) ? params.get('state') : 'any' };
  let chosen = params.get('job');
  let listing = new AbortController();
  let older = [];
  const kinds = h('div', { class: 'kinds' }, loading(4));
  const processes = h('p', { class: 'lead' }, 'What is periodic, and what is started by hand.');
  const status = h('p', { role: 'status', class: 'muted' });
  const detail = h('section', { class: 'panel', id: 'job', hidden: true });
  const history = h('div', { id: 'history' }, loading(6));
  const more = h('div', { class: 'row' });
  const kindFilter = h('select', { 'aria-label': 'Kind of job', on: { change: (e) => narrow({ kind: e.target.value }) } }, h('option', { value: '' }, 'All kinds'));
  const stateFilter = h('select', { 'aria-label': 'State of jobs', on: { change: (e) => narrow({ state: e.target.value }) } }, STATES.map((s) => h('option', { value: s, selected: s === filter.state }, s === 'any' ? 'In any state' : words(s))));
  root.append(h('div', { class: 'page' },
    h('header', null, h('div', null, h('h1', null, 'Jobs'), processes), status), detail,
    h('section', { class: 'panel' }, h('header', null, h('h2', null, 'History'), h('div', { class: 'row' }, kindFilter, stateFilter)), history, more),
    h('section', { class: 'panel' }, h('h2', null, 'What can be started'), kinds)));

  function narrow(change) {
    Object.assign(filter, change);
    setParams({ kind: filter.kind, state: filter.state === 'any' ? null : filter.state });
    list();
  }

  async function act(path, body, done) {
    try {
      const answer = await send('POST', path, body, { signal });
      say(status, done(answer));
      announce(done(answer));
      list();
      kindsNow.now();
      if (chosen) show(chosen, false);
    } catch (err) {
      if (!signal.aborted) say(status, err.message);
    }
  }
  const start = (kind) => (args) => act('/v1/jobs', { kind, args }, (a) => (a.created ? `${words(kind)} was started.` : `One like it is under way already: ${a.job.id}.`));
  const cancel = (j) => act(`/v1/jobs/${j.id}/cancel`, undefined, () => `Job ${j.id} is told to end.`);
  const retry = (j) => act(`/v1/jobs/${j.id}/retry`, undefined, () => `Job ${j.id} is tried again.`);
  const buttons = (j) => (!may('operator') ? '' : UNDER_WAY.includes(j.state)
    ? h('button', { type: 'button', class: 'button danger', disabled: j.cancelling, 'aria-label': `Cancel ${words(j.kind)} ${j.id}`, on: { click: () => cancel(j) } }, 'Cancel')
    : j.state === 'succeeded' ? '' : h('button', { type: 'button', class: 'button', 'aria-label': `Retry ${words(j.kind)} ${j.id}`, on: { click: () => retry(j) } }, 'Retry'));

  async function show(id, focus = true) {
    chosen = id;
    setParams({ job: id });
    try {
      const j = await get(`/v1/jobs/${id}`, { signal });
      detail.hidden = false;
      const json = (v) => h('pre', { class: 'block-code', tabindex: '0' }, JSON.stringify(v, null, 2));
      detail.replaceChildren(card(words(j.kind), [badge(j), ` job ${j.id}, by ${j.by}`], () => {
        chosen = null;
        detail.hidden = true;
        setParams({ job: null });
      }, facts([
        ['Started', j.started ? when(j.started) : 'not yet', 'started'], ['Ended', j.ended ? when(j.ended) : null], ['Took', took(j)],
        ['Attempt', `${j.attempt} of at most ${j.max_attempts}`], ['Last sign of life', j.progress.at ? [when(j.progress.at), ` (${ago(j.progress.at)})`] : null],
      ]), progress(j),
      Object.keys(j.args).length ? [h('h3', null, 'Arguments'), json(j.args)] : null,
      j.result ? [h('h3', null, 'Result'), json(j.result)] : null,
      j.errors.length ? [h('h3', null, 'Failures'), h('ul', { class: 'failures' }, j.errors.map((e) => h('li', null, when(e.at), ` · attempt ${e.attempt} · `, h('code', null, e.error))))] : null,
      h('div', { class: 'row' }, buttons(j))));
      if (focus) detail.querySelector('#card-title').focus();
    } catch (err) {
      if (signal.aborted) return;
      detail.hidden = false;
      detail.replaceChildren(trouble(err));
    }
  }

  function drawList(doc) {
    const jobs = [...doc.jobs, ...older];
    fill(history, JSON.stringify(jobs), () => (jobs.length ? table([
      { label: 'Job', value: (j) => h('button', { type: 'button', class: 'link-button', data: { focus: `job-${j.id}` }, on: { click: () => show(j.id) } }, words(j.kind)) },
      { label: 'State', value: badge }, { label: 'Progress', value: progress },
      { label: 'By', value: (j) => j.by }, { label: 'Created', value: (j) => when(j.created) },
      { label: 'Took', num: true, value: took }, { label: 'Actions', num: true, value: buttons },
    ], jobs, { caption: 'Jobs, newest first', rowData: (j) => ({ job: j.id }) }) : empty('No such job', filter.kind || filter.state !== 'any' ? 'None of this kind and state is known.' : 'Scheduled ones appear here when they are due.')));
    const cursor = older.cursor ?? doc.next_cursor;
    fill(more, cursor ?? '', () => (cursor ? h('button', { type: 'button', class: 'button', on: { click: () => loadOlder(cursor) } }, 'Older') : []));
  }

  async function loadOlder(cursor) {
    try {
      const page = await get(query('/v1/jobs', { kind: filter.kind, state: filter.state, cursor }), { signal: listing.signal });
      older = [...older, ...page.jobs];
      older.cursor = page.next_cursor ?? '';
      delete more.dataset.key;
      jobsNow.now();
    } catch (err) {
      if (!listing.signal.aborted) say(status, err.message);
    }
  }

  let jobsNow = null;
  function list() {
    listing.abort();
    listing = new AbortController();
    older = [];
    delete more.dataset.key;
    jobsNow = follow(query('/v1/jobs', { kind: filter.kind, state: filter.state }), 2500, {
      data: drawList,
      error(err) {
        if (history.dataset.key && !err.denied) return;
        delete history.dataset.key;
        history.replaceChildren(trouble(err));
      },
    }, listing.signal);
  }
  signal.addEventListener('abort', () => listing.abort());
  list();

  const kindsNow = follow('/v1/job-kinds', 10_000, {
    data(doc) {
      processes.replaceChildren(doc.processes ? `${plural(doc.processes, 'process carries', 'processes carry')} jobs out.` : h('span', { class: 'badge bad' }, 'No process carries jobs out: nothing periodic happens'));
      if (kindFilter.options.length === 1) kindFilter.append(...doc.kinds.map((k) => h('option', { value: k.name, selected: k.name === filter.kind }, words(k.name))));
      // What is being put into a form must not be lost.
      if (kinds.querySelector('details[open]')) return;
      fill(kinds, JSON.stringify(doc.kinds.map((k) => [k.name, k.next, k.last?.state, k.last?.id])), () => doc.kinds.map((k) => h('article', { class: 'kind', data: { kind: k.name } },
        h('div', { class: 'kind-top' }, h('h3', null, words(k.name)), k.last ? badge(k.last) : null),
        h('p', { class: 'muted' }, k.description),
        facts([['Schedule', k.schedule || 'on demand'], ['Next', k.next ? when(k.next) : null], ['Last succeeded', k.last_succeeded ? when(k.last_succeeded) : 'never']]),
        may('operator') ? h('details', null, h('summary', null, 'Start it'), argumentForm(k, start(k.name))) : null)));
    },
    error(err) {
      if (!kinds.dataset.key) kinds.replaceChildren(err.denied ? '' : trouble(err));
    },
  }, signal);

  if (chosen) show(chosen, false);
  document.addEventListener('keydown', (e) => { if (e.key === 'Escape' && chosen) detail.querySelector('.card-top button')?.click(); }, { signal });
  return {};
}
