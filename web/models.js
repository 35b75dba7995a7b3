// The model picker: a field that filters, and a list under it.

import { h, icon, modelName } from './kit.js';

/**
 * A model, as `/v1/models` lists it.
 * @typedef {object} Model
 * @property {string} id
 * @property {number} [context_length]
 * @property {{input_modalities: string[]}} [architecture]
 * @property {string[]} [supported_parameters]
 * @property {string} [price_class]
 * @property {boolean} [premium]
 * @property {boolean} [reasoning]
 * @property {string} [alias_of]
 */

/** What fal charges for a call of a premium model, in calls of another one. */
export const PREMIUM_UNITS = 10;

/** @param {Model | undefined} model */
export const units = model => (model?.premium ? PREMIUM_UNITS : 1);

/** @param {Model | undefined} model @returns {HTMLElement[]} */
export function abilities(model) {
  if (!model) return [h('span', { class: 'tag' }, 'not listed: fal decides')];
  const tag = (/** @type {string} */ text, kind = '') => h('span', { class: `tag ${kind}` }, text);
  const tags = [model.premium ? tag(`${PREMIUM_UNITS} units a call`, 'prem') : tag('1 unit a call')];
  if (model.architecture?.input_modalities.includes('image')) tags.push(tag('sees images'));
  if (model.reasoning) tags.push(tag('reasons'));
  const length = model.context_length ?? 0;
  if (length > 0) tags.push(tag(length < 1e6 ? `${Math.round(length / 1000)}k` : `${(length / 1e6).toFixed(0)}M`));
  if (model.alias_of) tags.push(tag(`is ${model.alias_of}`));
  return tags;
}

/**
 * @param {Model[]} models @param {string} chosen
 * @param {(id: string) => void} onchoose
 */
export function picker(models, chosen, onchoose) {
  const list = h('ul', { id: 'models', role: 'listbox', 'aria-label': 'Models', class: 'options', hidden: true });
  const tags = h('div', { class: 'tags', id: 'model-tags' });
  const field = h('input', {
    id: 'model', role: 'combobox', 'aria-expanded': 'false', 'aria-controls': 'models', 'aria-autocomplete': 'list',
    'aria-describedby': 'model-tags', autocomplete: 'off', spellcheck: 'false', value: chosen,
    onfocus: () => field.select(), onclick: () => show(''), oninput: () => show(field.value), onkeydown: keys,
    onblur: () => { hide(); field.value = current; },
  });
  let current = chosen;
  let at = -1;
  /** @type {string[]} */
  let found = [];
  const known = (/** @type {string} */ id) => models.find(model => model.id === id);
  const describe = () => tags.replaceChildren(...abilities(known(current)));

  /** @param {string} filter */
  function show(filter) {
    const words = filter.toLowerCase().split(/\s+/);
    const fitting = models.filter(model => words.every(word => model.id.toLowerCase().includes(word)));
    found = fitting.map(model => model.id);
    // A model that only fal knows can be typed.
    if (filter.includes('/') && !known(filter)) found.push(filter);
    at = Math.max(0, found.indexOf(current));
    list.replaceChildren(...found.map(option));
    if (found.length === 0) list.append(h('li', { class: 'faint' }, 'No model has these words in its name.'));
    list.hidden = false;
    field.setAttribute('aria-expanded', 'true');
    mark();
  }

  /** @param {string} id @param {number} index */
  function option(id, index) {
    return h('li', {
      id: `model-${index}`, role: 'option', 'aria-selected': String(id === current),
      // Before the field loses the focus.
      onmousedown: event => { event.preventDefault(); choose(id); },
    }, modelName(id), h('span', { class: 'tags' }, abilities(known(id))));
  }

  function mark() {
    [...list.children].forEach((item, index) => item.classList.toggle('at', index === at));
    const item = list.children[at];
    if (item?.id) field.setAttribute('aria-activedescendant', item.id);
    item?.scrollIntoView({ block: 'nearest' });
  }

  function hide() {
    list.hidden = true;
    field.setAttribute('aria-expanded', 'false');
    field.removeAttribute('aria-activedescendant');
  }

  /** @param {string} id */
  function choose(id) {
    current = id;
    field.value = id;
    describe();
    hide();
    onchoose(id);
  }

  /** @param {KeyboardEvent} event */
  function keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (list.hidden) return show('');
      at = (at + step + found.length) % Math.max(1, found.length);
      mark();
    } else if (event.key === 'Enter' && !list.hidden) {
      event.preventDefault();
      const id = found[at];
      if (id) choose(id);
    } else if (event.key === 'Escape' && !list.hidden) {
      event.stopPropagation();
      hide();
      field.value = current;
    }
  }

  describe();
  return h('div', { class: 'f combo' }, h('label', { for: 'model' }, 'Model'), field, icon('chev'), list, tags);
}
