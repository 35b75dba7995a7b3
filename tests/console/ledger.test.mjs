// The overview of a gateway with a store: what was spent, by day and by key.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axe, data, geometry, launch, OFFICE, open, SHOTS, user } from './browser.mjs';

const KEYS = { alice: process.env.GATEWAY_OFFICE_ALICE, bob: process.env.GATEWAY_OFFICE_BOB };
const ADMIN_KEY = process.env.GATEWAY_OFFICE_ADMIN;
let browser, token;
before(async () => {
  browser = await launch();
  ({ token } = await data('session', 'POST', { gateway: OFFICE, token: ADMIN_KEY }));
});
after(() => browser?.close());

async function chat(name, content) {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEYS[name]}` };
  const body = JSON.stringify({ model: 'openai/gpt-4o-mini', ...user(content) });
  const answer = await fetch(`${OFFICE}/v1/chat/completions`, { method: 'POST', headers, body });
  return answer.status;
}

/** The overview in a browser of somebody who has given the admin key. */
async function overview(options = {}) {
  const opened = await open(browser, '/overview', { gateway: OFFICE, ...options });
  await opened.page.fill('#key', ADMIN_KEY);
  await opened.page.press('#key', 'Enter');
  await opened.page.waitForSelector('h2:text-is("By key")');
  return opened;
}

/** What is shown once the ledger has so many calls. It is written in batches. */
async function usage(calls) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise(done => setTimeout(done, 50))) {
    const found = await data('usage', 'GET', { gateway: OFFICE, token });
    if (found.keys.reduce((sum, key) => sum + key.calls, 0) >= calls) return found;
  }
  assert.fail('the ledger did not get the calls');
}

const rows = (page, title) => page.$$eval(`section.card:has(h2:text-is("${title}")) tbody tr`, all => all.map(row => [...row.children].map(cell => cell.textContent)));

test('a gateway where nothing was called yet says so', async () => {
  const { page, close } = await overview();
  assert.equal(await page.locator('p:text-is("Nothing was called yet.")').count(), 2);
  assert.deepEqual(await axe(page), []);
  await close();
});

test('days and keys are those of the ledger', async () => {
  for (const name of ['alice', 'alice', 'bob']) assert.equal(await chat(name, 'hello'), 200);
  assert.notEqual(await chat('bob', '/emulate error:rate_limit'), 200);
  const found = await usage(4);
  const { page, close } = await overview();
  const keys = Object.fromEntries((await rows(page, 'By key')).map(([name, , ...cells]) => [name, cells]));
  assert.deepEqual(keys.alice?.slice(0, 2), ['2', '0']);
  assert.deepEqual(keys.bob?.slice(0, 2), ['1', '1']);
  const today = found.days.at(-1);
  const days = await rows(page, 'By day');
  assert.deepEqual(days.map(([day, , requests]) => [day, requests]), [[today.name, '3']]);
  assert.equal(today.units, 3, 'an answer of any-llm costs a unit');
  await close();
});

test('it is right at every width, light and dark', async () => {
  await usage(4);
  for (const width of [320, 390, 1280]) {
    for (const theme of ['light', 'dark']) {
      const { page, close } = await overview({ width, theme });
      assert.deepEqual(await geometry(page), { overflow: 0, twice: [] }, `${width} ${theme}`);
      assert.deepEqual(await axe(page), [], `${width} ${theme}`);
      await page.screenshot({ path: `${SHOTS}overview-ledger-${width}-${theme}.png`, fullPage: true });
      await close();
    }
  }
});

test('no key of a client or an operator is in the page or is kept by it', async () => {
  const { page, close } = await overview();
  const text = await page.content() + await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  for (const key of [ADMIN_KEY, ...Object.values(KEYS)]) assert.ok(!text.includes(key), 'a key');
  await close();
});

test('a wrong admin key opens nothing, and says so', async () => {
  const { page, close } = await open(browser, '/overview', { gateway: OFFICE, allowed: ['401'] });
  await page.fill('#key', KEYS.alice);
  await page.press('#key', 'Enter');
  await page.waitForFunction(() => document.querySelector('#key-error')?.textContent);
  assert.equal(await page.inputValue('#key'), '');
  assert.equal(await page.textContent('main h1'), 'Admin key');
  assert.deepEqual(await axe(page), []);
  await page.screenshot({ path: `${SHOTS}admin-key.png` });
  await close();
});
