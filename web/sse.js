// Server-sent events, read from the body of a `fetch` (source: WHATWG HTML, 9.2.6).

/**
 * The data of each event of a body, as it comes.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string[]>} what has come together comes together
 */
export async function* events(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  const parser = new Parser();
  for (;;) {
    const { done, value } = await reader.read();
    const found = parser.feed(done ? decoder.decode() : decoder.decode(value, { stream: true }));
    if (found.length > 0) yield found;
    if (done) return;
  }
}

/** Finds events in text that comes in pieces. Lines end with LF, CR or both. */
export class Parser {
  #line = '';
  #data = /** @type {string[]} */ ([]);
  #afterCr = false;

  /** @param {string} text @returns {string[]} the data of the events that are complete */
  feed(text) {
    const found = [];
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code !== 10 && code !== 13) {
        this.#afterCr = false;
        continue;
      }
      const isSecondHalf = code === 10 && this.#afterCr;
      this.#afterCr = code === 13;
      if (!isSecondHalf) {
        const event = this.#end(this.#line + text.slice(from, at));
        if (event !== null) found.push(event);
        this.#line = '';
      }
      from = at + 1;
    }
    this.#line += text.slice(from);
    return found;
  }

  /** @param {string} line @returns {string | null} */
  #end(line) {
    if (line === '') {
      const data = this.#data;
      this.#data = [];
      return data.length > 0 ? data.join('\n') : null;
    }
    if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    return null;
  }
}
