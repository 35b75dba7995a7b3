// The playground: what is asked, what is shown, and that nothing a model says becomes more than text.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EMULATOR, axe, launch, open, send } from './browser.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const ready = page => page.waitForSelector('#set-system');

/** Answers the next question with these events. */
const answering = (page, chunks) => page.route('**/v1/chat/completions', route => route.fulfill({
  contentType: 'text/event-stream', body: `${chunks.map(chunk => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`,
}));
const delta = said => ({ choices: [{ index: 0, delta: said, finish_reason: null }] });

test('an answer is streamed, and its cost is shown', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  await send(page, 'echo hello world');
  assert.equal((await page.textContent('.turn.assistant > .say')).trim(), 'hello world');
  const meter = await page.textContent('.turn.assistant .meter');
  for (const word of ['to first text', 'in all', 'unit', 'request req_', 'fal ']) assert.ok(meter.includes(word), `${word}: ${meter}`);
  assert.match(await page.textContent('[role=status]'), /Answer complete, 2 words/);
  await close();
});

test('Markdown is shown as what it means', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  const rows = Array.from({ length: 200 }, (_, at) => `| row ${at} | **${at}** \\| |`);
  const text = ['*one* and _two_, ***three***, **`four`**, ~~five~~', 'snake_case_name and 2 * 3 * 4', '',
    '1. first', '   - inner', '     goes on', '2. second', '- other', '', '| Left | Right |', '|:--|--:|', ...rows, '', '| no | head |'];
  await answering(page, [delta({ content: text.join('\n') })]);
  await send(page, 'x');
  const shown = await page.$eval('.turn.assistant > .say', say => ({
    marked: [...say.querySelectorAll('em, strong, s')].slice(0, 6).map(element => element.outerHTML),
    lists: [...say.querySelectorAll('ol, ul')].map(list => [list.localName, list.parentElement?.localName, list.children.length]),
    inner: say.querySelector('ul li')?.textContent,
    head: [...say.querySelectorAll('th')].map(cell => [cell.textContent, cell.className]),
    rows: [...say.querySelectorAll('tbody tr')].map(row => [...row.children].map(cell => cell.textContent + cell.className)),
    plain: say.textContent?.includes('snake_case_name and 2 * 3 * 4'),
    rest: say.querySelector('pre')?.textContent,
  }));
  assert.deepEqual(shown.marked, ['<em>one</em>', '<em>two</em>', '<strong><em>three</em></strong>', '<em>three</em>', '<strong><code>four</code></strong>', '<s>five</s>']);
  assert.deepEqual(shown.lists, [['ol', 'div', 2], ['ul', 'li', 1], ['ul', 'div', 1]]);
  assert.equal(shown.inner, 'inner\ngoes on');
  assert.deepEqual(shown.head, [['Left', ''], ['Right', 'end']]);
  assert.deepEqual(shown.rows, rows.map((_, at) => [`row ${at}`, `${at} |end`]));
  assert.deepEqual([shown.plain, shown.rest], [true, '| no | head |']);
  await close();
});

test('stopping ends the call to fal', async () => {
  await fetch(`${EMULATOR}/_emulator/requests`, { method: 'DELETE' });
  const { page, close } = await open(browser, '/');
  await ready(page);
  await page.fill('#msg', 'long 400\n/emulate gap:50ms');
  await page.press('#msg', 'Enter');
  await page.waitForFunction(() => (document.querySelector('.turn.assistant > .say')?.textContent?.length ?? 0) > 20);
  await page.press('#msg', 'Escape');
  await page.waitForSelector('.strip.warn');
  assert.match(await page.textContent('.strip.warn'), /Stopped by you after \d+ letters/);
  const [record] = await (await fetch(`${EMULATOR}/_emulator/requests?wait=1`)).json();
  const ended = await (await fetch(`${EMULATOR}/_emulator/requests/${record.id}?wait=ended`)).json();
  assert.ok(ended.hung_up_after_ms > 0, JSON.stringify(ended));
  await close();
});

test('a call is answered by hand, without a mouse', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  await page.focus('summary:has-text("Tools")');
  await page.keyboard.press('Enter');
  await page.focus('text=Add get_weather');
  await page.keyboard.press('Enter');
  await page.focus('#msg');
  await page.keyboard.type('call get_weather {"city": "Paris"}');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.call:has-text("Paris") textarea');
  assert.deepEqual(await axe(page), []);
  await page.focus('.call textarea');
  await page.keyboard.type('{"degrees": 21}');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.turn.assistant .meter').length === 2);
  assert.match(await page.textContent('.turn.tool'), /degrees/);
  await close();
});

test('JSON of a schema comes as JSON', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  await page.click('summary:has-text("Answer format")');
  await page.selectOption('#set-format', 'json_schema');
  await send(page, 'json');
  assert.equal(typeof JSON.parse(await page.textContent('.turn.assistant > .say')), 'object');
  await close();
});

