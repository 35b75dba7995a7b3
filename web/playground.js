// The playground: a conversation in the middle, its set-up on the left, the same as code on the right.

import { Refused, callersKey, copyButton, count, h, icon, open, refusal, say, span, store, stored, strip, tabs } from './kit.js';
import { picker, units } from './models.js';
import { EMPTY, EXAMPLES, parsed, request, snippet } from './snippet.js';
import { events } from './sse.js';
import { Growing, factsView, turnView } from './turns.js';

/** @typedef {import('./kit.js').State} State */
/** @typedef {import('./models.js').Model} Model */
/** @typedef {import('./snippet.js').Setup} Setup */
/** @typedef {import('./snippet.js').Turn} Turn */
/** @typedef {import('./snippet.js').Call} Call */
/** @typedef {import('./turns.js').Facts} Facts */

/** So much of a conversation is kept for a reload. */
const MOST_KEPT = 1_000_000;
/** So much code is shown. */
const MOST_SHOWN = 20_000;
const PROMPTS = ['Write a haiku about gateways.', 'Explain how SSE streams end, with an example.', 'List three uses of a proxy.'];

open(page, { full: true, keys: [['Enter', 'Send'], ['Shift Enter', 'New line'], ['Escape', 'Stop, or close']] });

/** @param {State} state */
function page(state) {
  /** @type {Setup} */
  const setup = { ...EMPTY, model: state.default_model, ...stored(localStorage, 'setup') };
  /** @type {Turn[]} */
  let turns = stored(sessionStorage, 'turns') ?? [];
  /** @type {Map<Turn, Facts>} */
  const facts = new Map();
  /** @type {Model[]} */
  let models = [];
  /** @type {AbortController | null} */
  let running = null;
  /** Whether the end stays in view, whatever comes. */
  let follows = true;
  let lastTop = 0;
  /** @type {string[]} images for the next message */
  let attached = [];

  const list = h('ol', {});
  const scroller = h('div', { class: 'turns', tabindex: 0, role: 'region', 'aria-label': 'Conversation' }, list);
  const newest = h('button', { type: 'button', class: 'newest', hidden: true, onclick: toEnd }, icon('down'), 'Newest');
  const meter = h('div', { class: 'meter live' });
  const message = h('textarea', { id: 'msg', rows: 2, placeholder: 'Message', onkeydown: composerKeys, onpaste: (/** @type {ClipboardEvent} */ event) => attach(event.clipboardData?.files, event) });
  const thumbs = h('div', { class: 'thumbs' });
  const file = h('input', { type: 'file', accept: 'image/*', multiple: true, class: 'vh', tabindex: -1, 'aria-label': 'Image files', onchange: () => { attach(file.files); file.value = ''; } });
  const sendButton = h('button', { class: 'pri' }, icon('send'), 'Send');
  const composer = h('form', { onsubmit: submit }, meter, h('label', { class: 'vh', for: 'msg' }, 'Message'), thumbs, message,
    h('div', { class: 'acts' },
      h('button', { type: 'button', class: 'bare', 'aria-label': 'Attach an image', title: 'Attach an image', onclick: () => file.click() }, icon('clip')), file,
      h('button', { type: 'button', class: 'bare', onclick: clear }, 'New conversation'),
      h('span', { class: 'end' }, h('span', { class: 'small faint only-l' }, h('kbd', {}, 'Enter'), ' sends, ', h('kbd', {}, 'Esc'), ' stops'), sendButton)));

  // --- the conversation ---

  const acts = {
    edit,
    again: (/** @type {Turn} */ turn) => {
      turns = turns.slice(0, turns.indexOf(turn) + 1);
      answer();
    },
    remove: (/** @type {Turn} */ turn) => {
      turns = turns.filter(other => other !== turn);
      redraw();
    },
    answerCall: (/** @type {Call} */ call, /** @type {string} */ result) => {
      turns.push({ role: 'tool', callId: call.id, content: result });
      if (hasOpenCall()) redraw();
      else answer();
    },
  };

  /** Whether the model waits for the result of a call. */
  function hasOpenCall() {
    const answered = new Set(turns.map(turn => turn.callId));
    return turns.some(turn => turn.calls?.some(call => !answered.has(call.id)));
  }

  function redraw() {
    keep();
    const answered = new Set(turns.map(turn => turn.callId));
    const name = (/** @type {Turn} */ turn) => {
      if (turn.role === 'user') return 'You';
      if (turn.role === 'assistant') return setup.model;
      const calls = turns.flatMap(other => other.calls ?? []);
      return `Result of ${calls.find(call => call.id === turn.callId)?.name ?? 'a call'}`;
    };
    list.replaceChildren(...turns.map(turn => {
      const known = facts.get(turn);
      const item = turnView(turn, name(turn), acts, known ? factsView(known) : null);
      (turn.calls ?? []).forEach((call, at) => {
        if (answered.has(call.id)) item.querySelectorAll('.call')[at]?.classList.add('done');
      });
      return item;
    }));
    if (turns.length === 0) list.append(empty());
    code.refresh();
  }

  function empty() {
    const use = (/** @type {string} */ text) => () => {
      message.value = text;
      message.focus();
    };
    return h('li', { class: 'empty' }, h('h2', {}, 'Ask something'),
      h('p', { class: 'soft' }, 'What you send goes through this gateway as any client’s request does.'),
      PROMPTS.map(text => h('button', { type: 'button', class: 'bare', onclick: use(text) }, text)));
  }

  /** @param {Turn} turn */
  function edit(turn) {
    const item = list.children[turns.indexOf(turn)];
    const field = h('textarea', { rows: 4, 'aria-label': 'Message' });
    field.value = turn.content;
    const done = (/** @type {Event} */ event) => {
      event.preventDefault();
      turn.content = field.value;
      if (turn.role === 'user') acts.again(turn);
      else redraw();
    };
    item?.replaceChildren(h('form', { class: 'f', onsubmit: done }, field, h('div', { class: 'acts' },
      h('button', { class: 'pri' }, turn.role === 'user' ? 'Send again' : 'Keep'),
      h('button', { type: 'button', onclick: redraw }, 'Cancel'))));
    field.focus();
  }

  function clear() {
    running?.abort();
    turns = [];
    redraw();
    message.focus();
  }

  function keep() {
    const light = turns.map(({ images, ...turn }) => turn);
    const text = JSON.stringify(light);
    const isKept = text.length <= MOST_KEPT && store(sessionStorage, 'turns', text);
    if (!isKept) sessionStorage.removeItem('turns');
    store(localStorage, 'setup', JSON.stringify(setup));
  }

  // --- the composer ---

  /** @param {KeyboardEvent} event */
  function composerKeys(event) {
    // Enter also ends the composing of a character.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229) submit(event);
    if (event.key === 'ArrowUp' && message.value === '') {
      const last = turns.findLast(turn => turn.role === 'user');
      if (last) {
        event.preventDefault();
        edit(last);
      }
    }
  }

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (running) return running.abort();
    if (message.value.trim() === '' && attached.length === 0) return message.focus();
    turns.push({ role: 'user', content: message.value, images: attached });
    message.value = '';
    attached = [];
    showAttached();
    answer();
  }

  /** @param {FileList | undefined | null} files @param {Event} [event] */
  function attach(files, event) {
    const images = [...files ?? []].filter(({ type }) => type.startsWith('image/'));
    if (images.length > 0) event?.preventDefault();
    for (const image of images) {
      const reader = new FileReader();
      reader.onload = () => {
        attached.push(String(reader.result));
        showAttached();
      };
      reader.readAsDataURL(image);
    }
  }

  function showAttached() {
    thumbs.replaceChildren(...attached.map((url, at) => h('button', {
      type: 'button', class: 'bare', 'aria-label': `Remove image ${at + 1}`, title: 'Remove',
      onclick: () => { attached.splice(at, 1); showAttached(); },
    }, h('img', { src: url, alt: '' }))));
  }

  // --- asking ---

  async function answer() {
    running?.abort();
    const own = new AbortController();
    running = own;
    redraw();
    const body = request(setup, turns);
    const choices = [new Growing(setup.model)];
    list.append(choices[0]?.element ?? '');
    toEnd();
    sendButton.replaceChildren(icon('stop'), 'Stop');
    sendButton.classList.remove('pri');
    say('Answering');
    const begun = performance.now();
    /** @type {Facts} */
    const known = { totalMs: 0, isEstimate: true, units: 0, price: null, cost: undefined, finish: null, emulated: null, ignored: null, mended: null, falId: null, requestId: null };
    const clock = setInterval(() => tick(begun, known, choices), 100);
    const frame = paint(choices);
    let problem = '';
    try {
      await hear(body, own.signal, known, choices, begun);
    } catch (error) {
      const words = choices.reduce((sum, choice) => sum + choice.turn.content.length, 0);
      problem = own.signal.aborted
        ? `Stopped by you after ${words} letters. The call to fal was ended.`
        : error instanceof Refused ? `${error.message}${error.code ? ` (${error.code})` : ''}` : 'The connection to the gateway broke.';
    }
    clearInterval(clock);
    frame.stop();
    known.totalMs = performance.now() - begun;
    finish(choices, known, problem, own);
  }

  /** Reads the answer to its end. @param {Record<string, any>} body @param {AbortSignal} signal @param {Facts} known @param {Growing[]} choices @param {number} begun */
  async function hear(body, signal, known, choices, begun) {
    const response = await fetch('/v1/chat/completions', { method: 'POST', headers: headers(), body: JSON.stringify(body), signal });
    if (!response.ok) throw await refusal(response);
    const header = (/** @type {string} */ name) => response.headers.get(name);
    // Usage is asked for by this page, not by who writes here.
    known.emulated = (header('x-gateway-emulated') ?? '').split(', ').filter(name => name !== 'stream_options').join(', ');
    known.ignored = header('x-gateway-ignored');
    known.mended = header('x-gateway-mended');
    known.price = header('x-gateway-cost');
    known.falId = header('x-fal-request-id');
    known.requestId = header('x-request-id');
    known.units = units(models.find(model => model.id === setup.model)) * Number(setup.n || 1);
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
      const whole = await response.json();
      for (const choice of whole.choices) take({ ...choice, delta: choice.message }, known, choices, begun);
      usage(whole.usage, known);
      return;
    }
    if (!response.body) throw new Error('no body');
    for await (const found of events(response.body)) {
      for (const data of found) {
        if (data === '[DONE]') return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Refused(200, chunk.error.message, chunk.error.code ?? '');
        for (const choice of chunk.choices ?? []) take(choice, known, choices, begun);
        usage(chunk.usage, known);
      }
    }
    throw new Refused(200, 'The answer was cut: the stream ended before its last event.', '');
  }

  /** @param {any} choice @param {Facts} known @param {Growing[]} choices @param {number} begun */
  function take(choice, known, choices, begun) {
    while (choices.length <= choice.index) {
      const more = new Growing(`${setup.model}, answer ${choices.length + 1}`);
      choices.push(more);
      list.append(more.element);
    }
    if (choice.delta?.content || choice.delta?.tool_calls) known.firstMs ??= performance.now() - begun;
    choices[choice.index]?.add(choice.delta ?? {});
    known.finish = choice.finish_reason ?? known.finish;
  }

  /** @param {any} counted @param {Facts} known */
  function usage(counted, known) {
    if (!counted) return;
    known.tokensIn = counted.prompt_tokens;
    known.tokensOut = counted.completion_tokens;
    known.cost = typeof counted.cost === 'number' ? counted.cost : undefined;
  }

  /** Shows what has come once for each frame. @param {Growing[]} choices */
  function paint(choices) {
    let isOver = false;
    const show = () => {
      // Who has gone up since the last frame may have done so without an event so far.
      if (scroller.scrollTop < lastTop && !isAtEnd()) follows = false;
      for (const choice of choices) choice.show();
      if (follows) scroller.scrollTop = scroller.scrollHeight;
      lastTop = scroller.scrollTop;
      newest.hidden = follows;
      if (!isOver) requestAnimationFrame(show);
    };
    requestAnimationFrame(show);
    return { stop: () => { isOver = true; show(); } };
  }

  /** @param {Growing[]} choices @param {Facts} known @param {string} problem @param {AbortController} own */
  function finish(choices, known, problem, own) {
    if (running !== own) return;
    running = null;
    sendButton.replaceChildren(icon('send'), 'Send');
    sendButton.classList.add('pri');
    meter.replaceChildren();
    const [first, ...rest] = choices;
    for (const choice of rest) {
      choice.markdown.end();
      choice.caret.remove();
    }
    const turn = first?.turn;
    // A call that did not come whole cannot be answered.
    if (turn && problem) turn.calls = [];
    if (turn && (turn.content !== '' || turn.calls?.length)) {
      turns.push(turn);
      facts.set(turn, known);
      first.complete(setup.model, acts, factsView(known));
    } else {
      first?.element.remove();
    }
    keep();
    code.refresh();
    if (problem) list.append(h('li', {}, strip(problem, own.signal.aborted ? 'warn' : 'bad'), own.signal.aborted ? null : factsView(known)));
    if (follows) toEnd();
    say(problem || `Answer complete, ${turn?.content.split(/\s+/).length ?? 0} words`);
    if (turn?.calls?.length) list.querySelector('.call:not(.done) textarea')?.scrollIntoView({ block: 'nearest' });
  }

  /** @param {number} begun @param {Facts} known @param {Growing[]} choices */
  function tick(begun, known, choices) {
    const now = performance.now() - begun;
    const letters = choices.reduce((sum, choice) => sum + choice.turn.content.length, 0);
    const fact = (/** @type {string} */ value, /** @type {string} */ unit) => h('span', {}, h('b', {}, value), unit);
    if (known.firstMs === undefined) {
      if (now > 200) meter.replaceChildren(fact(span(now), ' waiting for fal'), h('span', {}, now > 10000 ? 'fal is slow to begin. Stop costs nothing more.' : ''));
      return;
    }
    const rate = letters / 4 / ((now - known.firstMs) / 1000);
    meter.replaceChildren(fact(span(known.firstMs), ' to first text'), now - known.firstMs > 1000 ? fact(`~${Math.round(rate)}`, ' tokens/s') : '', fact(span(now), ''));
  }

  function headers() {
    /** @type {Record<string, string>} */
    const made = { 'content-type': 'application/json', ...callersKey(state) };
    if (setup.priority) made['x-fal-priority'] = setup.priority;
    return made;
  }

  // --- scrolling: who goes up is left there ---

  function isAtEnd() {
    return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
  }
  function toEnd() {
    follows = true;
    const go = () => { if (follows) scroller.scrollTop = scroller.scrollHeight; };
    go();
    // What comes into view gets its real height in the next frame.
    requestAnimationFrame(() => { go(); requestAnimationFrame(go); });
    newest.hidden = true;
  }
  scroller.addEventListener('scroll', () => {
    if (isAtEnd()) follows = true;
    else if (scroller.scrollTop < lastTop) follows = false;
    lastTop = scroller.scrollTop;
    newest.hidden = follows;
  });

  // --- code ---

  const panel = h('div', { class: 'code' });
  /** All of the code; only its beginning is shown if it is long. */
  let copied = '';
  const at = () => ({ base: `${location.origin}/v1`, needsKey: state.callers_key !== 'none', priority: setup.priority });
  /** The conversation with the message that is being written. */
  const withDraft = () => {
    const isEmpty = message.value.trim() === '' && attached.length === 0;
    return isEmpty ? turns : [...turns, { role: /** @type {const} */ ('user'), content: message.value, images: attached }];
  };
  const shown = (/** @type {'python' | 'javascript' | 'curl'} */ language) => () => {
    copied = snippet(language, request(setup, withDraft()), at());
    return coloured(copied);
  };
  const code = tabs('Code', [
    { id: 'python', title: 'Python', show: shown('python') },
    { id: 'javascript', title: 'JavaScript', show: shown('javascript') },
    { id: 'curl', title: 'curl', show: shown('curl') },
    { id: 'wire', title: 'Wire', show: wire },
  ], panel);

  let explained = 0;
  /** What fal would be asked now. Nothing is asked for it. */
  function wire() {
    const box = h('div', {}, h('p', { class: 'faint' }, 'Reading…'));
    const number = ++explained;
    setTimeout(async () => {
      if (number === explained) box.replaceChildren(...await explain());
    }, 300);
    return box;
  }

  async function explain() {
    const body = request(setup, withDraft());
    if (hasOpenCall()) return [h('p', { class: 'soft' }, 'The model waits for the result of a call. Send it first.')];
    if (body.messages.length === 0) return [h('p', { class: 'soft' }, 'Write a message, and this shows what fal would be asked. It costs nothing.')];
    try {
      const response = await fetch('/v1/chat/completions', { method: 'POST', headers: { ...headers(), 'x-gateway-explain': 'true' }, body: JSON.stringify(body) });
      if (!response.ok) throw await refusal(response);
      const plan = await response.json();
      copied = JSON.stringify(plan, null, 2);
      return explanation(plan);
    } catch (error) {
      return [strip(error instanceof Error ? error.message : String(error))];
    }
  }

  // --- the set-up ---

  const change = () => { keep(); code.refresh(); };
  const left = h('aside', { class: 'side', 'aria-label': 'Set-up' });
  const right = h('aside', { class: 'side r', 'aria-label': 'Code' },
    h('div', { class: 'ptabs' }, code.list, h('span', { class: 'cp' }, copyButton('Copy the code', () => copied))), panel);
  const picked = h('span', {}, setup.model);
  left.append(...keyField(state), h('p', { class: 'faint' }, 'Reading the models…'));
  fetch('/v1/models', { headers: headers() }).then(async response => {
    if (!response.ok) throw await refusal(response);
    return response.json();
  }).then(listed => { models = listed.data; fill(); }).catch(error => { fill(); left.prepend(strip(error.message)); });

  function fill() {
    const chosen = (/** @type {string} */ id) => { setup.model = id; picked.textContent = id; fill(); change(); };
    left.replaceChildren(...keyField(state), picker(models, setup.model, chosen), ...settings(setup, models, change));
  }

  document.addEventListener('keydown', event => {
    if (event.key === 'Escape' && running && !document.querySelector('dialog[open]')) running.abort();
  });
  message.addEventListener('input', () => code.refresh());

  const main = h('main', { class: 'play', ondragover: (/** @type {DragEvent} */ event) => event.preventDefault(), ondrop: (/** @type {DragEvent} */ event) => { event.preventDefault(); attach(event.dataTransfer?.files); } },
    h('h1', { class: 'vh' }, 'Playground'), left,
    h('section', { class: 'conv', 'aria-label': 'Playground' },
      h('div', { class: 'mini only-s' },
        h('button', { type: 'button', onclick: () => sheet('Set-up', left) }, picked, icon('gear')),
        h('button', { type: 'button', onclick: () => sheet('Code', right) }, 'Code')),
      scroller, newest, h('div', { class: 'compose' }, composer)),
    right);
  redraw();
  return main;
}

