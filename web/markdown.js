// Markdown as models write it, made into elements while it comes. Nothing is parsed as HTML: what is
// not understood stays visible text. Blocks that are complete are never touched again, and long ones
// are cut into pieces, so that the browser never lays out one huge text.

import { h } from './kit.js';

/** No block's text gets longer than this. */
const LONGEST = 4000;
/** So many blocks are one part: what is off screen is passed over part by part. */
const PART = 24;
/** So much is looked through at once, since each block is searched for in all of it. */
const AT_ONCE = 16 * 1024;

/** An answer that grows. */
export class Markdown {
  /** @param {HTMLElement} target */
  constructor(target) {
    this.target = target;
    /** @type {HTMLElement | null} */
    this.part = null;
    /** The source of the block that is still open. */
    this.open = '';
    /** @type {HTMLElement | null} its element */
    this.shown = null;
    /** @type {HTMLElement | null} the code block that is open */
    this.fence = null;
    this.fenceEnd = '';
    this.isContinued = false;
  }

  /** @param {string} text what has come since the last time */
  push(text) {
    for (let from = 0; from < text.length; from += AT_ONCE) {
      this.open += text.slice(from, from + AT_ONCE);
      while (this.#closeOne());
    }
    if (this.fence === null) this.#show(this.open, false);
  }

  /** Says that nothing more comes. */
  end() {
    if (this.fence !== null) this.#code(this.open.replace(new RegExp(`^ {0,3}${this.fenceEnd}+[ \\t]*$`), ''));
    else this.#show(this.open, true);
    this.open = '';
    this.fence = null;
  }

  /** Takes one complete block off the open text. @returns {boolean} whether there was one */
  #closeOne() {
    if (this.fence !== null) return this.#closeFence();
    const opening = /^ {0,3}(```+|~~~+)([^\n`]*)\n/m.exec(this.open);
    const blank = this.open.search(/\n[ \t]*\n/);
    if (opening && (blank < 0 || opening.index <= blank)) {
      this.#show(this.open.slice(0, opening.index), true);
      this.#begin(/** @type {string} */ (opening[1]));
      this.open = this.open.slice(opening.index + opening[0].length);
      return true;
    }
    if (blank >= 0) {
      this.#show(this.open.slice(0, blank), true);
      this.open = this.open.slice(blank).replace(/^\n[ \t]*\n/, '');
      this.isContinued = false;
      return true;
    }
    if (this.open.length <= LONGEST) return false;
    const at = this.open.lastIndexOf('\n', LONGEST) + 1 || this.open.lastIndexOf(' ', LONGEST) + 1 || LONGEST;
    this.#show(this.open.slice(0, at), true);
    this.open = this.open.slice(at);
    this.isContinued = true;
    return true;
  }

  /** @param {string} marks */
  #begin(marks) {
    this.fence = h('pre', { tabindex: 0 });
    this.fenceEnd = marks;
    this.#append(this.fence);
  }

  #closeFence() {
    const end = new RegExp(`^ {0,3}${this.fenceEnd}+[ \\t]*\\n`, 'm').exec(this.open);
    if (end) {
      this.#code(this.open.slice(0, end.index));
      this.open = this.open.slice(end.index + end[0].length);
      this.fence = null;
      this.isContinued = false;
      return true;
    }
    // The last line may still become the end of the block.
    const whole = this.open.lastIndexOf('\n') + 1;
    const safe = whole || (this.open.length > LONGEST ? LONGEST : 0);
    if (safe > 0) {
      this.#code(this.open.slice(0, safe));
      this.open = this.open.slice(safe);
    }
    return false;
  }

  /** Adds code to the open block. @param {string} text */
  #code(text) {
    const fence = this.fence;
    for (let from = 0; fence !== null && from < text.length;) {
      let code = fence.lastElementChild;
      let room = LONGEST - (code?.textContent?.length ?? LONGEST);
      if (!code || room <= 0) {
        fence.append(code = h('code', {}));
        room = LONGEST;
      }
      code.append(text.slice(from, from + room));
      from += room;
    }
  }

  /** @param {HTMLElement} block */
  #append(block) {
    if (this.part === null || this.part.childElementCount >= PART) {
      this.part = h('div', { class: 'part' });
      this.target.append(this.part);
    }
    this.part.append(block);
  }

  /** @param {string} source @param {boolean} isComplete */
  #show(source, isComplete) {
    const made = source.trim() === '' ? [] : block(source, this.isContinued);
    const holder = this.shown ?? h('div', {});
    holder.replaceChildren(...made);
    if (this.shown === null && made.length > 0) this.#append(holder);
    this.shown = isComplete || made.length === 0 ? null : holder;
    if (made.length === 0) holder.remove();
  }
}

