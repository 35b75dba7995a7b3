// Other pages: under another name, on another port, around the console.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { GATEWAY, data, launch } from './browser.mjs';

const ROUTES = ['/', '/requests', '/assets/kit.js', '/metrics', '/openapi.json', '/v1/models', '/console/v1/state', '/console/v1/requests?after=0', '/console/v1/settings'];

let browser;
let other;
before(async () => {
  browser = await launch();
  other = createServer((_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('<title>other</title>'));
  await new Promise(done => other.listen(0, '127.0.0.1', done));
});
after(async () => {
  await browser.close();
  other.close();
});

const otherPage = async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  return page;
};

test('a page that makes its own name lead here is shown nothing', async () => {
  const page = await (await browser.newContext()).newPage();
  for (const route of ROUTES) {
    const answer = await page.goto(`http://rebind.test:${new URL(GATEWAY).port}${route}`);
    assert.equal(answer.status(), 403, route);
    assert.ok(!(await answer.text()).includes('gpt'), route);
  }
  await page.context().close();
});

test('a page on another port reads nothing and changes nothing', async () => {
  const page = await otherPage();
  const before = await data('requests');
  for (const route of [...ROUTES, '/console/v1/capture/text', '/console/v1/session']) {
    for (const options of [{}, { mode: 'no-cors' }, { method: 'POST', mode: 'no-cors', body: 'x' }, { headers: { 'x-console': '1' } }, { method: 'POST', headers: { 'x-console': '1' } }]) {
      const read = await page.evaluate(async ([url, given]) => fetch(url, given).then(answer => answer.text(), () => ''), [`${GATEWAY}${route}`, options]);
      assert.equal(read, '', `${route} ${JSON.stringify(options)}`);
    }
  }
  await page.evaluate(url => {
    const form = Object.assign(document.createElement('form'), { method: 'post', action: url, target: 'other' });
    document.body.append(form);
    form.submit();
  }, `${GATEWAY}/console/v1/capture/text`);
  const after = await data('requests');
  assert.equal(after.capture.level, before.capture.level);
  assert.equal(after.capture.text_for_s, null);
  await page.context().close();
});

test('no page shows the console in a frame', async () => {
  const page = await otherPage();
  await page.evaluate(url => {
    const frame = document.createElement('iframe');
    frame.src = url;
    document.body.append(frame);
    return new Promise(done => { frame.onload = done; });
  }, `${GATEWAY}/`);
  const frame = page.frames()[1];
  assert.equal(await frame.locator('.brand').count().catch(() => 0), 0);
  await page.context().close();
});
