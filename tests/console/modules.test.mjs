// The modules that need no page, and what all of them weigh.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { EMPTY, EXAMPLES, parsed, request, snippet } from '../../web/snippet.js';
import { Parser } from '../../web/sse.js';

const WEB = new URL('../../web/', import.meta.url).pathname;

test('all of it takes at most 60 kB', () => {
  const sizes = readdirSync(WEB).map(name => gzipSync(readFileSync(join(WEB, name)), { level: 9 }).length);
  const sum = sizes.reduce((all, size) => all + size, 0);
  assert.ok(sum <= 60_000, `${sum} bytes`);
});

test('events are found however their bytes are cut and their lines end', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const stream = [': a comment', 'data: {"a":1}', '', 'event: x', 'data:two', 'data: lines', '', '', 'data: [DONE]', '', ''].join(end);
    for (let size = 1; size <= stream.length; size++) {
      const parser = new Parser();
      const found = [];
      for (let at = 0; at < stream.length; at += size) found.push(...parser.feed(stream.slice(at, at + size)));
      assert.deepEqual(found, ['{"a":1}', 'two\nlines', '[DONE]'], `${JSON.stringify(end)} ${size}`);
    }
  }
});

const NASTY = 'It\'s "quoted" \\ $(touch /tmp/x) `id` ${HOME} %s\nEND\n\u2028 é 日本 😀 \u0000 </script>';
const SETUP = { ...EMPTY, model: 'openai/gpt-4o-mini', system: NASTY, stop: 'a\nb', temperature: '0.5', maxTokens: '9', n: '2', tools: JSON.stringify([EXAMPLES.weather]), format: 'json_schema', schema: JSON.stringify(EXAMPLES.schema) };
const TURNS = [{ role: 'user', content: NASTY }, { role: 'assistant', content: '', calls: [{ id: 'c', name: 'f', arguments: '{}' }] }, { role: 'tool', callId: 'c', content: NASTY }, { role: 'user', content: 'x', images: ['data:image/png;base64,AA'] }];
const AT = { base: 'http://127.0.0.1:3250/v1', needsKey: true, priority: 'latency' };

test('a request has what is set up, and nothing that is not', () => {
  const body = request(SETUP, TURNS);
  assert.deepEqual([body.temperature, body.max_completion_tokens, body.stop, body.n], [0.5, 9, ['a', 'b'], 2]);
  assert.deepEqual(body.messages.map(({ role }) => role), ['system', 'user', 'assistant', 'tool', 'user']);
  assert.equal(body.response_format.json_schema.name, 'person');
  const plain = request({ ...EMPTY, model: 'm', stream: false }, [{ role: 'user', content: 'hi' }]);
  assert.deepEqual(plain, { model: 'm', messages: [{ role: 'user', content: 'hi' }] });
  assert.match(parsed('[').error, /Not JSON/);
});

test('the code for the shell sends exactly the request', () => {
  const folder = mkdtempSync(join(tmpdir(), 'snippet-'));
  writeFileSync(join(folder, 'curl'), '#!/bin/sh\ncat\n');
  chmodSync(join(folder, 'curl'), 0o755);
  const body = request(SETUP, TURNS);
  const sent = execFileSync('sh', ['-c', snippet('curl', body, AT)], { env: { PATH: `${folder}:/usr/bin:/bin`, OPENAI_API_KEY: 'x' }, cwd: folder });
  assert.deepEqual(JSON.parse(sent.toString()), body);
});

test('the code for Python says exactly the request', () => {
  const body = request(SETUP, TURNS);
  const code = snippet('python', body, AT);
  const stub = 'import sys, types, json\nclass C:\n    def __init__(self, **k): self.chat = self; self.completions = self\n    def create(self, **k): k.pop("extra_headers", None); print(json.dumps(k)); sys.exit()\nm = types.ModuleType("openai"); m.OpenAI = C; sys.modules["openai"] = m\n';
  const said = execFileSync('python3', ['-c', `${stub}${code}`], { env: { ...process.env, OPENAI_API_KEY: 'x', PYTHONIOENCODING: 'utf8' } });
  assert.deepEqual(JSON.parse(said.toString()), body);
});

test('the code for JavaScript says exactly the request', () => {
  const body = request(SETUP, TURNS);
  const folder = mkdtempSync(join(tmpdir(), 'snippet-'));
  const stub = 'class OpenAI { chat = this; completions = this; create(body) { console.log(JSON.stringify(body)); process.exit(); } }\n';
  writeFileSync(join(folder, 'code.mjs'), stub + snippet('javascript', body, AT).replace(/^import .*$/m, ''));
  const said = execFileSync(process.execPath, [join(folder, 'code.mjs')], { env: { OPENAI_API_KEY: 'x' } });
  assert.deepEqual(JSON.parse(said.toString()), body);
});