test('a message is edited and sent again, and a reload brings all of it back', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  await send(page, 'echo first');
  await page.click('.turn.user [aria-label=Edit]');
  await page.fill('.turn textarea', 'echo second');
  await page.click('text=Send again');
  await page.waitForFunction(() => document.querySelector('.turn.assistant > .say')?.textContent?.includes('second'));
  await page.waitForSelector('.turn.assistant .meter');
  await page.reload();
  await page.waitForSelector('.turn.assistant');
  assert.equal(await page.locator('.turn').count(), 2);
  assert.match(await page.textContent('.turn.assistant'), /second/);
  await close();
});

test('an image goes with the message', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  await page.setInputFiles('input[type=file]', { name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from('iVBORw0KGgo=', 'base64') });
  await page.waitForSelector('.compose img', { state: 'attached' });
  const asked = page.waitForRequest('**/v1/chat/completions');
  await page.fill('#msg', 'describe');
  await page.press('#msg', 'Enter');
  const { messages } = (await asked).postDataJSON();
  assert.equal(messages[0].content[1].image_url.url, 'data:image/png;base64,iVBORw0KGgo=');
  await page.waitForSelector('.turn.assistant .meter');
  await close();
});

test('what fal would be asked is shown beside it, and costs nothing', async () => {
  await fetch(`${EMULATOR}/_emulator/requests`, { method: 'DELETE' });
  const { page, close } = await open(browser, '/');
  await ready(page);
  await page.fill('#msg', 'Hello there');
  await page.click('role=tab[name=Wire]');
  await page.waitForSelector('.wire pre');
  assert.equal(await page.textContent('.wire pre'), 'Hello there');
  assert.deepEqual(await (await fetch(`${EMULATOR}/_emulator/requests`)).json(), []);
  await close();
});

test('errors say what is wrong, before the answer and inside it', async () => {
  const { page, close } = await open(browser, '/', { allowed: ['status of 400', 'status of 5'] });
  await ready(page);
  await page.fill('#msg', 'hello\n/emulate status:422');
  await page.press('#msg', 'Enter');
  await page.waitForSelector('.strip.bad');
  await page.click('text=New conversation');
  await page.fill('#msg', 'long 60\n/emulate drop:3');
  await page.press('#msg', 'Enter');
  await page.waitForFunction(() => document.querySelector('.strip.bad')?.textContent?.includes('disconnected'));
  await close();
});

test('Enter that ends the composing of a character sends nothing', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  await page.focus('#msg');
  await page.evaluate(() => document.querySelector('#msg').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true })));
  assert.equal(await page.locator('.turn').count(), 0);
  await close();
});

// --- text stays text ---

const PAYLOADS = [
  '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '<svg onload=alert(1)>', '<iframe srcdoc="<script>alert(1)</script>">',
  '[x](javascript:alert(1))', '[x](JaVaScRiPt:alert(1))', '[x](data:text/html,<script>alert(1)</script>)', '[x](vbscript:x)',
  '"><b onmouseover=alert(1)>', '//evil.example/x', '<base href=//evil.example>', '<form action=//evil.example>', '<meta http-equiv=refresh content=0>',
  '<math><mi xlink:href="javascript:alert(1)">', '\u202egnp.exe', '```html\n<script>alert(1)</script>\n```', '`<img src=x onerror=alert(1)>`',
  '![x](https://evil.example/leak.png)', '${alert(1)}', "'; alert(1); '", '</textarea><script>alert(1)</script>', '=cmd|calc', '<style>*{display:none}</style>',
];
const ALLOWED = ['A', 'BLOCKQUOTE', 'CODE', 'DIV', 'H2', 'HR', 'LI', 'OL', 'P', 'PRE', 'SPAN', 'STRONG', 'UL'];

