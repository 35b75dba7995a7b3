// What is said in a conversation, as it is shown.

import { copyButton, h, icon, span } from './kit.js';
import { Markdown } from './markdown.js';

/** @typedef {import('./snippet.js').Turn} Turn */
/** @typedef {import('./snippet.js').Call} Call */

/**
 * What can be done with a turn.
 * @typedef {object} Acts
 * @property {(turn: Turn) => void} edit begins to edit it in its place
 * @property {(turn: Turn) => void} again asks again from there
 * @property {(turn: Turn) => void} remove
 * @property {(call: Call, result: string) => void} answerCall
 */

/**
 * A turn that is complete.
 * @param {Turn} turn @param {string} who @param {Acts} acts @param {Node | null} meter
 */
export function turnView(turn, who, acts, meter) {
  const body = h('div', { class: 'say' });
  const item = h('li', { class: `turn ${turn.role}` }, header(turn, who, acts));
  if (turn.reasoning) item.append(thinking(turn.reasoning));
  if (turn.images?.length) item.append(h('div', { class: 'thumbs' }, turn.images.map(url => h('img', { src: url, alt: 'Attached image' }))));
  if (turn.role === 'assistant') {
    const markdown = new Markdown(body);
    markdown.push(turn.content);
    markdown.end();
  } else {
    body.append(turn.content);
  }
  if (turn.content !== '') item.append(body);
  for (const call of turn.calls ?? []) item.append(callView(call, acts));
  if (meter) item.append(meter);
  return item;
}

/** @param {Turn} turn @param {string} who @param {Acts} acts */
function header(turn, who, acts) {
  const act = (/** @type {string} */ label, /** @type {'edit' | 'again' | 'close'} */ sign, /** @type {() => void} */ onclick) =>
    h('button', { type: 'button', class: 'bare', 'aria-label': label, title: label, onclick }, icon(sign));
  const buttons = [copyButton('Copy this message', () => turn.content)];
  if (turn.role !== 'tool') buttons.push(act('Edit', 'edit', () => acts.edit(turn)));
  if (turn.role === 'user') buttons.push(act('Ask again from here', 'again', () => acts.again(turn)));
  buttons.push(act('Delete', 'close', () => acts.remove(turn)));
  return h('div', { class: 'who' }, h('b', {}, who), h('span', { class: 'acts-t' }, buttons));
}

/** @param {string} text */
function thinking(text) {
  const said = h('div', { class: 'say' }, text);
  return h('details', { class: 'think' }, h('summary', {}, 'Reasoning'), said);
}

/** @param {Call} call @param {Acts} acts */
function callView(call, acts) {
  let shown = call.arguments;
  try {
    shown = JSON.stringify(JSON.parse(call.arguments), null, 2);
  } catch {
    // A model may write anything; it is shown as it is.
  }
  const field = h('textarea', { rows: 1, 'aria-label': `Result of ${call.name}`, placeholder: 'Result, as JSON or text' });
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    acts.answerCall(call, field.value);
  };
  return h('div', { class: 'call' },
    h('header', {}, h('code', {}, call.name), h('span', { class: 'tag' }, 'waits for you')),
    h('pre', { tabindex: 0 }, shown),
    h('form', { class: 'reply', onsubmit: send }, field, h('button', {}, 'Send result')));
}

/** An answer while it comes: text is added once for each frame, however many pieces come. */
export class Growing {
  /** @param {string} who */
  constructor(who) {
    this.turn = /** @type {Turn} */ ({ role: 'assistant', content: '', reasoning: '', calls: [] });
    this.body = h('div', { class: 'say' });
    this.calls = h('div', {});
    this.caret = h('span', { class: 'caret', 'aria-hidden': 'true' });
    this.reasoned = h('div', { class: 'say' });
    this.think = h('details', { class: 'think', hidden: true }, h('summary', {}, 'Reasoning'), this.reasoned);
    this.element = h('li', { class: 'turn assistant' }, h('div', { class: 'who' }, h('b', {}, who)),
      this.think, this.body, this.calls, this.caret);
    this.markdown = new Markdown(this.body);
    this.waiting = '';
    this.waitingReasoning = '';
  }

