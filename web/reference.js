// The reference: what the gateway serves, out of its own description (`/openapi.json`).

import { copyButton, h, open, refusal, strip, tabs } from './kit.js';
import { Markdown } from './markdown.js';

/** @typedef {{method: string, path: string, about: any}} Operation */

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
/** Unfolding deeper than this helps nobody. */
const DEEPEST = 6;

open(page, { full: true });

function page() {
  const main = h('main', { class: 'api' }, h('div', { class: 'doc' }, h('h1', {}, 'Reference'), h('p', { class: 'faint' }, 'Reading the description…')));
  fetch('/openapi.json').then(async answer => {
    if (!answer.ok) throw await refusal(answer);
    fill(main, await answer.json());
  }).catch(error => main.replaceChildren(h('div', { class: 'doc' }, h('h1', {}, 'Reference'), strip(error.message))));
  return main;
}

/** @param {HTMLElement} main @param {any} description */
function fill(main, description) {
  /** @type {Operation[]} */
  const operations = [];
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const method of METHODS) if (methods[method]) operations.push({ method, path, about: methods[method] });
  }
  const tags = description.tags.map((/** @type {any} */ { name }) => name);
  operations.sort((one, other) => tags.indexOf(one.about.tags?.[0]) - tags.indexOf(other.about.tags?.[0]));
  const find = h('input', { type: 'search', placeholder: 'Find', 'aria-label': 'Find in the reference', oninput: () => list(find.value) });
  const links = h('div', {});
  const select = h('select', { 'aria-label': 'Operation', onchange: () => { location.hash = select.value; } },
    operations.map(({ method, path, about }) => h('option', { value: about.operationId }, `${method.toUpperCase()} ${path}`)));
  const text = h('div', { class: 'doc', tabindex: 0, role: 'region', 'aria-label': 'Operation' });
  const right = h('aside', { class: 'side r', 'aria-label': 'Examples' });
  const chosen = () => operations.find(({ about }) => about.operationId === location.hash.slice(1)) ?? operations[0];

  /** @param {string} filter */
  function list(filter) {
    const word = filter.toLowerCase();
    const fits = (/** @type {Operation} */ { path, about }) => word === '' || JSON.stringify([path, about]).toLowerCase().includes(word);
    const found = operations.filter(fits);
    links.replaceChildren(...description.tags.flatMap((/** @type {any} */ tag) => {
      const own = found.filter(({ about }) => about.tags?.includes(tag.name));
      return own.length === 0 ? [] : [h('h2', { class: 'small' }, tag.name), ...own.map(link)];
    }));
    if (found.length === 0) links.append(h('p', { class: 'faint' }, 'Nothing has this word in it.'));
  }

  /** @param {Operation} operation */
  function link({ method, path, about }) {
    return h('a', { href: `#${about.operationId}`, 'aria-current': about === chosen()?.about && 'page' },
      h('span', { class: `meth ${method}` }, method.toUpperCase()), path);
  }

  function show() {
    const operation = chosen();
    if (!operation) return;
    select.value = operation.about.operationId;
    list(find.value);
    text.replaceChildren(...operationText(operation, description));
    text.scrollTop = 0;
    right.replaceChildren(...examples(operation, description));
  }

  addEventListener('hashchange', show);
  main.replaceChildren(h('nav', { class: 'toc', 'aria-label': 'Operations' }, find, links), h('div', { class: 'pick only-s' }, select), text, right);
  show();
}

/** Follows a reference inside the document. @param {any} part @param {any} description @returns {any} */
function resolved(part, description) {
  const reference = part?.$ref;
  if (typeof reference !== 'string') return part;
  return reference.split('/').slice(1).reduce((at, name) => at?.[name], description);
}

/** @param {string | undefined} source */
function prose(source) {
  const box = h('div', { class: 'say prose' });
  if (!source) return box;
  const markdown = new Markdown(box);
  // In the description lines are only broken because they are long.
  markdown.push(source.replace(/([^\n])\n(?=[^\n\s\d*|-])/g, '$1 '));
  markdown.end();
  return box;
}

/** @param {Operation} operation @param {any} description @returns {HTMLElement[]} */
function operationText({ method, path, about }, description) {
  /** @type {HTMLElement[]} */
  const parts = [h('h1', {}, about.summary.replace(/\.$/, '')), h('p', {}, h('code', {}, `${method.toUpperCase()} ${path}`)), prose(about.description)];
  const body = resolved(about.requestBody, description)?.content?.['application/json']?.schema;
  const parameters = (about.parameters ?? []).map((/** @type {any} */ parameter) => resolved(parameter, description));
  if (parameters.length > 0) parts.push(h('h2', {}, 'Headers and path'), h('ul', { class: 'fields' }, parameters.map(parameterRow)));
  if (body) parts.push(h('h2', {}, 'Fields'), fields(body, description, 0));
  parts.push(h('h2', {}, 'Answers'));
  for (const [status, answer] of Object.entries(about.responses)) parts.push(answerText(status, resolved(answer, description), description));
  return parts;
}

/** @param {any} parameter */
function parameterRow(parameter) {
  return h('li', {}, h('code', {}, parameter.name), h('span', { class: 'faint' }, parameter.in), h('div', { class: 'soft' }, prose(parameter.description)));
}

