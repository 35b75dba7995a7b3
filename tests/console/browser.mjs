// A browser in front of the gateway. Whatever a page should never do fails the test that uses it:
// errors in its console, breaches of its policy, requests to anybody else.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const GATEWAY = new URL(process.env.GATEWAY_URL).origin;
/** A gateway with a store, and with keys for its clients. */
export const OFFICE = new URL(process.env.GATEWAY_OFFICE_URL).origin;
export const EMULATOR = process.env.EMULATOR_URL;
/** Pictures of the pages, to be looked at. */
export const SHOTS = process.env.CONSOLE_SHOTS ?? new URL('../.tools/console-shots/', import.meta.url).pathname;
mkdirSync(SHOTS, { recursive: true });

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP rebind.test 127.0.0.1'];

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

/** A page in a window of its own. `allowed` are words of console errors that the test expects. */
export async function open(browser, path, { width = 1280, height = 800, theme = 'light', allowed = [], before, gateway = GATEWAY } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce', baseURL: gateway });
  const page = await context.newPage();
  const problems = [];
  page.on('console', message => {
    const isExpected = allowed.some(word => message.text().includes(word));
    if (['error', 'warning'].includes(message.type()) && !isExpected) problems.push(message.text());
  });
  page.on('pageerror', error => problems.push(`${error.stack}`));
  page.on('dialog', dialog => { problems.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', request => {
    const url = new URL(request.url());
    if (url.origin !== gateway && !['data:', 'blob:'].includes(url.protocol)) problems.push(`asked ${url.href}`);
  });
  await page.addInitScript(() => {
    window.breaches = [];
    document.addEventListener('securitypolicyviolation', event => window.breaches.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  if (before) await before(page);
  await page.goto(path);
  await page.waitForSelector('main h1');
  return { page, context, async close() {
    assert.deepEqual(await page.evaluate(() => window.breaches), [], 'the policy of the page');
    assert.deepEqual(problems, []);
    await context.close();
  } };
}

/** What axe finds wrong. Its source is evaluated by the debugger, which the page's policy allows. */
export async function axe(page) {
  const debug = await page.context().newCDPSession(page);
  await debug.send('Runtime.evaluate', { expression: AXE });
  const { result } = await debug.send('Runtime.evaluate', {
    awaitPromise: true, returnByValue: true,
    expression: `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(node => id + ': ' + node.target.join(' '))))`,
  });
  return result.value;
}

/** Whether a page is wider than its window, and which ids are there twice. */
export const geometry = page => page.evaluate(() => {
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  return { overflow: document.documentElement.scrollWidth - innerWidth, twice: ids.filter((id, at) => ids.indexOf(id) !== at) };
});

/** The console's own API, as its page asks. */
export async function data(path, method = 'GET', { gateway = GATEWAY, token } = {}) {
  const headers = { 'x-console': '1', ...token && { authorization: `Bearer ${token}` } };
  const answer = await fetch(`${gateway}/console/v1/${path}`, { method, headers });
  assert.equal(answer.status, 200, path);
  return answer.json();
}

export async function chat(body) {
  const answer = await fetch(`${GATEWAY}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'openai/gpt-4o-mini', ...body }),
  });
  return answer.text();
}

export const user = content => ({ messages: [{ role: 'user', content }] });

/** Sends a message in the playground and waits for the end of the answer. */
export async function send(page, text) {
  const before = await page.locator('.turn.assistant .meter').count();
  await page.fill('#msg', text);
  await page.press('#msg', 'Enter');
  await page.waitForFunction(known => document.querySelectorAll('.turn.assistant .meter').length > known, before, { timeout: 20000 });
}
