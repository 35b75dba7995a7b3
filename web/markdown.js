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
    /** @type {Aligned | null} the columns of the table that the last cut went through */
    this.columns = null;
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
      this.columns = null;
      return true;
    }
    if (this.open.length <= LONGEST) return false;
    const line = this.open.lastIndexOf('\n', LONGEST) + 1;
    const at = line || this.open.lastIndexOf(' ', LONGEST) + 1 || LONGEST;
    const part = this.open.slice(0, at);
    this.#show(part, true);
    this.columns = line ? lastColumns(part, this.columns) : null;
    this.open = this.open.slice(at);
    this.isContinued = line === 0;
    return true;
  }

  /** @param {string} marks */
  #begin(marks) {
    this.fence = h('pre', { tabindex: 0 });
    this.fenceEnd = marks;
    this.columns = null;
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
    const made = source.trim() === '' ? [] : block(source.replace(/^\s*\n/, ''), this.isContinued, this.columns);
    const holder = this.shown ?? h('div', {});
    holder.replaceChildren(...made);
    if (this.shown === null && made.length > 0) this.#append(holder);
    this.shown = isComplete || made.length === 0 ? null : holder;
    if (made.length === 0) holder.remove();
  }
}

/**
 * @param {string} source
 * @param {boolean} isContinued whether it begins in the middle of a line
 * @param {Aligned | null} columns of a table that it may begin in
 * @returns {Node[]}
 */
