// Every page, at both widths and in both themes.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { GATEWAY, SHOTS, axe, chat, data, geometry, launch, open, send, user } from './browser.mjs';

const PAGES = [['playground', '/'], ['requests', '/requests'], ['overview', '/overview'], ['reference', '/reference'], ['settings', '/settings']];

let browser;
before(async () => {
  browser = await launch();
  for (const text of ['echo one', 'reason', '/emulate error:refused', 'long 40']) await chat({ ...user(text), stream: true });
  await chat({ ...user('hello'), n: 99 });
});
after(() => browser.close());

for (const [name, path] of PAGES) {
  for (const theme of ['light', 'dark']) {
    for (const [width, height] of [[1280, 800], [390, 844]]) {
      test(`${name} at ${width} px, ${theme}`, async () => {
        const { page, close } = await open(browser, path, { width, height, theme });
        if (name === 'playground') {
          await page.waitForSelector('#set-system', { state: 'attached' });
          await send(page, 'markdown');
        }
        if (name === 'requests') await page.locator('a.row').first().click();
        await page.waitForSelector({ playground: '.meter', requests: '.quad', overview: '.tiles', reference: '.fields', settings: '.set' }[name]);
        await page.screenshot({ path: `${SHOTS}/${name}-${width}-${theme}.png` });
        assert.deepEqual(await axe(page), []);
        assert.deepEqual(await geometry(page), { overflow: 0, twice: [] });
        await page.setViewportSize({ width: 320, height: 700 });
        assert.equal((await geometry(page)).overflow, 0, 'at 320 px');
        await close();
      });
    }
  }
}

test('each page has its address, and going back leads back', async () => {
  const { page, close } = await open(browser, '/');
  for (const [name, path] of PAGES.slice(1)) {
    await page.click(`.tabs a[href="${path}"]`);
    await page.waitForSelector(`.tabs a[href="${path}"][aria-current=page]`);
    assert.match(await page.title(), new RegExp(name, 'i'));
  }
  await page.goBack();
  await page.waitForSelector('.tabs a[href="/reference"][aria-current=page]');
  await close();
});

test('the theme that was chosen stays', async () => {
  const { page, close } = await open(browser, '/settings');
  await page.click('role=button[name="Switch between light and dark"]');
  await page.reload();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await close();
});

test('the settings are those that check shows', async () => {
  const { page, close } = await open(browser, '/settings');
  await page.waitForSelector('.set');
  const { settings } = await data('settings');
  const shown = await page.$$eval('.set li', rows => rows.map(row => [...row.children].map(cell => cell.textContent)));
  assert.deepEqual(shown, settings.map(({ key, shown: value, origin }) => [key, value, origin]));
  assert.ok(!JSON.stringify(settings).includes('planted-fal-key'), 'a key');
  await page.check('text=Only changed');
  assert.ok((await page.locator('.set li').count()) < settings.length);
  await close();
});

test('the reference has every operation, and every field and code of it', async () => {
  const { page, close } = await open(browser, '/reference');
  const description = await (await fetch(`${GATEWAY}/openapi.json`)).json();
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const about of Object.values(methods)) {
      await page.evaluate(id => { location.hash = id; }, about.operationId);
      await page.waitForFunction(wanted => document.querySelector('.doc code')?.textContent?.endsWith(wanted), ` ${path}`);
      const text = await page.textContent('.doc');
      const reference = about.requestBody?.content['application/json'].schema.$ref;
      const schema = reference ? description.components.schemas[reference.split('/').at(-1)] : {};
      for (const field of Object.keys(schema.properties ?? {})) assert.ok(text.includes(field), `${path}: ${field}`);
      for (const status of Object.keys(about.responses)) assert.ok(text.includes(status), `${path}: ${status}`);
    }
  }
  await close();
});

test('the numbers of the overview are those of the metrics', async () => {
  await fetch(`${GATEWAY}/v1/conversations`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
  await fetch(`${GATEWAY}/v1/chat/completions/chatcmpl-nobody`);
  const { overview } = await data('overview?minutes=1440');
  const metrics = await (await fetch(`${GATEWAY}/metrics`)).text();
  const counted = [...metrics.matchAll(/^fal_gateway_requests_total\{.*route="(chat|completions|messages|responses|background)".*\} (\d+)$/gm)].reduce((sum, [, , n]) => sum + Number(n), 0);
  assert.equal(overview.sums.requests, counted);
  const { page, close } = await open(browser, '/overview?minutes=1440');
  await page.waitForSelector('.tiles');
  assert.equal((await page.textContent('.tile dd')).replaceAll(',', ''), String(counted));
  await close();
});

test('the overview tells what it cost', async () => {
  await chat(user('hello'));
  const { overview } = await data('overview?minutes=1440');
  assert.ok(overview.sums.units > 0, 'a call of any-llm costs a unit');
  const { page, close } = await open(browser, '/overview?minutes=1440');
  await page.waitForSelector('.tiles');
  const tiles = await page.$$eval('.tile', all => Object.fromEntries(all.map(tile => [tile.querySelector('dt').textContent, tile.querySelector('dd').textContent])));
  assert.match(tiles.Cost, new RegExp(`^${overview.sums.units.toLocaleString('en')} units?`));
  await close();
});

test('the keys of a page are listed, and lead from page to page', async () => {
  const { page, close } = await open(browser, '/requests');
  await page.keyboard.press('?');
  await page.waitForSelector('dialog.keys[open]');
  assert.match(await page.textContent('dialog.keys'), /Send again/);
  assert.deepEqual(await axe(page), []);
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog.keys', { state: 'detached' });
  await page.keyboard.press('g');
  await page.keyboard.press('o');
  await page.waitForURL('**/overview');
  await close();
});