/**
 * The members of a schema, each with what becomes of it.
 * @param {any} schema @param {any} description @param {number} depth
 * @returns {HTMLElement}
 */
function fields(schema, description, depth) {
  const list = h('ul', { class: 'fields' });
  const made = resolved(schema, description) ?? {};
  const required = new Set(made.required ?? []);
  for (const [name, given] of Object.entries(made.properties ?? {})) {
    const member = resolved(given, description) ?? {};
    const fate = given['x-gateway-fate'] ?? member['x-gateway-fate'];
    const how = given['x-gateway-how'] ?? member['x-gateway-how'];
    const about = h('div', { class: 'soft' }, how ? h('span', {}, prose(how)) : null, prose(given.description ?? member.description), inside(given, description, depth));
    list.append(h('li', {}, h('code', {}, name, required.has(name) ? h('b', { title: 'required' }, ' *') : null),
      fate ? h('span', { class: `fate ${fate}` }, fate) : h('span', { class: 'faint small' }, kind(member)), about));
  }
  return list;
}

/** What a member has inside, to be unfolded. @param {any} schema @param {any} description @param {number} depth @returns {HTMLElement | null} */
function inside(schema, description, depth) {
  const member = resolved(schema, description) ?? {};
  const of = resolved(member.items ?? schema, description) ?? {};
  const variants = (of.anyOf ?? of.oneOf ?? []).map((/** @type {any} */ variant) => ({ name: variant.$ref?.split('/').at(-1) ?? '', schema: resolved(variant, description) }))
    .filter((/** @type {any} */ variant) => variant.schema?.properties);
  if ((!of.properties && variants.length === 0) || depth > DEEPEST) return null;
  const fold = h('details', { ontoggle: () => {
    // Made when it is opened, so that schemas that hold themselves do no harm.
    if (!fold.open || fold.childElementCount > 1) return;
    if (of.properties) fold.append(fields(of, description, depth + 1));
    for (const variant of variants) fold.append(h('h3', {}, variant.name), fields(variant.schema, description, depth + 1));
  } }, h('summary', {}, 'Members'));
  return fold;
}

/** @param {any} schema */
function kind(schema) {
  const types = [schema.type ?? (schema.enum ? 'one of' : '')].flat().filter(type => type !== 'null');
  return schema.enum ? schema.enum.map(String).join(', ') : types.join(' or ');
}

/** @param {string} status @param {any} answer @param {any} description */
function answerText(status, answer, description) {
  const codes = answer?.['x-gateway-codes'] ?? [];
  const named = Array.isArray(codes) ? codes : Object.keys(codes);
  const headers = Object.keys(answer?.headers ?? {});
  const schema = answer?.content?.['application/json']?.schema;
  const [summary = ''] = (answer?.description ?? '').replace(/\s+/g, ' ').replaceAll('`', '').split('. ');
  return h('details', { class: 'fold' },
    h('summary', {}, h('code', {}, status), h('span', {}, summary)),
    prose(answer?.description),
    named.length > 0 && h('p', {}, 'Codes: ', named.map(code => [h('code', {}, code), ' '])),
    headers.length > 0 && h('p', { class: 'soft' }, 'Headers: ', headers.join(', ')),
    schema && inside({ anyOf: [schema] }, description, 0));
}

/** @param {Operation} operation @param {any} description @returns {HTMLElement[]} */
function examples({ method, path, about }, description) {
  const content = resolved(about.requestBody, description)?.content?.['application/json'];
  const given = Object.entries(content?.examples ?? {}).map(([id, example]) => ({ id, title: resolved(example, description).summary ?? id, value: resolved(example, description).value }));
  let copied = '';
  const panel = h('div', { class: 'code' });
  const shown = (/** @type {string} */ text) => () => {
    copied = text;
    return h('pre', {}, text);
  };
  const url = `${location.origin}${path}`;
  const rows = given.map(({ id, title, value }) => ({ id, title: given.length > 1 ? id : title, show: shown(JSON.stringify(value, null, 2)) }));
  if (rows.length === 0) rows.push({ id: 'curl', title: 'curl', show: shown(`curl ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}${url}`) });
  const code = tabs('Examples', rows, panel);
  const tryIt = path === '/v1/chat/completions' && h('p', { class: 'code' }, h('button', { type: 'button', onclick: () => openInPlayground(copied) }, 'Open in the playground'));
  return [h('div', { class: 'ptabs' }, code.list, h('span', { class: 'cp' }, copyButton('Copy the example', () => copied))), panel, tryIt].filter(part => part instanceof HTMLElement);
}

/** Carries an example over: its messages and the fields that the playground has. @param {string} text */
function openInPlayground(text) {
  const { model, messages = [], stream = false, tools } = JSON.parse(text);
  const system = messages.find((/** @type {any} */ { role }) => role === 'system')?.content ?? '';
  const turns = messages.filter((/** @type {any} */ { role, content }) => role !== 'system' && typeof content === 'string');
  sessionStorage.setItem('turns', JSON.stringify(turns));
  localStorage.setItem('setup', JSON.stringify({ ...JSON.parse(localStorage.getItem('setup') ?? '{}'), model, system, stream, tools: tools ? JSON.stringify(tools, null, 2) : '' }));
  location.assign('/');
}
