// The overview: what has happened lately, from the gateway's own counters.

import { ask, count, h, modelName, open, span, strip } from './kit.js';
import { plot, share } from './plot.js';

/**
 * @typedef {object} Sums
 * @property {string} name
 * @property {number} requests @property {number} failed @property {number} calls
 * @property {number} prompt_tokens @property {number} completion_tokens
 * @property {number} units @property {number} dollars
 * @property {number | null} first_ms @property {number | null} first_95_ms
 * @property {number | null} total_ms @property {number | null} total_95_ms
 */

const SPANS = [['15', '15 min'], ['60', '1 h'], ['1440', '24 h']];
const EVERY_MS = 5000;
const USAGE_EVERY_MS = 60_000;

open(() => {
  let minutes = new URLSearchParams(location.search).get('minutes') ?? '60';
  const since = h('span', { class: 'faint' });
  const body = h('div', { class: 'stack' }, h('p', { class: 'faint' }, 'Reading…'));
  const kept = h('div', { class: 'stack' });
  const trouble = h('div', { class: 'gone' });
  const buttons = SPANS.map(([id, title]) => h('button', { type: 'button', onclick: () => { minutes = id ?? ''; history.replaceState(null, '', `?minutes=${minutes}`); refresh(); } }, title));

  async function refresh() {
    buttons.forEach((button, at) => button.setAttribute('aria-pressed', String(SPANS[at]?.[0] === minutes)));
    try {
      const found = await ask(`overview?minutes=${minutes}`);
      since.textContent = `since the start, ${ago(found.overview.since_s)} ago; kept in memory only`;
      trouble.replaceChildren();
      body.replaceChildren(...content(found, Number(minutes)));
    } catch (error) {
      trouble.replaceChildren(strip(`The gateway does not answer. Trying again in ${EVERY_MS / 1000} s. (${/** @type {Error} */ (error).message})`));
    }
  }

  async function readUsage() {
    try {
      kept.replaceChildren(...usage(await ask('usage')));
    } catch {
      // The other numbers say that the gateway does not answer.
    }
  }

  setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  setInterval(() => { if (!document.hidden) readUsage(); }, USAGE_EVERY_MS);
  refresh();
  readUsage();
  return h('main', { class: 'pad' },
    h('div', { class: 'hd' }, h('h1', {}, 'Overview'), since, h('div', { class: 'end' }, h('div', { class: 'seg', role: 'group', 'aria-label': 'Span' }, buttons))),
    trouble, body, kept);
});

/** @param {number} seconds */
function ago(seconds) {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} tokens */
function short(tokens) {
  if (tokens < 10_000) return count(tokens);
  return tokens < 1e7 ? `${Math.round(tokens / 1000)}k` : `${Math.round(tokens / 1e6)}M`;
}

/** @param {number | null} ms */
const time = ms => (ms === null ? '–' : span(ms));

/** What some requests cost. @param {Sums} sums */
function cost({ units, dollars }) {
  const money = dollars < 0.01 ? dollars.toPrecision(2) : dollars.toFixed(2);
  const parts = [units > 0 && `${count(units)} ${units === 1 ? 'unit' : 'units'}`, dollars > 0 && `$${money}`];
  return parts.filter(part => part).join(', ') || '0';
}