test('nothing that a model says becomes more than text', async () => {
  const { page, close } = await open(browser, '/');
  await ready(page);
  const text = PAYLOADS.join('\n\n');
  const pieces = text.match(/[^]{1,3}/gu);
  const calls = PAYLOADS.map((payload, index) => ({ index, id: `call_${index}`, type: 'function', function: { name: payload, arguments: JSON.stringify({ x: payload }) } }));
  await answering(page, [...pieces.map(content => delta({ content })), ...pieces.map(piece => delta({ reasoning_content: piece })), delta({ tool_calls: calls })]);
  await page.fill('#msg', text);
  await page.press('#msg', 'Enter');
  await page.waitForSelector('.call');
  const said = page.locator('.turn.assistant > .say');
  const shown = await said.evaluate(element => ({ text: element.textContent, names: [...new Set([...element.querySelectorAll('*')].map(({ tagName }) => tagName))] }));
  assert.deepEqual(shown.names.filter(name => !ALLOWED.includes(name)), []);
  const plain = value => value.replace(/```\w*|[`\s]/g, '');
  for (const payload of PAYLOADS.filter(one => !one.startsWith('['))) assert.ok(plain(shown.text).includes(plain(payload)), `${payload} is not complete`);
  const targets = await page.$$eval('main a[href]', links => links.map(link => link.getAttribute('href')));
  assert.deepEqual(targets.filter(target => !/^(https?:\/\/|\/|#)/.test(target) || target.startsWith('//')), []);
  assert.equal(await page.locator('.call code').first().textContent(), PAYLOADS[0]);
  await close();
});

test('nothing in lists and errors becomes more than text', async () => {
  const evil = PAYLOADS.join(' ');
  const { page, close } = await open(browser, '/requests', { before: async page => {
    const row = { number: 1, age_ms: 5, request_id: evil, route: 'chat', model: evil, key: evil, is_running: false, is_stream: true, status: 200, error: evil, error_source: evil,
      duration_us: 5, first_us: 3, tokens_in: 1, tokens_out: 1, calls: 1, billed: evil, emulated: evil, ignored: evil, unknown_fields: 0, fold: evil };
    const said = [{ at_us: 3, bytes: 3, pieces: 1, texts: [{ from: 2, text: evil }, { from: 0, text: `data: {"choices":[{"index":0,"delta":{"content":${JSON.stringify(evil)}}}]}\n\n` }] }];
    const body = { text: evil, bytes: 9, is_cut: true };
    const call = { choice: 0, path: evil, asked: body, begun_us: 1, head_us: 2, ended_us: 3, error: null, fal_request_id: evil, heard: said };
    await page.route('**/console/v1/requests?*', route => route.fulfill({ json: { rows: [row], capture: { level: evil, text_for_s: null, held_bytes: 1, most_bytes: 2, requests: 1 }, may_keep_texts: true } }));
    await page.route('**/console/v1/requests/1', route => route.fulfill({ json: { row, level: 'text', sent: body, calls: [call], got: said } }));
  } });
  await page.locator('a.row').click();
  await page.waitForSelector('.quad');
  const names = await page.$$eval('main *', elements => [...new Set(elements.map(({ tagName }) => tagName))]);
  for (const name of ['SCRIPT', 'IMG', 'IFRAME', 'BASE', 'META', 'STYLE', 'FORM', 'MATH']) assert.ok(!names.includes(name), name);
  assert.equal(await page.textContent('.dhead code'), evil);
  await close();
});

/** Streams a long answer into a page; gives the times in which the page could do nothing else. */
async function long() {
  const { page, close } = await open(browser, '/', { before: page => page.addInitScript(() => {
    window.tasks = [];
    new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ entryTypes: ['longtask'] });
    const real = window.fetch;
    window.wanted = '';
    window.fetch = (url, options) => {
      if (url !== '/v1/chat/completions') return real(url, options);
      const encoder = new TextEncoder();
      let at = 0;
      const word = number => (number % 60 === 59 ? '.\n\n' : number % 9 === 8 ? '    ' : 'word');
      const body = new ReadableStream({ async pull(controller) {
        for (const end = at + 50; at < end; at++) {
          const content = at < 25_000 ? word(at) : at === 25_000 ? '\n\n```\n' : at % 20 === 19 ? 'x\n' : 'code';
          window.wanted += content;
          controller.enqueue(encoder.encode(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`));
        }
        if (at >= 50_000) {
          controller.enqueue(encoder.encode('data: [DONE]\n\n'));
          controller.close();
        }
        await new Promise(done => setTimeout(done, 1));
      } });
      return Promise.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
    };
  }) });
  await ready(page);
  await page.evaluate(() => { window.tasks = []; });
  await page.fill('#msg', 'go');
  await page.press('#msg', 'Enter');
  await page.waitForSelector('.turn.assistant .meter', { timeout: 90_000 });
  const { shown, wanted, tasks } = await page.evaluate(() => ({ shown: document.querySelector('.turn.assistant > .say').textContent, wanted: window.wanted, tasks: window.tasks }));
  assert.ok(wanted.length > 180_000);
  assert.equal(shown.replace(/\s/g, ''), wanted.replace(/```|\s/g, ''));
  await close();
  return tasks.filter(duration => duration > 100);
}

test('an answer of 200,000 letters stays smooth and is complete', async () => {
  const seen = [];
  // A machine that does other things at the same time stops everybody now and then, but not each time.
  for (let tries = 0; tries < 3; tries++) {
    const slow = await long();
    if (slow.length <= 3) return;
    seen.push(slow.map(Math.round));
  }
  assert.fail(`tasks over 100 ms: ${JSON.stringify(seen)}`);
});

test('who scrolls up is left there', async () => {
  const { page, close } = await open(browser, '/', { height: 500 });
  await ready(page);
  await page.fill('#msg', 'long 4000\n/emulate gap:20ms size:40');
  await page.press('#msg', 'Enter');
  await page.waitForFunction(() => document.querySelector('.turns').scrollTop > 200);
  await page.evaluate(() => { document.querySelector('.turns').scrollTop = 50; });
  await page.waitForSelector('.turn.assistant .meter', { state: 'attached', timeout: 30_000 });
  const moved = Math.abs(await page.evaluate(() => document.querySelector('.turns').scrollTop) - 50);
  assert.ok(moved <= 20, `moved by ${moved} px`);
  await close();
});
