// What all pages share: making elements, talking to the gateway, the frame around each page.

/** @typedef {Node | string | number | null | undefined | false} Kid */
/** @typedef {Kid | Kid[] | Kid[][] | undefined} Kids */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Props */

/**
 * Makes an element. Text stays text: nothing is ever parsed as HTML.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props] attributes, and listeners under `onclick` and the like
 * @param {...Kids} kids
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...kids) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...nodes(kids));
  return element;
}

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number>} [props]
 * @param {...Kids} kids
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, props = {}, ...kids) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, String(value));
  element.append(...nodes(kids));
  return element;
}

/** @param {Kids[]} kids @returns {(Node | string)[]} */
function nodes(kids) {
  const flat = /** @type {Kid[]} */ (kids.flat(3));
  return flat.flatMap(kid =>
    kid === null || kid === undefined || kid === false ? [] : [kid instanceof Node ? kid : String(kid)]);
}

const ICONS = {
  send: 'M8 13V3M3.5 7.5 8 3l4.5 4.5', stop: 'M4.5 4.5h7v7h-7z',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3', play: 'M5 3.5v9l7-4.5z', down: 'M8 3v9M4 8.5 8 12.5l4-4',
  clip: 'M13 7.5 7.8 12.7a3 3 0 0 1-4.3-4.3L9 3a2 2 0 0 1 2.9 2.8L6.6 11', chev: 'm4.5 6.5 3.5 3.5 3.5-3.5',
  sun: 'M8 2v1.5M8 12.5V14M2 8h1.5M12.5 8H14M3.8 3.8l1 1M11.2 11.2l1 1M3.8 12.2l1-1M11.2 4.8l1-1M10.5 8a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z',
  pause: 'M5.5 4v8M10.5 4v8', back: 'M10 3.5 5.5 8l4.5 4.5', gear: 'M2.5 5h7M12.5 5h1M2.5 11h1M6.5 11h7M11 3.5v3M5 9.5v3',
  close: 'm4 4 8 8M12 4l-8 8', again: 'M13 8a5 5 0 1 1-1.6-3.7M13 2.5V5h-2.6', edit: 'm3 13 .7-3L10.500 3.200l2.300 2.300L6 12.300z',
};