function block(source, isContinued, columns) {
  /** @type {Node[]} */
  const made = [];
  let run = /** @type {{kind: string, lines: string[]} | null} */ (null);
  const flush = () => {
    if (run) made.push(...element(run.kind, run.lines, made.length === 0 ? columns : null));
    run = null;
  };
  for (const line of source.split('\n')) {
    const kind = kindOf(line, isContinued && run === null && made.length === 0);
    if (kind === 'heading' || kind === 'rule' || run?.kind !== kind) {
      const goesOn = run?.kind === 'list' && kind === 'text' && /^\s/.test(line);
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

const ITEM = /^(\s{0,16})(?:[-*+]|(\d{1,9})[.)]) (.*)$/;
const ROW = /^ {0,3}\|.*\|\s*$/;

/** @param {string} line @param {boolean} isContinued */
function kindOf(line, isContinued) {
  if (isContinued) return 'text';
  if (/^ {0,3}#{1,6} /.test(line)) return 'heading';
  if (/^ {0,3}(?:-{3,}|\*{3,}|_{3,})\s*$/.test(line)) return 'rule';
  if (ITEM.test(line)) return 'list';
  if (/^ {0,3}> ?/.test(line)) return 'quote';
  if (ROW.test(line)) return 'table';
  return 'text';
}

/** @param {string} kind @param {string[]} lines @param {Aligned | null} columns @returns {Node[]} */
function element(kind, lines, columns) {
  const first = lines[0] ?? '';
  switch (kind) {
    case 'heading':
      // Of one level, since the page's own heading is the first.
      return [h('h2', { class: 'md' }, inline(first.replace(/^\s*#+ /, '')))];
    case 'rule':
      return [h('hr', {})];
    case 'list':
      return lists(lines);
    case 'quote':
      return [h('blockquote', {}, inline(lines.map(line => line.replace(/^ {0,3}> ?/, '')).join('\n')))];
    case 'table':
      return [table(lines, columns)];
    default:
      return [h('p', { class: 'md' }, inline(lines.join('\n')))];
  }
}

/**
 * Lists, and lists in their items, by how far each line is indented.
 * @param {string[]} lines
 */
function lists(lines) {
  /** @type {Node[]} */
  const made = [];
  /** @type {{indent: number, list: HTMLElement, item: HTMLElement}[]} the lists that are open, each in the one before */
  const open = [];
  for (const line of lines) {
    const [, space, number, text] = ITEM.exec(line) ?? [];
    if (space === undefined || text === undefined) {
      open.at(-1)?.item.append('\n', ...inline(line.trim()));
      continue;
    }
    while (open.length > 1 && space.length < (open.at(-1)?.indent ?? 0)) open.pop();
    const around = open.at(-1);
    const isDeeper = around !== undefined && space.length >= around.indent + 2;
    const beside = isDeeper ? undefined : open.pop();
    const tag = number === undefined ? 'ul' : 'ol';
    const item = h('li', {}, inline(text));
    let list = beside?.list;
    if (list?.localName !== tag) {
      list = h(tag, { class: 'md', start: number !== undefined && Number(number) });
      const outer = open.at(-1)?.item;
      if (outer) outer.append(list);
      else made.push(list);
    }
    list.append(item);
    open.push({ indent: beside?.indent ?? space.length, list, item });
  }
  return made;
}

/** @typedef {string[]} Aligned the class of each column's cells */

/**
 * @param {string[]} lines
 * @param {Aligned | null} before the columns of a table that these lines go on with
 */
function table(lines, before) {
  const columns = columnsOf(lines[1]);
  const known = columns ?? before;
  if (known === null) return h('pre', { tabindex: 0 }, lines.join('\n'));
  /** @param {'th' | 'td'} tag @param {string} line */
  const row = (tag, line) => h('tr', {}, cells(line).map((cell, at) => h(tag, { class: known[at] || null }, inline(cell))));
  const head = columns && h('thead', {}, row('th', lines[0] ?? ''));
  const body = lines.slice(columns ? 2 : 0).map(line => row('td', line));
  return h('div', { class: 'table', tabindex: 0 }, h('table', {}, head, h('tbody', {}, body)));
}

/** @param {string} line */
function cells(line) {
  return line.trim().slice(1, -1).split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll('\\|', '|'));
}

/** @param {string | undefined} line what may be the line below a table's head @returns {Aligned | null} */
function columnsOf(line) {
  if (line === undefined || !ROW.test(line)) return null;
  const marks = cells(line);
  if (!marks.every(mark => /^:?-+:?$/.test(mark))) return null;
  return marks.map(mark => mark.endsWith(':') ? mark.startsWith(':') ? 'mid' : 'end' : '');
}

/**
 * The columns of the table that a text ends in.
 * @param {string} text @param {Aligned | null} before those of the table that it begins in
 */
function lastColumns(text, before) {
  const lines = text.trimEnd().split('\n');
  const above = lines.findLastIndex(line => !ROW.test(line));
  return columnsOf(lines[above + 2]) ?? (above < 0 ? before : null);
}

/** Code, stars, underlines, strikes, links, and addresses. No mark's text has the mark in it, so each is looked through once. */
const INLINE = new RegExp([
  /`([^`\n]+)`/,
  /(\*{1,3})(?=[^\s*])([^*\n]+)(?<=\S)\2(?!\*)/,
  /(?<!\w)_(?=\S)([^_\n]+)(?<=\S)_(?!\w)/,
  /~~([^~\n]+)~~/,
  /(?<!!)\[([^\][\n]{1,300})\]\((https?:\/\/[^\s()<>]{1,2000})\)/,
  /(https?:\/\/[^\s<>"'`)\]*]{1,2000})/,
].map(part => part.source).join('|'), 'g');

/** @param {string} text @returns {(Node | string)[]} */
function inline(text) {
  const made = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const [all, code, stars, starred, underlined, struck, label, target, bare] = match;
    made.push(text.slice(from, match.index));
    from = match.index + all.length;
    if (code !== undefined) made.push(h('code', {}, code));
    else if (starred !== undefined) made.push(emphasis(stars?.length ?? 1, inline(starred)));
    else if (underlined !== undefined) made.push(h('em', {}, inline(underlined)));
    else if (struck !== undefined) made.push(h('s', {}, inline(struck)));
    else made.push(...link(label ?? bare ?? '', target ?? bare ?? ''));
  }
  made.push(text.slice(from));
  return made;
}

/** @param {number} stars one, two or three @param {(Node | string)[]} kids */
function emphasis(stars, kids) {
  const made = stars === 2 ? h('strong', {}, kids) : h('em', {}, kids);
  return stars === 3 ? h('strong', {}, made) : made;
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