/** Shows what stands aside on a wide screen above everything on a narrow one. @param {string} title @param {HTMLElement} aside */
function sheet(title, aside) {
  const content = h('div', { class: 'side' }, ...aside.childNodes);
  const dialog = h('dialog', { class: 'sheet', 'aria-label': title, onclose: () => { aside.append(...content.childNodes); dialog.remove(); } },
    h('header', {}, h('h2', {}, title), h('button', { type: 'button', class: 'bare', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'))), content);
  document.body.append(dialog);
  dialog.showModal();
}

/** Where callers need a key, the page does too. @param {State} state */
function keyField(state) {
  if (state.callers_key === 'none') return [];
  const label = state.callers_key === 'fal' ? 'Your fal key' : 'Your key for this gateway';
  const field = h('input', { id: 'client-key', type: 'password', autocomplete: 'off', value: sessionStorage.getItem('client-key') ?? '', onchange: () => {
    if (field.value === '') sessionStorage.removeItem('client-key');
    else store(sessionStorage, 'client-key', field.value);
    location.reload();
  } });
  return [h('div', { class: 'f' }, h('label', { for: 'client-key' }, label, h('span', {}, 'kept in this tab only')), field)];
}

/**
 * The fields beside the conversation: those that have an effect, and no others.
 * @param {Setup} setup @param {Model[]} models @param {() => void} change
 */
function settings(setup, models, change) {
  const model = models.find(({ id }) => id === setup.model);
  const supported = model?.supported_parameters;
  const has = (/** @type {string} */ name) => supported === undefined || supported.includes(name);
  /** @param {keyof Setup} name @param {string} label @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} field @param {string} [hint] */
  const labelled = (name, label, field, hint = '') => {
    field.id = `set-${name}`;
    field.value = String(setup[name]);
    field.addEventListener('input', () => { Object.assign(setup, { [name]: field.value }); change(); });
    return h('div', { class: 'f' }, h('label', { for: field.id }, label, h('span', {}, hint)), field);
  };
  /** @param {'stream' | 'reasoning'} name @param {string} label */
  const box = (name, label) => {
    const field = h('input', { type: 'checkbox', checked: setup[name], onchange: () => { setup[name] = field.checked; change(); } });
    return h('label', { class: 'chk' }, field, label);
  };
  const choice = (/** @type {string[][]} */ options) => h('select', {}, options.map(([value, text]) => h('option', { value }, text)));
  const parts = [
    labelled('system', 'System prompt', h('textarea', { rows: 4, placeholder: 'none' })),
    h('div', { class: 'pair' },
      has('temperature') && labelled('temperature', 'Temperature', h('input', { inputmode: 'decimal', placeholder: 'model’s own' }), '0 to 2'),
      has('max_completion_tokens') && labelled('maxTokens', 'Max tokens', h('input', { inputmode: 'numeric', placeholder: 'model’s own' }))),
    has('stop') && labelled('stop', 'Stop sequences', h('textarea', { rows: 1, placeholder: 'none' }), 'one a line'),
    h('div', { class: 'pair' }, box('stream', 'Stream'), model?.reasoning !== false && box('reasoning', 'Reasoning')),
    has('tools') && toolsPart(setup, labelled, choice, change),
    has('response_format') && formatPart(setup, labelled, choice, change),
    h('details', { class: 'fold' }, h('summary', {}, 'More', h('span', {}, 'answers, priority')), h('div', { class: 'pair' },
      labelled('n', 'Answers', choice([['1', '1'], ['2', '2'], ['3', '3'], ['4', '4']]), 'each is paid'),
      labelled('priority', 'Priority', choice([['', 'fal’s own'], ['latency', 'latency'], ['throughput', 'throughput']])))),
    h('p', { class: 'small faint' }, 'fal takes no top_p, seed or penalties, so they are not here.'),
  ];
  return parts.filter(part => part instanceof HTMLElement);
}

/** @typedef {(name: keyof Setup, label: string, field: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, hint?: string) => HTMLElement} Labelled */
/** @typedef {(options: string[][]) => HTMLSelectElement} Choose */

/** @param {Setup} setup @param {Labelled} labelled @param {Choose} choice @param {() => void} change */
function toolsPart(setup, labelled, choice, change) {
  const field = h('textarea', { rows: 6, class: 'mono', spellcheck: 'false', placeholder: '[ { "type": "function", … } ]' });
  const error = h('p', { class: 'bad small', role: 'alert' });
  const howMany = h('span', {});
  const check = () => {
    const { value, error: wrong } = parsed(setup.tools);
    const isList = value === undefined || Array.isArray(value);
    error.textContent = wrong ?? (isList ? '' : 'Write a list: [ … ]');
    howMany.textContent = Array.isArray(value) && value.length > 0 ? `${value.length} on` : 'none';
  };
  const add = (/** @type {object} */ tool) => () => {
    const { value } = parsed(setup.tools);
    setup.tools = JSON.stringify([...Array.isArray(value) ? value : [], tool], null, 2);
    field.value = setup.tools;
    check();
    change();
  };
  const part = h('details', { class: 'fold', open: setup.tools !== '' }, h('summary', {}, 'Tools', howMany),
    labelled('tools', 'Definitions', field, 'JSON'), error,
    h('div', { class: 'row-b' }, h('button', { type: 'button', onclick: add(EXAMPLES.weather) }, 'Add get_weather'), h('button', { type: 'button', onclick: add(EXAMPLES.search) }, 'Add search')),
    labelled('toolChoice', 'Choice', choice([['auto', 'the model decides'], ['required', 'a call is due'], ['none', 'no call']])));
  field.addEventListener('input', check);
  check();
  return part;
}

/** @param {Setup} setup @param {Labelled} labelled @param {Choose} choice @param {() => void} change */
function formatPart(setup, labelled, choice, change) {
  const error = h('p', { class: 'bad small', role: 'alert' });
  const field = h('textarea', { rows: 6, class: 'mono', spellcheck: 'false' });
  const schema = labelled('schema', 'Schema', field, 'JSON');
  const now = h('span', {});
  const check = () => {
    if (setup.format === 'json_schema' && setup.schema === '') {
      setup.schema = JSON.stringify(EXAMPLES.schema, null, 2);
      field.value = setup.schema;
      change();
    }
    schema.hidden = setup.format !== 'json_schema';
    error.textContent = setup.format === 'json_schema' ? parsed(setup.schema).error ?? '' : '';
    now.textContent = { text: 'text', json_object: 'JSON', json_schema: 'JSON of a schema' }[setup.format];
  };
  const select = choice([['text', 'text'], ['json_object', 'JSON'], ['json_schema', 'JSON of a schema']]);
  const part = h('details', { class: 'fold', open: setup.format !== 'text' }, h('summary', {}, 'Answer format', now), labelled('format', 'Format', select), schema, error);
  select.addEventListener('input', check);
  field.addEventListener('input', check);
  check();
  return part;
}

/** @param {any} plan what `x-gateway-explain` answers @returns {HTMLElement[]} */
function explanation(plan) {
  const { sizes, estimated_tokens: tokens, requests, notes, price_class: price } = plan;
  const [first] = requests;
  const limit = (/** @type {number | null} */ most) => (most ? ` of ${most}` : '');
  const rows = [
    ['Model', plan.model], ['Price class', price], ['Calls', String(requests.length)],
    ['Prompt', `${sizes.prompt_chars}${limit(sizes.max_prompt_chars)} characters`],
    ['System prompt', `${sizes.system_prompt_chars}${limit(sizes.max_system_prompt_chars)} characters`],
    ['Tokens', `~${tokens.prompt}${limit(tokens.context_length)}`],
    ['Emulated', (notes?.emulated ?? []).join(', ')], ['Ignored', (notes?.ignored ?? []).join(', ')],
  ].filter(([, value]) => value);
  const { prompt, system_prompt: system, ...rest } = first?.input ?? {};
  return [h('div', { class: 'wire' },
    h('p', { class: 'soft' }, 'What fal would be asked now. Nothing was asked.'),
    h('dl', { class: 'facts' }, rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
    h('h3', {}, `POST ${first?.path ?? ''}`),
    h('h3', {}, 'prompt'), h('pre', { tabindex: 0 }, prompt ?? ''),
    system ? [h('h3', {}, 'system_prompt'), h('pre', { tabindex: 0 }, system)] : null,
    h('h3', {}, 'the rest'), h('pre', { tabindex: 0 }, JSON.stringify(rest, (_, value) => typeof value === 'string' && value.length > 300 ? `${value.slice(0, 300)}…` : value, 2)))];
}

/** Code with its words and texts coloured. @param {string} code */
function coloured(code) {
  const more = code.length - MOST_SHOWN;
  if (more > 0) return h('pre', {}, code.slice(0, MOST_SHOWN), h('span', { class: 'faint' }, `…\n\n${count(more)} letters more. The copy has all of them.`));
  const parts = [];
  let from = 0;
  for (const match of code.matchAll(/"(?:[^"\\\n]|\\.){0,2000}"|\b(?:import|from|for|in|or|await|const|new|True|False|None|true|false|null|print)\b/g)) {
    parts.push(code.slice(from, match.index), h('span', { class: match[0].startsWith('"') ? 'str' : 'kw' }, match[0]));
    from = match.index + match[0].length;
  }
  parts.push(code.slice(from));
  return h('pre', {}, parts);
}