/** @param {keyof typeof ICONS} name */
export const icon = name =>
  s('svg', { class: 'i', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, s('path', { d: ICONS[name] }));

// --- talking to the gateway ---

const TOKEN = 'console-token';

/** An answer that is no success. */
export class Refused extends Error {
  /** @param {number} status @param {string} message @param {string} code */
  constructor(status, message, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Asks the console's own API.
 * @param {string} path
 * @param {{method?: string, key?: string, body?: unknown}} [options]
 * @returns {Promise<any>}
 */
export async function ask(path, { method = 'GET', key, body } = {}) {
  const token = key ?? sessionStorage.getItem(TOKEN);
  /** @type {Record<string, string>} */
  const headers = { 'x-console': '1' };
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const answer = await fetch(`/console/v1/${path}`, {
    method, headers, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw await refusal(answer);
  return answer.status === 204 ? null : answer.json();
}

/** @param {Response} answer @returns {Promise<Refused>} */
export async function refusal(answer) {
  const body = await answer.json().catch(() => null);
  const { message = `The gateway answered ${answer.status}.`, code = '' } = body?.error ?? {};
  return new Refused(answer.status, message, code ?? '');
}

/**
 * What the gateway says of itself.
 * @typedef {object} State
 * @property {string} version
 * @property {boolean} needs_session
 * @property {'none' | 'client' | 'fal'} callers_key
 * @property {string} fal
 * @property {string} app
 * @property {string} default_model
 */

// --- the frame ---

/** @type {[path: string, title: string][]} */
const PAGES = [['/', 'Playground'], ['/requests', 'Requests'], ['/overview', 'Overview'], ['/reference', 'Reference'], ['/settings', 'Settings']];
const MARK = 'M2 15V6a7 7 0 0 1 14 0v9M6 15V7a3 3 0 0 1 6 0v8';

/** Says something to screen readers, which do not see the page change. */
const status = h('div', { role: 'status', class: 'vh' });

/** @param {string} text */
export function say(text) {
  status.textContent = text;
}

/** What a caller's requests carry, where callers need a key: the one that was entered in the playground. @param {State} state @returns {Record<string, string>} */
export function callersKey(state) {
  const key = sessionStorage.getItem('client-key');
  return state.callers_key !== 'none' && key ? { authorization: `Bearer ${key}` } : {};
}

/**
 * Shows the frame of a page, asks for the admin key if it is needed, and then shows the page.
 * @param {(state: State) => HTMLElement} show makes the page's `main`
 * @param {{full?: boolean, keys?: [key: string, does: string][]}} [options] whether the page scrolls
 *   inside itself, and what its keys do
 */
export async function open(show, { full = false, keys = [] } = {}) {
  if (full) document.body.classList.add('full');
  listenForKeys(keys);
  const chip = h('span', { class: 'chip', hidden: true });
  document.body.append(h('a', { class: 'skip', href: '#main' }, 'Skip to content'), top(chip), status);
  let main = h('main', { id: 'main', class: 'pad' });
  document.body.append(main);
  try {
    const state = await unlocked(main);
    chip.hidden = false;
    const isEmulator = state.fal === '127.0.0.1' || state.fal === 'localhost';
    chip.append(h('span', { class: 'dot' }), isEmulator ? 'Emulator' : state.fal);
    const shown = show(state);
    shown.id = 'main';
    main.replaceWith(shown);
    main = shown;
  } catch (error) {
    main.replaceChildren(h('h1', {}, 'The gateway does not answer'), strip(String(error)),
      h('p', {}, h('button', { onclick: () => location.reload() }, 'Try again')));
  }
}

/** @param {HTMLElement} chip */
function top(chip) {
  const isHere = (/** @type {string} */ path) =>
    path === '/' ? location.pathname === '/' : location.pathname.startsWith(path);
  const tabs = PAGES.map(([path, title]) => h('a', { href: path, 'aria-current': isHere(path) && 'page' }, title));
  return h('header', { class: 'top' },
    h('a', { class: 'brand', href: '/' }, s('svg', { viewBox: '0 0 18 18', 'aria-hidden': 'true' },
      s('path', { d: MARK, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.8, 'stroke-linecap': 'round' })), 'fal-gateway'),
    h('nav', { class: 'tabs', 'aria-label': 'Pages' }, tabs),
    h('div', { class: 'end' }, chip, h('button', {
      class: 'bare', 'aria-label': 'Switch between light and dark', title: 'Light or dark', onclick: switchTheme,
    }, icon('sun'))));
}

function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = isDark ? 'light' : 'dark';
  store(localStorage, 'theme', root.dataset.theme);
}

/**
 * The gateway's state, once it may be known.
 * @param {HTMLElement} main where the key is asked for
 * @returns {Promise<State>}
 */
async function unlocked(main) {
  for (;;) {
    const state = await ask('state');
    if (!state.locked) return state;
    await askForKey(main);
  }
}

/** @param {HTMLElement} main @returns {Promise<void>} */
function askForKey(main) {
  return new Promise(resolve => {
    const field = h('input', { id: 'key', type: 'password', autocomplete: 'off', required: true, 'aria-describedby': 'key-error' });
    const error = h('p', { id: 'key-error', class: 'bad', role: 'alert' });
    const enter = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const key = field.value;
      field.value = '';
      try {
        const { token } = await ask('session', { method: 'POST', key });
        sessionStorage.setItem(TOKEN, token);
        main.replaceChildren();
        resolve();
      } catch (refused) {
        error.textContent = refused instanceof Refused ? refused.message : 'The gateway does not answer.';
        field.focus();
      }
    };
    main.replaceChildren(h('h1', {}, 'Admin key'), h('form', { class: 'f narrow', onsubmit: enter },
      h('label', { for: 'key' }, 'This gateway is not yours alone. Enter its admin key.'), field, error,
      h('div', {}, h('button', { class: 'pri' }, 'Open'))));
    field.focus();
  });
}

/** Ends the session, so that the page asks for the key again. */
export async function signOut() {
  await ask('session', { method: 'DELETE' });
  sessionStorage.removeItem(TOKEN);
  location.reload();
}

// --- small things ---

/** @param {string} text @param {string} [kind] */
export const strip = (text, kind = 'bad') => h('p', { class: `strip ${kind}` }, text);

/**
 * Keeps something, if the browser lets us and has room.
 * @param {Storage} storage @param {string} name @param {string} value
 */
export function store(storage, name, value) {
  try {
    storage.setItem(name, value);
    return true;
  } catch {
    return false;
  }
}

/** @param {Storage} storage @param {string} name @returns {any} */
export function stored(storage, name) {
  try {
    return JSON.parse(storage.getItem(name) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * A button that copies. Without a secure context there is no clipboard to write to, so the older way
 * is tried, and if that fails too the button says so.
 * @param {string} label @param {() => string} text
 */
export function copyButton(label, text) {
  const button = h('button', { type: 'button', class: 'bare', 'aria-label': label, title: label, onclick: async () => {
    const done = await copy(text());
    button.replaceChildren(done ? 'Copied' : 'Press Ctrl+C');
    say(done ? 'Copied' : 'Not copied. Press Ctrl+C.');
    setTimeout(() => button.replaceChildren(icon('copy')), 1500);
  } }, icon('copy'));
  return button;
}

/** @param {string} text @returns {Promise<boolean>} */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h('textarea', { class: 'vh', 'aria-hidden': 'true', tabindex: -1 });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}

/** @param {number} ms */
export function span(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 10000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {number} n */
export const count = n => n.toLocaleString('en');

/** @param {string} id `openai/gpt-4o`: the provider is less important. */
export function modelName(id) {
  const cut = id.indexOf('/') + 1;
  return h('span', {}, h('span', { class: 'faint' }, id.slice(0, cut)), id.slice(cut));
}

/**
 * A row of tabs, and what they show. Arrow keys go from one to the next.
 * @param {string} label
 * @param {{id: string, title: Kids, show: () => Kids}[]} tabs
 * @param {HTMLElement} panel
 * @param {string} [chosen]
 */
export function tabs(label, tabs, panel, chosen = '') {
  panel.setAttribute('role', 'tabpanel');
  panel.setAttribute('tabindex', '0');
  panel.setAttribute('aria-label', label);
  const buttons = tabs.map((tab, at) => h('button', { type: 'button', role: 'tab', onclick: () => choose(at), onkeydown: keys }, tab.title));
  /** @param {KeyboardEvent} event */
  function keys(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = buttons.findIndex(button => button === event.target);
    if (!step || at < 0) return;
    const next = (at + step + buttons.length) % buttons.length;
    choose(next);
    buttons[next]?.focus();
  }
  /** @param {number} at */
  function choose(at) {
    current = at;
    buttons.forEach((button, index) => {
      button.setAttribute('aria-selected', String(index === at));
      button.tabIndex = index === at ? 0 : -1;
    });
    panel.replaceChildren(...nodes([tabs[at]?.show()]));
  }
  let current = Math.max(0, tabs.findIndex(tab => tab.id === chosen));
  choose(current);
  const list = h('div', { role: 'tablist', 'aria-label': label, class: 'tl' }, buttons);
  return { list, refresh: () => choose(current) };
}

/** Keys that are the same on every page: `g` and a letter for a page, `t`, `?`. @param {[key: string, does: string][]} keys those of the page */
function listenForKeys(keys) {
  const pages = new Map(PAGES.map(([path, title]) => [title === 'Reference' ? 'a' : (title[0] ?? '').toLowerCase(), { path, title }]));
  let goes = false;
  document.addEventListener('keydown', event => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = goes ? pages.get(event.key) : undefined;
    goes = event.key === 'g';
    if (page) location.assign(page.path);
    else if (event.key === 't') switchTheme();
    else if (event.key === '?') showKeys([...keys, ...[...pages].map(([key, { title }]) => /** @type {[string, string]} */ ([`g ${key}`, title])), ['t', 'Light or dark'], ['?', 'These keys']]);
  });
}

/** @param {[key: string, does: string][]} keys */
function showKeys(keys) {
  if (document.querySelector('dialog[open]')) return;
  const dialog = h('dialog', { 'aria-label': 'Keys', class: 'keys', onclose: () => dialog.remove() },
    h('h2', {}, 'Keys'), h('dl', {}, keys.map(([key, does]) => h('div', {}, h('dt', {}, key.split(' ').map(part => h('kbd', {}, part))), h('dd', {}, does)))),
    h('button', { type: 'button', class: 'pri', onclick: () => /** @type {HTMLDialogElement} */ (dialog).close() }, 'Close'));
  document.body.append(dialog);
  /** @type {HTMLDialogElement} */ (dialog).showModal();
}

/** @param {KeyboardEvent} event Whether a key was typed into a field. */
export function isTyping(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
