// A form for the arguments of a job, made from their JSON Schema.

import { h } from '../../core/dom.js';
import { words } from '../../core/format.js';

/** A moment as <input type="datetime-local"> takes it, in the viewer's zone. */
const local = (t) => new Date(t.getTime() - t.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/** How a property is put in, and how it is read: null leaves it out. */
function input(schema, id) {
  const type = [schema.type].flat()[0];
  if (schema.enum) {
    const el = h('select', { id }, h('option', { value: '' }, '–'), schema.enum.map((v) => h('option', { value: v, selected: v === schema.default }, String(v))));
    return { el, read: () => el.value || null };
  }
  if (type === 'boolean') {
    const el = h('input', { id, type: 'checkbox', checked: schema.default === true });
    return { el, read: () => el.checked };
  }
  if (schema.format === 'date-time') {
    const el = h('input', { id, type: 'datetime-local', value: schema.default ? local(new Date(schema.default)) : '' });
    return { el, read: () => (el.value ? new Date(el.value).toISOString() : null) };
  }
  if (type === 'integer' || type === 'number') {
    const el = h('input', { id, type: 'number', min: schema.minimum, max: schema.maximum, step: type === 'integer' ? 1 : 'any', value: schema.default ?? '' });
    return { el, read: () => (el.value === '' ? null : Number(el.value)) };
  }
  const structured = type === 'object' || type === 'array';
  const el = h('input', { id, type: 'text', placeholder: structured ? 'JSON' : null, value: structured ? '' : schema.default ?? '' });
  return { el, read: () => (el.value === '' ? null : structured ? JSON.parse(el.value) : el.value) };
}

/** A form for a kind of job; start(args) is called with what was put in. */
export function argumentForm(kind, start) {
  const properties = Object.entries(kind.args?.properties ?? {});
  const required = new Set(kind.args?.required ?? []);
  const fields = properties.map(([name, schema]) => {
    const id = `arg-${kind.name}-${name}`;
    const { el, read } = input(schema, id);
    if (required.has(name) && el.type !== 'checkbox') el.required = true;
    const label = h('span', null, words(name), required.has(name) ? '' : h('span', { class: 'muted' }, ' (optional)'));
    const hint = schema.description && h('small', null, schema.description);
    return { name, read, row: el.type === 'checkbox' ? h('label', { class: 'field check' }, el, h('span', null, label, hint)) : h('label', { class: 'field' }, label, el, hint) };
  });
  return h('form', {
    class: 'arguments', on: { submit: (e) => {
      e.preventDefault();
      const args = {};
      for (const f of fields) {
        const v = f.read();
        if (v !== null) args[f.name] = v;
      }
      start(args);
    } },
  }, fields.map((f) => f.row), h('div', { class: 'row' }, h('button', { type: 'submit', class: 'button primary' }, 'Start')));
}
