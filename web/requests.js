// The last requests, and what became of each: what the client sent, what fal was asked, what fal
// answered, what the client got, side by side and in time.

import { Refused, ask, callersKey, copyButton, count, h, icon, isTyping, modelName, open, s, say, size, span, strip } from './kit.js';

/**
 * @typedef {object} Row
 * @property {number} number @property {number} age_ms @property {string} request_id @property {string} route
 * @property {string} model @property {string} key @property {boolean} is_running @property {boolean} is_stream
 * @property {number} status @property {string} error @property {string} error_source
 * @property {number} duration_us @property {number | null} first_us
 * @property {number} tokens_in @property {number} tokens_out @property {number} calls @property {string} billed @property {string} cost
 * @property {string} emulated @property {string} ignored @property {number} unknown_fields @property {string} fold
 */
/** @typedef {{text: string, bytes: number, is_cut: boolean}} Body */
/** @typedef {{at_us: number, bytes: number, pieces: number, texts: {from: number, text: string}[]}} Piece */
/**
 * @typedef {object} CallTrace
 * @property {number} choice @property {string} path @property {Body} asked
 * @property {number} begun_us @property {number | null} head_us @property {number | null} ended_us
 * @property {string | null} error @property {string | null} fal_request_id @property {Piece[]} heard
 */
/** @typedef {{row: Row, level: string, sent: Body | null, calls: CallTrace[], got: Piece[]}} Detail */
/** @typedef {{level: string, text_for_s: number | null, held_bytes: number, most_bytes: number, requests: number}} Capture */

/** @type {Record<string, string>} */
const PATHS = { chat: '/v1/chat/completions', completions: '/v1/completions', messages: '/v1/messages', responses: '/v1/responses' };
const EVERY_MS = 1000;
/** A table never has more rows; the rest is a click away. */
const MOST_ROWS = 500;

/** What the requests of this page carry. */
let headers = /** @type {Record<string, string>} */ ({});

open(state => {
  headers = { 'content-type': 'application/json', ...callersKey(state) };
  return page();
}, {
  full: true,
  keys: [['j', 'Next request'], ['k', 'Request before'], ['/', 'Filter'], ['p', 'Pause the list'], ['[', 'Event before'], [']', 'Next event'], ['r', 'Send again'], ['e', 'Export']],
});