/** @param {any} found @param {number} minutes @returns {HTMLElement[]} */
function content(found, minutes) {
  const { sums, minutes: all, models, keys, errors } = found.overview;
  const tile = (/** @type {string} */ title, /** @type {string} */ value, /** @type {string} */ below) =>
    h('div', { class: 'tile' }, h('dt', {}, title), h('dd', {}, value), h('dd', { class: 'sub' }, below));
  const failed = sums.requests > 0 ? (100 * sums.failed) / sums.requests : 0;
  const rate = sums.requests / Math.max(1, all.length);
  return [
    h('dl', { class: 'tiles' },
      tile('Requests', count(sums.requests), `${rate < 1 ? rate.toFixed(1) : Math.round(rate)} a minute`),
      tile('Errors', `${failed < 10 ? failed.toFixed(1) : Math.round(failed)} %`, sums.failed > 0 ? `${count(sums.failed)}, most: ${errors[0]?.[0] ?? ''}` : 'none'),
      tile('First text', time(sums.first_ms), `95 %: ${time(sums.first_95_ms)}`),
      tile('Total', time(sums.total_ms), `95 %: ${time(sums.total_95_ms)}`),
      tile('Tokens in', `~${short(sums.prompt_tokens)}`, `~${short(sums.completion_tokens)} out`),
      tile('Cost', cost(sums), sums.units > 0 && sums.dollars > 0 ? 'units, and dollars beside them' : 'as far as it is known')),
    h('p', { class: 'small faint' }, `${count(found.in_flight)} requests run now, ${count(found.open_streams)} of them streams. Tokens are estimates where fal tells none. any-llm costs units, the router dollars; what may not be paid for is counted too.`),
    h('div', { class: 'grid2' }, requestsPlot(all, minutes), timesPlot(all, minutes)),
    table('Models', 'Model', models, ['Requests', 'Failed', 'First text', '95 %', 'In', 'Out', 'Cost'],
      model => [count(model.requests), count(model.failed), time(model.first_ms), time(model.first_95_ms), `~${short(model.prompt_tokens)}`, `~${short(model.completion_tokens)}`, cost(model)],
      'No model was asked yet.'),
    ...keys.length > 0 ? [table('Keys', 'Key', keys, ['Requests', 'Failed', 'In', 'Out', 'Cost'],
      key => [count(key.requests), count(key.failed), `~${short(key.prompt_tokens)}`, `~${short(key.completion_tokens)}`, cost(key)], '')] : [],
    errorTable(errors),
  ];
}

/** What the ledger says of the last days. @param {any} found @returns {HTMLElement[]} */
function usage(found) {
  if (!found.kept) return [];
  if (!found.known) return [h('p', { class: 'small faint' }, 'The store does not answer, so nothing is shown by day and by key.')];
  const days = /** @type {Sums[]} */ (found.days);
  const spent = days.map(({ dollars }) => dollars);
  const total = spent.reduce((sum, dollars) => sum + dollars, 0);
  const drawn = plot(`Dollars a day in the last ${days.length} days, $${total.toPrecision(3)} together`, [{ kind: 'bars', colour: '--l1', values: spent }],
    value => (value === 0 ? '0' : `$${Number(value.toPrecision(2))}`), days.map(({ name }) => name.slice(5)));
  const heads = ['Answered', 'Failed calls', 'In', 'Out', 'Units', 'Dollars'];
  const cells = (/** @type {Sums} */ row) => [count(row.requests), count(row.failed), `~${short(row.prompt_tokens)}`, `~${short(row.completion_tokens)}`,
    count(Math.round(row.units * 1000) / 1000), `$${row.dollars < 0.01 ? Number(row.dollars.toPrecision(2)) : row.dollars.toFixed(2)}`];
  const since = `last ${days.length} days, from the ledger`;
  const busy = days.filter(({ calls }) => calls > 0).reverse();
  return [card('Dollars a day (UTC)', [['units at the list price', 'c-l1']], drawn),
    table('By day', 'Day', busy, heads, cells, 'Nothing was called yet.', since),
    table('By key', 'Key', found.keys.map((/** @type {Sums} */ row) => ({ ...row, name: row.name || 'no key' })), heads, cells, 'Nothing was called yet.', since)];
}

/** Minutes of a long span are drawn together, so that bars stay wide enough to be seen. @param {Sums[]} all @param {number} minutes */
function steps(all, minutes) {
  const size = Math.max(1, Math.round(minutes / 96));
  const groups = /** @type {{time: string, rows: Sums[], size: number}[]} */ ([]);
  const now = Date.now();
  // From the newest back, and as long as the span: a quiet beginning is shown as such.
  for (let end = all.length; groups.length < Math.ceil(minutes / size); end -= size) {
    const begun = new Date(now - (all.length - end + size - 1) * 60_000);
    const time = begun.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
    groups.unshift({ time, rows: all.slice(Math.max(0, end - size), Math.max(0, end)), size });
  }
  return groups;
}