  /** Takes what a chunk says. @param {any} delta */
  add(delta) {
    if (typeof delta.content === 'string') {
      this.turn.content += delta.content;
      this.waiting += delta.content;
    }
    const reasoning = delta.reasoning_content ?? delta.reasoning;
    if (typeof reasoning === 'string') {
      this.turn.reasoning += reasoning;
      this.waitingReasoning += reasoning;
    }
    for (const piece of delta.tool_calls ?? []) this.#call(piece);
  }

  /** @param {any} piece */
  #call(piece) {
    const calls = /** @type {Call[]} */ (this.turn.calls);
    const index = piece.index ?? calls.length;
    const call = calls[index] ??= { id: '', name: '', arguments: '' };
    call.id ||= piece.id ?? '';
    call.name += piece.function?.name ?? '';
    call.arguments += piece.function?.arguments ?? '';
    this.calls.replaceChildren(h('p', { class: 'faint' }, `Calls ${calls.map(({ name }) => name).join(', ')}`));
  }

  /**
   * Becomes a turn like the others: nothing of its text is made again.
   * @param {string} who @param {Acts} acts @param {Node | null} meter
   */
  complete(who, acts, meter) {
    this.markdown.end();
    this.caret.remove();
    if (this.think.hidden) this.think.remove();
    this.element.querySelector('.who')?.replaceWith(header(this.turn, who, acts));
    this.calls.replaceChildren(...(this.turn.calls ?? []).map(call => callView(call, acts)));
    if (meter) this.element.append(meter);
  }

  /** Shows what has come since the last frame. */
  show() {
    if (this.waitingReasoning !== '') {
      this.think.hidden = false;
      this.reasoned.append(this.waitingReasoning);
      this.waitingReasoning = '';
    }
    if (this.waiting !== '') {
      this.markdown.push(this.waiting);
      this.waiting = '';
    }
  }
}

/**
 * What an answer cost and what became of the request.
 * @typedef {object} Facts
 * @property {number} [firstMs]
 * @property {number} totalMs
 * @property {number} [tokensIn]
 * @property {number} [tokensOut]
 * @property {boolean} isEstimate
 * @property {number} units
 * @property {string | null} price as the gateway says it
 * @property {number | undefined} cost in dollars
 * @property {string | null} finish
 * @property {string | null} emulated
 * @property {string | null} ignored
 * @property {string | null} mended
 * @property {string | null} falId
 * @property {string | null} requestId
 */

/** @param {Facts} facts */
export function factsView(facts) {
  const about = facts.isEstimate ? '~' : '';
  const fact = (/** @type {string} */ name, /** @type {string} */ unit) => h('span', {}, h('b', {}, name), unit);
  const line = [];
  if (facts.firstMs !== undefined) line.push(fact(span(facts.firstMs), ' to first text'));
  line.push(fact(span(facts.totalMs), ' in all'));
  if (facts.tokensOut) {
    const seconds = (facts.totalMs - (facts.firstMs ?? 0)) / 1000;
    if (seconds > 0.2) line.push(fact(`${about}${Math.round(facts.tokensOut / seconds)}`, ' tokens/s'));
    line.push(h('span', {}, `${about}${facts.tokensIn} in, ${about}${facts.tokensOut} out`));
  }
  line.push(facts.price ? fact(facts.price, ' at fal') : fact(String(facts.units), facts.units === 1 ? ' fal unit' : ' fal units'));
  if (facts.cost !== undefined) line.push(fact(`$${facts.cost.toFixed(5)}`, ''));
  if (facts.finish && facts.finish !== 'stop') line.push(h('span', {}, `ended: ${facts.finish}`));
  const notes = [['emulated', facts.emulated], ['ignored', facts.ignored], ['mended', facts.mended]];
  for (const [name, value] of notes) if (value) line.push(h('span', {}, `${name}: ${value}`));
  if (facts.requestId) line.push(h('span', {}, 'request ', h('code', {}, facts.requestId)));
  if (facts.falId) line.push(h('span', {}, 'fal ', h('code', {}, facts.falId)));
  return h('div', { class: 'meter' }, line);
}
