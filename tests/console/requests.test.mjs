// The list of requests and what became of each.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';
import { axe, chat, data, launch, open, user } from './browser.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());
afterEach(() => data('capture/wipe', 'POST').then(() => data('capture/shape', 'POST')));

test('a request is in the list while it runs', async () => {
  const { page, close } = await open(browser, '/requests');
  const answer = chat({ ...user('long 100\n/emulate gap:60ms'), stream: true });
  await page.waitForSelector('.row:has-text("running")');
  await answer;
  await page.waitForSelector('.row:has-text("200")');
  await close();
});

test('without leave nothing of a text is kept, in any layer', async () => {
  await chat({ ...user('echo my-planted-secret'), stream: true, 'my-planted-field': 1, tools: [{ type: 'function', function: { name: 'my_planted_tool' } }] });
  const { rows, capture } = await data('requests');
  assert.equal(capture.level, 'shape');
  const kept = await data(`requests/${rows[0].number}`);
  assert.ok(kept.sent.text.includes('"messages"'));
  assert.ok(kept.calls[0].asked.text.includes('"prompt"'));
  assert.ok(kept.calls[0].heard.length > 0 && kept.got.length > 0);
  assert.ok(!/planted/.test(JSON.stringify(kept)), JSON.stringify(kept));
});

test('texts are kept when somebody asks for it, in four layers, and wiped by a click', async () => {
  const { page, close } = await open(browser, '/requests');
  await page.click('text=Keep text for 10 minutes');
  await page.waitForSelector('.keeps.warn');
  await chat({ messages: [{ role: 'user', content: 'one' }, { role: 'assistant', content: 'two' }, { role: 'user', content: 'echo three' }], stream: true });
  await page.locator('a.row').first().click();
  await page.waitForSelector('.quad');
  const layers = await page.$$eval('.cell', cells => Object.fromEntries(cells.map(cell => [cell.getAttribute('aria-label'), cell.textContent])));
  assert.match(layers['Client sent'], /"content": "two"/);
  assert.match(layers['fal was asked'], /<conversation-/);
  assert.match(layers['fal answered'], /thr/);
  assert.match(layers['Client got'], /content/);
  assert.deepEqual(await axe(page), []);
  const download = page.waitForEvent('download');
  await page.click('text=Export');
  const file = JSON.parse(await readFile(await (await download).path(), 'utf8'));
  assert.equal(file.format, 'fal-gateway-trace/1');
  assert.ok(!/planted-fal-key|authorization/i.test(JSON.stringify(file)), 'a key');
  await page.click('text=Wipe');
  await page.waitForSelector('.row', { state: 'detached' });
  assert.deepEqual((await data('requests')).rows, []);
  await close();
});

test('calls of one request have a tab each', async () => {
  await chat({ ...user('hello'), n: 2 });
  const { page, close } = await open(browser, '/requests');
  await page.waitForSelector('.row:has-text("2 calls")');
  await page.locator('a.row').first().click();
  await page.click('.calls button:has-text("Choice 1")');
  assert.equal(await page.getAttribute('.calls button:has-text("Choice 1")', 'aria-pressed'), 'true');
  await close();
});

test('the list is filtered and walked with keys', async () => {
  await chat(user('echo a'));
  await chat({ ...user('b'), n: 99 });
  const { page, close } = await open(browser, '/requests');
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 2);
  await page.keyboard.press('j');
  await page.waitForSelector('.row[aria-current]');
  await page.keyboard.press('/');
  await page.keyboard.type('status:4xx');
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 1);
  await page.fill('[type=search]', 'status:200 model:gpt');
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 1);
  await close();
});

test('a request whose text is kept is sent again, but only after a second click', async () => {
  await data('capture/text', 'POST');
  await chat(user('echo once more'));
  const { page, close } = await open(browser, '/requests');
  await page.locator('a.row').first().click();
  await page.click('button:has-text("Send again")');
  await page.waitForSelector('button:has-text("Pay and send again")');
  assert.equal((await data('requests')).rows.length, 1, 'one click costs nothing');
  await page.keyboard.press('r');
  await page.waitForSelector('button:has-text("Sent: 200")');
  const { rows } = await data('requests');
  assert.equal(rows.length, 2);
  const [copy, first] = await Promise.all(rows.map(({ number }) => data(`requests/${number}`)));
  assert.equal(copy.sent.text, first.sent.text);
  await close();
});

test('an event and what left because of it are marked together, by pointer and by key', async () => {
  await chat({ ...user('long 20\n/emulate gap:40ms'), stream: true });
  const { page, close } = await open(browser, '/requests');
  await page.locator('a.row').first().click();
  const marked = layer => page.$$eval(`.${layer} tr.mark`, rows => rows.map(row => row.dataset.cause));
  await page.locator('.l3 tr[data-cause]').nth(1).hover();
  await page.waitForSelector('.l4 tr.mark');
  const [cause] = await marked('l3');
  assert.ok((await marked('l4')).every(found => found === cause));
  await page.mouse.move(0, 0);
  await page.waitForFunction(() => document.querySelectorAll('tr.mark').length === 0);
  await page.keyboard.press(']');
  await page.keyboard.press(']');
  assert.deepEqual(await marked('l3'), ['1']);
  await close();
});