function page() {
  /** @type {Map<number, Row>} */
  const rows = new Map();
  let isPaused = false;
  let chosen = Number(location.hash.slice(1)) || 0;
  /** @type {Capture | null} */
  let capture = null;
  let mayKeepTexts = true;
  let shownFor = '';

  const filter = h('input', { type: 'search', placeholder: 'Filter: status:5xx model:gpt', 'aria-label': 'Filter requests', oninput: draw });
  const pause = h('button', { type: 'button', 'aria-label': 'Pause the list', title: 'Pause (p)', 'aria-pressed': 'false', onclick: togglePause }, icon('pause'));
  const list = h('ol', { class: 'rows', 'aria-label': 'Requests' });
  const keeps = h('div', { class: 'keeps' });
  const detail = h('div', { class: 'detail' });
  const main = h('main', { class: 'work' }, h('h1', { class: 'vh' }, 'Requests'),
    h('section', { class: 'list', 'aria-label': 'Recent requests' }, h('div', { class: 'filter' }, filter, pause), list, keeps), detail);

  function togglePause() {
    isPaused = !isPaused;
    pause.setAttribute('aria-pressed', String(isPaused));
    say(isPaused ? 'Paused' : 'Going on');
  }

  async function refresh() {
    if (document.hidden || isPaused) return;
    try {
      const newest = Math.max(0, ...rows.keys());
      const running = [...rows.values()].filter(row => row.is_running).map(row => row.number);
      // What was running may have ended since.
      const after = running.length > 0 ? Math.min(...running) - 1 : newest;
      const found = await ask(`requests?after=${after}`);
      for (const row of found.rows) rows.set(row.number, { ...row, age_ms: Date.now() - row.age_ms });
      const most = Math.max(found.capture.requests, 1);
      for (const number of [...rows.keys()].sort((a, b) => b - a).slice(most)) rows.delete(number);
      capture = found.capture;
      mayKeepTexts = found.may_keep_texts;
      draw();
    } catch (error) {
      keeps.replaceChildren(strip(`The gateway does not answer. Trying again. (${/** @type {Error} */ (error).message})`));
    }
  }

  function draw() {
    const shown = [...rows.values()].sort((a, b) => b.number - a.number).filter(row => fits(row, filter.value)).slice(0, MOST_ROWS);
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.number : undefined;
    list.replaceChildren(...shown.map(row => rowView(row, row.number === chosen)));
    const again = focused ? list.querySelector(`[data-number="${focused}"]`) : null;
    if (again instanceof HTMLElement) again.focus();
    if (shown.length === 0) list.append(h('li', { class: 'in soft' }, capture?.level === 'off' ? 'Nothing is kept: console.capture is off.'
      : rows.size > 0 ? 'No request fits the filter.' : `Nothing has been asked yet. Point a client at ${location.origin}/v1, or use the playground.`));
    drawKeeps();
    main.classList.toggle('has-detail', chosen > 0);
    const row = rows.get(chosen);
    if (chosen === 0) {
      detail.replaceChildren(h('p', { class: 'in soft' }, 'Choose a request to see what became of it.'));
      shownFor = '';
    } else if (shownFor !== `${chosen} ${row?.is_running ?? false} ${row?.is_running ? Date.now() : ''}`) {
      show();
    }
  }

  function drawKeeps() {
    if (!capture) return;
    const change = (/** @type {string} */ wanted) => async () => {
      try {
        await ask(`capture/${wanted}`, { method: 'POST' });
        if (wanted !== 'text') rows.clear();
        if (wanted === 'wipe') choose(0);
        await refresh();
      } catch (error) {
        keeps.append(strip(error instanceof Refused ? error.message : String(error)));
      }
    };
    const left = capture.text_for_s;
    const wanted = left === null ? 'text' : 'shape';
    const text = left === null ? 'Shapes are kept, no text' : `Texts are kept for ${Math.ceil(left / 60)} min more`;
    const memory = h('span', { class: 'faint' }, `${size(capture.held_bytes)} of ${size(capture.most_bytes)}`);
    const key = `${text} ${mayKeepTexts}`;
    if (keeps.dataset.key === key) {
      keeps.querySelector('.faint')?.replaceWith(memory);
      return;
    }
    keeps.dataset.key = key;
    keeps.classList.toggle('warn', left !== null);
    keeps.replaceChildren(h('p', {}, capture.level === 'off' ? 'Nothing is kept' : text, ' ', memory), h('div', { class: 'row-b' },
      capture.level !== 'off' && mayKeepTexts && h('button', { type: 'button', onclick: change(wanted) }, left === null ? 'Keep text for 10 minutes' : 'Stop keeping text'),
      h('button', { type: 'button', onclick: change('wipe') }, 'Wipe')));
  }

  /** @param {number} number */
  function choose(number) {
    chosen = number;
    history.pushState(null, '', number === 0 ? location.pathname : `#${number}`);
    draw();
  }

  async function show() {
    const number = chosen;
    const row = rows.get(number);
    shownFor = `${number} ${row?.is_running ?? false} ${row?.is_running ? Date.now() : ''}`;
    try {
      const found = await ask(`requests/${number}`);
      if (number === chosen) detail.replaceChildren(...detailView(found, () => choose(0)));
    } catch (error) {
      if (number === chosen) detail.replaceChildren(h('p', { class: 'in' }, strip(error instanceof Refused ? error.message : 'The gateway does not answer.', 'warn')));
    }
  }

  /** @param {Row} row @param {boolean} isChosen */
  function rowView(row, isChosen) {
    const time = new Date(row.age_ms).toLocaleTimeString('en-GB');
    const key = row.key === '' ? '' : row.key;
    const end = row.is_running ? `running, ${span((Date.now() - row.age_ms))}` : span(row.duration_us / 1000);
    return h('li', {}, h('a', { class: 'row', href: `#${row.number}`, 'data-number': row.number, 'aria-current': isChosen && 'true',
      onclick: (/** @type {Event} */ event) => { event.preventDefault(); choose(row.number); } },
    h('span', { class: 'm' }, row.model === '' ? h('span', { class: 'faint' }, 'no model') : modelName(row.model)), statusView(row),
    h('span', { class: 'b' }, h('span', {}, time), h('span', {}, row.route), h('span', {}, key), row.calls > 1 && h('span', {}, `${row.calls} calls`), h('span', {}, end))));
  }

  addEventListener('popstate', () => { chosen = Number(location.hash.slice(1)) || 0; draw(); });
  document.addEventListener('keydown', event => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { j: 1, k: -1 }[event.key];
    if (step) {
      const numbers = [...list.querySelectorAll('a')].map(link => Number(link.dataset.number));
      const at = numbers.indexOf(chosen) + step;
      const next = numbers[Math.max(0, Math.min(numbers.length - 1, at))];
      if (next) choose(next);
    }
    if (event.key === 'p') togglePause();
    if (event.key === '[') walk(-1);
    if (event.key === ']') walk(1);
    const button = detail.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    // A key that is held down says nothing twice.
    if (button instanceof HTMLElement && !event.repeat) button.click();
    if (event.key === '/') { event.preventDefault(); filter.focus(); }
  });
  setInterval(refresh, EVERY_MS);
  refresh();
  draw();
  return main;
}