/** @param {string} source @param {boolean} isContinued @returns {Node[]} */
function block(source, isContinued) {
  /** @type {Node[]} */
  const made = [];
  let run = /** @type {{kind: string, lines: string[]} | null} */ (null);
  const flush = () => {
    if (run) made.push(element(run.kind, run.lines));
    run = null;
  };
  for (const line of source.split('\n')) {
    const kind = kindOf(line, isContinued);
    if (kind === 'heading' || kind === 'rule' || run?.kind !== kind) {
      const goesOn = run !== null && kind === 'text' && (run.kind === 'list' || run.kind === 'numbers') && /^\s/.test(line);
      if (!goesOn) {
        flush();
        run = { kind, lines: [] };
      }
    }
    run?.lines.push(line);
  }
  flush();
  return made;
}

/** @param {string} line @param {boolean} isContinued */
function kindOf(line, isContinued) {
  if (isContinued) return 'text';
  if (/^ {0,3}#{1,6} /.test(line)) return 'heading';
  if (/^ {0,3}(?:-{3,}|\*{3,}|_{3,})\s*$/.test(line)) return 'rule';
  if (/^\s{0,8}[-*+] /.test(line)) return 'list';
  if (/^\s{0,8}\d{1,9}[.)] /.test(line)) return 'numbers';
  if (/^ {0,3}> ?/.test(line)) return 'quote';
  if (/^ {0,3}\|.*\|\s*$/.test(line)) return 'table';
  return 'text';
}

/** @param {string} kind @param {string[]} lines @returns {Node} */
function element(kind, lines) {
  const first = lines[0] ?? '';
  switch (kind) {
    case 'heading':
      // Of one level, since the page's own heading is the first.
      return h('h2', { class: 'md' }, inline(first.replace(/^\s*#+ /, '')));
    case 'rule':
      return h('hr', {});
    case 'list':
      return h('ul', { class: 'md' }, items(lines, /^\s*[-*+] /));
    case 'numbers':
      return h('ol', { class: 'md', start: Number.parseInt(first, 10) || 1 }, items(lines, /^\s*\d{1,9}[.)] /));
    case 'quote':
      return h('blockquote', {}, inline(lines.map(line => line.replace(/^ {0,3}> ?/, '')).join('\n')));
    case 'table':
      return h('pre', { class: 'table', tabindex: 0 }, lines.join('\n'));
    default:
      return h('p', { class: 'md' }, inline(lines.join('\n')));
  }
}

/** @param {string[]} lines @param {RegExp} mark */
function items(lines, mark) {
  /** @type {string[]} */
  const texts = [];
  for (const line of lines) {
    if (mark.test(line)) texts.push(line.replace(mark, ''));
    else texts[texts.length - 1] += `\n${line.trim()}`;
  }
  return texts.map(text => h('li', {}, inline(text)));
}

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|(?<!!)\[([^\][\n]{1,300})\]\((https?:\/\/[^\s()<>]{1,2000})\)|(https?:\/\/[^\s<>"'`)\]]{1,2000})/g;

/** @param {string} text @returns {(Node | string)[]} */
function inline(text) {
  const made = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const [all, code, strong, label, target, bare] = match;
    made.push(text.slice(from, match.index));
    from = match.index + all.length;
    if (code !== undefined) made.push(h('code', {}, code));
    else if (strong !== undefined) made.push(h('strong', {}, strong));
    else made.push(...link(label ?? bare ?? '', target ?? bare ?? ''));
  }
  made.push(text.slice(from));
  return made;
}

/**
 * A link out. Where it leads is always to be read.
 * @param {string} label @param {string} target
 */
function link(label, target) {
  let host;
  try {
    host = new URL(target).host;
  } catch {
    return [label === target ? target : `[${label}](${target})`];
  }
  const made = h('a', { href: target, rel: 'noreferrer noopener', target: '_blank' }, label);
  return label === target ? [made] : [made, h('span', { class: 'faint' }, ` (${host})`)];
}