/** @param {string} title @param {[name: string, colour: string][]} legend @param {HTMLElement} drawn */
function card(title, legend, drawn) {
  const dots = legend.map(([name, colour]) => h('span', {}, h('i', { class: colour }), name));
  return h('section', { class: 'card' }, h('header', {}, h('h2', {}, title), h('span', { class: 'leg end' }, dots)), drawn);
}

/** @param {Sums[]} all @param {number} minutes */
function requestsPlot(all, minutes) {
  const groups = steps(all, minutes);
  const sum = (/** @type {Sums[]} */ rows, /** @type {'requests' | 'failed'} */ name) => rows.reduce((total, row) => total + row[name], 0);
  const failed = groups.map(({ rows }) => sum(rows, 'failed'));
  const good = groups.map(({ rows }, at) => sum(rows, 'requests') - (failed[at] ?? 0));
  const size = groups[0]?.size ?? 1;
  const title = size === 1 ? 'Requests a minute' : `Requests in ${size} minutes`;
  const label = `${title}, at most ${Math.max(0, ...good.map((value, at) => value + (failed[at] ?? 0)))}; ${failed.reduce((a, b) => a + b, 0)} failed`;
  const drawn = plot(label, [{ kind: 'bars', colour: '--mute', values: good }, { kind: 'bars', colour: '--bad', values: failed }],
    value => (Number.isInteger(value) ? count(value) : ''), groups.map(({ time: at }) => at));
  return card(title, [['answered', 'c-mute'], ['failed', 'c-bad']], drawn);
}

/** @param {Sums[]} all @param {number} minutes */
function timesPlot(all, minutes) {
  const groups = steps(all, minutes);
  const worst = (/** @type {Sums[]} */ rows, /** @type {'first_ms' | 'first_95_ms'} */ name) => {
    const known = rows.flatMap(row => row[name] ?? []);
    return known.length === 0 ? null : Math.max(...known) / 1000;
  };
  const median = groups.map(({ rows }) => worst(rows, 'first_ms'));
  const slow = groups.map(({ rows }) => worst(rows, 'first_95_ms'));
  const drawn = plot('Time to first text, median and 95th percentile', [{ kind: 'line', colour: '--l3', values: slow }, { kind: 'line', colour: '--l1', values: median }],
    value => (value === 0 ? '0' : value < 1 ? `${Math.round(value * 1000)} ms` : `${Number(value.toPrecision(2))} s`), groups.map(({ time: at }) => at));
  return card('Time to first text', [['median', 'c-l1'], ['95 %', 'c-l3']], drawn);
}

/**
 * @param {string} title @param {string} first @param {Sums[]} rows @param {string[]} heads
 * @param {(row: Sums) => string[]} cells @param {string} empty @param {string} [since]
 */
function table(title, first, rows, heads, cells, empty, since = 'since the start') {
  const most = rows.reduce((sum, row) => sum + row.requests, 0);
  const body = rows.map(row => h('tr', {}, h('td', { class: 'm' }, modelName(row.name)), h('td', {}, share(row.requests / Math.max(1, most))), cells(row).map(cell => h('td', { class: 'r' }, cell))));
  return h('section', { class: 'card' }, h('header', {}, h('h2', {}, title), h('span', { class: 'faint small' }, since)),
    rows.length === 0 ? h('p', { class: 'soft in' }, empty) : h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title },
      h('table', { class: 't' }, h('thead', {}, h('tr', {}, h('th', {}, first), h('th', {}, 'Share'), heads.map(head => h('th', { class: 'r' }, head)))), h('tbody', {}, body))));
}

/** @param {[code: string, source: string, count: number][]} errors */
function errorTable(errors) {
  const rows = errors.map(([code, source, times]) => h('tr', {}, h('td', {}, h('code', {}, code)), h('td', {}, source), h('td', { class: 'r' }, count(times))));
  return h('section', { class: 'card' }, h('header', {}, h('h2', {}, 'Errors'), h('span', { class: 'faint small' }, 'since the start')),
    rows.length === 0 ? h('p', { class: 'soft in' }, 'None.') : h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Errors' },
      h('table', { class: 't' }, h('thead', {}, h('tr', {}, h('th', {}, 'Code'), h('th', {}, 'Whose'), h('th', { class: 'r' }, 'How often'))), h('tbody', {}, rows))));
}