/** @param {Row} row */
function statusView(row) {
  if (row.is_running) return h('span', { class: 'st' }, '…');
  const kind = row.error === '' ? 'ok' : row.status === 499 || row.status === 429 || row.error === 'client_gone' ? 'warn' : 'bad';
  return h('span', { class: `st ${kind}` }, String(row.status));
}

/** Words of the filter are all met: `status:5xx`, `model:gpt`, `key:alice`, `error:…`, or any text. @param {Row} row @param {string} filter */
export function fits(row, filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(word => word !== '');
  return words.every(word => {
    const [name, value] = word.includes(':') ? word.split(/:(.*)/) : ['', word];
    const status = String(row.status);
    switch (name) {
      case 'status': return status.startsWith((value ?? '').replace(/x+$/, ''));
      case 'model': return row.model.toLowerCase().includes(value ?? '');
      case 'key': return row.key.toLowerCase().includes(value ?? '');
      case 'error': return row.error !== '' && row.error.includes(value ?? '');
      default: return `${row.model} ${row.request_id} ${row.route} ${row.error} ${row.key} ${status}`.toLowerCase().includes(value ?? '');
    }
  });
}

/** @param {Detail} found @param {() => void} back @returns {HTMLElement[]} */
function detailView(found, back) {
  const { row, sent, calls, got, level } = found;
  const billed = { yes: 'paid', no: 'not paid', maybe: 'may be paid' }[row.billed] ?? row.billed;
  const waited = calls.reduce((sum, call) => sum + ((call.head_us ?? call.begun_us) - call.begun_us), 0);
  const facts = [
    ['First text', row.first_us === null ? '' : span(row.first_us / 1000)], [row.is_running ? 'Running' : 'Total', span(row.duration_us / 1000)],
    ['Waited for fal', calls.length > 0 ? span(waited / 1000) : ''],
    ['Tokens', row.tokens_in + row.tokens_out > 0 ? `~${count(row.tokens_in)} in, ~${count(row.tokens_out)} out` : ''],
    ['Calls', row.calls > 0 ? `${row.calls}, ${billed}` : ''], ['Cost', row.cost], ['Fold', row.fold], ['Emulated', row.emulated],
    ['Ignored', [row.ignored, row.unknown_fields > 0 ? `${row.unknown_fields} unknown` : ''].filter(text => text).join(', ')],
    ['Error', row.error === '' ? '' : `${row.error} (${row.error_source})`], ['fal', calls.map(call => call.fal_request_id ?? '').filter(id => id).join(', ')],
  ].filter(([, value]) => value);
  const file = () => {
    const blob = new Blob([JSON.stringify({ format: 'fal-gateway-trace/1', ...found }, null, 2)], { type: 'application/json' });
    const link = h('a', { href: URL.createObjectURL(blob), download: `request-${row.number}.json` });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  let call = 0;
  const layers = h('div', { class: 'layers' });
  const drawLayers = () => layers.replaceChildren(...layerViews(found, call, at => { call = at; drawLayers(); }));
  drawLayers();
  return [
    h('div', { class: 'dhead' }, h('button', { type: 'button', class: 'bare only-s', 'aria-label': 'Back to the list', onclick: back }, icon('back')),
      h('h2', { class: 'big' }, row.model === '' ? 'No model' : modelName(row.model)), statusView(row), h('code', { class: 'faint' }, row.request_id),
      h('div', { class: 'end' }, sent !== null && level === 'text' && !sent.is_cut ? [
        h('button', { type: 'button', onclick: () => toPlayground(sent) }, icon('play'), 'Open in the playground'), replayButton(row, sent)] : null,
        h('button', { type: 'button', 'data-key': 'e', onclick: file }, icon('down'), 'Export'))),
    h('dl', { class: 'facts in' }, facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
    waterfall(row, calls, got),
    level === 'text' ? null : h('p', { class: 'note' }, 'Text is not kept: you see its shape. A text is ⟨its length⟩.'),
    layers,
  ].filter(part => part instanceof HTMLElement);
}

/** Sends the same once more, after a second click: it is paid for again. @param {Row} row @param {Body} sent */
function replayButton(row, sent) {
  const path = PATHS[row.route];
  if (!path) return null;
  let isSure = false;
  const button = h('button', { type: 'button', 'data-key': 'r', onclick: async () => {
    if (!isSure) {
      isSure = true;
      button.textContent = 'Pay and send again';
      say('This costs as much as before. Press again to send.');
      return;
    }
    button.setAttribute('disabled', '');
    button.textContent = 'Sending…';
    try {
      const answer = await fetch(path, { method: 'POST', headers, body: sent.text });
      await answer.text();
      say(`Answered with ${answer.status}. The newest request in the list is the copy.`);
      button.textContent = `Sent: ${answer.status}`;
    } catch (error) {
      button.textContent = 'Not sent';
      say(String(error));
    }
  } }, 'Send again');
  return button;
}

/** @param {Body} sent */
function toPlayground(sent) {
  try {
    const { messages = [], model, stream = false, tools } = JSON.parse(sent.text);
    const isText = (/** @type {any} */ { role, content }) => role !== 'system' && typeof content === 'string';
    const system = messages.find((/** @type {any} */ { role }) => role === 'system')?.content ?? '';
    sessionStorage.setItem('turns', JSON.stringify(messages.filter(isText)));
    localStorage.setItem('setup', JSON.stringify({ model, stream, system, tools: tools ? JSON.stringify(tools, null, 2) : '' }));
    location.assign('/');
  } catch {
    say('This request cannot be opened in the playground.');
  }
}

/** The four layers of one call. @param {Detail} found @param {number} at @param {(at: number) => void} choose @returns {HTMLElement[]} */
function layerViews({ row, sent, calls, got }, at, choose) {
  const call = calls[at];
  const never = row.error === '' ? 'Nothing yet.' : 'Never got this far: refused before fal was asked.';
  const tabs = calls.length > 1 ? h('div', { class: 'seg', role: 'group', 'aria-label': 'Calls' }, calls.map((one, index) =>
    h('button', { type: 'button', 'aria-pressed': String(index === at), onclick: () => choose(index) }, callName(calls, index)))) : null;
  const heard = call?.heard.reduce((sum, piece) => sum + piece.bytes, 0) ?? 0;
  const gotten = got.reduce((sum, piece) => sum + piece.bytes, 0);
  const parts = [
    cell(1, 'Client sent', sent ? size(sent.bytes) : '', () => sent?.text ?? '', sent ? bodyView(`POST ${PATHS[row.route] ?? ''}`, sent) : h('p', { class: 'in soft' }, 'No body came.')),
    cell(2, 'fal was asked', call ? size(call.asked.bytes) : '', () => call?.asked.text ?? '', call ? bodyView(`POST ${call.path}`, call.asked) : h('p', { class: 'in soft' }, never)),
    cell(4, 'Client got', `${many(got.length, 'piece')}, ${size(gotten)}`, () => joined(got), got.length > 0 ? piecesView(got, call?.heard ?? null) : h('p', { class: 'in soft' }, row.error === '' ? 'Nothing yet.' : `An error: ${row.error}.`)),
    cell(3, 'fal answered', `${many(call?.heard.length ?? 0, 'read')}, ${size(heard)}`, () => joined(call?.heard ?? []), call?.error ? h('p', { class: 'in' }, strip(`fal refused, or could not be reached: ${call.error}`))
      : call && call.heard.length > 0 ? piecesView(call.heard, null) : h('p', { class: 'in soft' }, call ? 'No event yet.' : never)),
  ];
  const quad = h('div', { class: 'quad' }, parts);
  const link = (/** @type {Event} */ event) => {
    const row = event.target instanceof Element ? event.target.closest('[data-cause]') : null;
    mark(quad, row instanceof HTMLElement ? row.dataset.cause : undefined);
  };
  quad.addEventListener('pointerover', link);
  quad.addEventListener('pointerleave', link);
  return [tabs ? h('div', { class: 'calls' }, tabs) : null, quad].filter(part => part instanceof HTMLElement);
}

/** Marks an event of fal's and what left because of it. @param {Element} quad @param {string | undefined} cause */
function mark(quad, cause) {
  for (const row of quad.querySelectorAll('[data-cause]')) {
    row.classList.toggle('mark', row instanceof HTMLElement && row.dataset.cause === cause);
  }
}

/** Marks the event before or after the one that is marked, and brings both sides into view. @param {number} step */
function walk(step) {
  const quad = document.querySelector('.quad');
  const events = quad ? [...quad.querySelectorAll('.l3 [data-cause]')] : [];
  if (!quad || events.length === 0) return;
  const at = events.findIndex(row => row.classList.contains('mark')) + step;
  const next = events[Math.max(0, Math.min(events.length - 1, at))];
  mark(quad, next instanceof HTMLElement ? next.dataset.cause : undefined);
  for (const layer of ['.l3', '.l4']) quad.querySelector(`${layer} .mark`)?.scrollIntoView({ block: 'nearest' });
  say(next?.textContent ?? '');
}

/** @param {CallTrace[]} calls @param {number} at */
function callName(calls, at) {
  const { choice, path } = /** @type {CallTrace} */ (calls[at]);
  const before = calls.slice(0, at).filter(call => call.choice === choice);
  const again = before.length === 0 ? '' : before.at(-1)?.error ? ', next model or shorter' : ', asked again';
  return `Choice ${choice}${again}${calls.some(call => call.path !== path) ? ` ${path}` : ''}`;
}

/** @param {number} n @param {string} noun */
const many = (n, noun) => `${count(n)} ${noun}${n === 1 ? '' : 's'}`;

/** @param {Piece[]} pieces */
const joined = pieces => pieces.flatMap(({ texts }) => texts.map(({ text }) => text)).join('\n');

/** @param {1 | 2 | 3 | 4} n @param {string} title @param {string} meta @param {() => string} text @param {HTMLElement} body */
function cell(n, title, meta, text, body) {
  return h('section', { class: `cell l${n}`, 'aria-label': title }, h('header', {}, h('span', { class: 'n' }, n), h('h3', {}, title), h('span', { class: 'meta' }, meta), copyButton(`Copy: ${title}`, text)),
    h('div', { class: 'body', tabindex: 0, role: 'region', 'aria-label': `${title}, content` }, body));
}

/** @param {string} head @param {Body} body */
function bodyView(head, body) {
  let text = body.text;
  try {
    text = JSON.stringify(JSON.parse(body.text), null, 2).replace(/\\n/g, '\n');
  } catch {
    // The beginning of a body, or a shape that breaks off, is shown as it is.
  }
  const cut = body.is_cut ? h('p', { class: 'faint' }, body.text === '' ? 'Dropped: the memory for requests is full.' : `The first ${size(body.text.length)} of ${size(body.bytes)}.`) : null;
  return h('div', {}, h('p', { class: 'faint' }, h('code', {}, head)), h('pre', {}, text), cut);
}

/**
 * Pieces in time. With `causes`, how long each left after what it came of.
 * @param {Piece[]} pieces @param {Piece[] | null} causes
 */
function piecesView(pieces, causes) {
  const shown = pieces.slice(0, MOST_ROWS);
  let cause = 0;
  const row = (/** @type {Piece} */ piece, /** @type {number} */ at) => {
    while (causes && (causes[cause + 1]?.at_us ?? Infinity) <= piece.at_us) cause += 1;
    const from = causes?.[cause]?.at_us;
    const after = from !== undefined && from <= piece.at_us ? `+${((piece.at_us - from) / 1000).toFixed(1)}` : '';
    const said = piece.texts.flatMap(({ from: kept, text }) => (causes ? frames(text) : [h('div', {}, kept > 0 ? h('span', { class: 'el' }, `…${kept} `) : null, kept > 0 ? h('ins', {}, text) : text)]));
    const link = causes ? (after === '' ? undefined : cause) : at;
    return h('tr', { 'data-cause': link }, h('td', { class: 't' }, (piece.at_us / 1000).toFixed(1)), h('td', {}, said.length > 0 ? said : h('span', { class: 'el' }, piece.pieces > 1 ? `${piece.pieces} pieces, one after another` : `⟨${size(piece.bytes)}⟩`)),
      h('td', { class: 'z' }, causes ? after : size(piece.bytes)));
  };
  return h('div', {}, h('table', { class: 'ev' }, h('thead', {}, h('tr', {}, h('th', { class: 't' }, 'ms'), h('th', {}, causes ? 'sent on' : 'new in the event'), h('th', { class: 'z' }, causes ? 'after' : 'size'))), h('tbody', {}, shown.map(row))),
    pieces.length > shown.length ? h('p', { class: 'in faint' }, `${count(pieces.length - shown.length)} more. The export has all of them.`) : null);
}

/** What the frames of a stream say; anything else as it is. @param {string} text @returns {HTMLElement[]} */
function frames(text) {
  if (!text.startsWith('data:') && !text.startsWith('event:') && !text.startsWith(':')) return [h('div', {}, text)];
  return text.split('\n\n').filter(frame => frame !== '').flatMap(frame => {
    const data = frame.split('\n').find(line => line.startsWith('data:'))?.slice(5).trim();
    try {
      const chunk = JSON.parse(data ?? '');
      const choices = (chunk.choices ?? []).map((/** @type {any} */ choice) => {
        const { index, delta, text: plain, finish_reason: finish } = choice;
        const members = Object.entries(delta ?? { text: plain }).filter(([, value]) => value !== null && value !== undefined);
        const which = index > 0 ? `${index}: ` : '';
        return h('div', {}, which, members.map(([name, value]) => [h('span', { class: 'el' }, `${name} `), JSON.stringify(value), ' ']), finish ? h('b', {}, `finish ${finish}`) : null);
      });
      const more = ['usage', 'error'].flatMap(name => (chunk[name] ? [h('div', {}, h('span', { class: 'el' }, `${name} `), JSON.stringify(chunk[name]))] : []));
      return choices.length + more.length > 0 ? [...choices, ...more] : [h('div', {}, data ?? '')];
    } catch {
      return [h('div', {}, frame)];
    }
  });
}

/** What happened when. @param {Row} row @param {CallTrace[]} calls @param {Piece[]} got */
function waterfall(row, calls, got) {
  const box = h('div', { class: 'wf' });
  const end = Math.max(row.duration_us, ...got.map(({ at_us: at }) => at), 1) * 1.02;
  const label = `In time: ${calls.length} calls, first text after ${row.first_us === null ? 'no time' : span(row.first_us / 1000)}, all over after ${span(row.duration_us / 1000)}`;
  new ResizeObserver(([entry]) => {
    const width = Math.max(260, Math.floor(entry?.contentRect.width ?? 0));
    const left = width > 500 ? 96 : 72;
    const x = (/** @type {number} */ at) => left + (at / end) * (width - left - 12);
    box.replaceChildren(s('svg', { viewBox: `0 0 ${width} 108`, width, height: 108, role: 'img', 'aria-label': label }, lanes(width, left, end, x, calls, got)));
  }).observe(box);
  return box;
}

/** @param {number} width @param {number} left @param {number} end @param {(at: number) => number} x @param {CallTrace[]} calls @param {Piece[]} got */
function lanes(width, left, end, x, calls, got) {
  const names = ['1 client', '2 asking', '3 events', '4 sent on'];
  const base = names.flatMap((name, at) => [s('text', { x: 0, y: 18 + at * 22 }, name), s('line', { x1: left, x2: width - 12, y1: 14 + at * 22, y2: 14 + at * 22, class: 'grid' })]);
  const steps = width > 500 ? 4 : 2;
  const times = Array.from({ length: steps + 1 }, (_, at) => s('text', { x: x((end * at) / steps), y: 104, class: 'ax', 'text-anchor': at === 0 ? 'start' : at === steps ? 'end' : 'middle' }, at === 0 ? '0' : span((end * at) / steps / 1000)));
  const tick = (/** @type {number} */ at, /** @type {number} */ lane) => s('rect', { x: x(at), y: 8 + lane * 22, width: 2, height: 12, rx: 1, fill: `var(--l${lane + 1})` });
  // Ticks closer than a pixel would lie on each other.
  const thinned = (/** @type {Piece[]} */ pieces, /** @type {number} */ lane) => {
    let last = -Infinity;
    return pieces.flatMap(({ at_us: at }) => {
      if (x(at) - last < 1) return [];
      last = x(at);
      return [tick(at, lane)];
    });
  };
  const asking = calls.map(call => {
    const until = call.head_us ?? call.heard[0]?.at_us ?? call.begun_us;
    return s('rect', { x: x(call.begun_us), y: 34, width: Math.max(2, x(until) - x(call.begun_us)), height: 4, rx: 2, fill: 'var(--l2)' });
  });
  return [...base, tick(0, 0), ...asking, ...calls.flatMap(call => thinned(call.heard, 2)), ...thinned(got, 3), ...times];
}
