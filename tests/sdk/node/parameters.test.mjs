// Every row of the gateway's table of request fields, with openai-node. The cases are those of the Python suite, which
// also explains them: ../python/test_parameters.py. What it tells is true of any-llm.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe } from 'node:test';

import OpenAI from 'openai';

import { ask, bothWays, user } from './support/client.mjs';
import { calls, newMarker, testAnyLlm as test } from './support/emulator.mjs';
import { model } from './support/environment.mjs';

const cases = JSON.parse(readFileSync(new URL('../parameters.json', import.meta.url), 'utf8'));

const send = (fields, prompt, stream, options) => {
  const filledIn = JSON.parse(JSON.stringify(fields).replaceAll('"$prompt"', JSON.stringify(prompt)));
  return ask(filledIn.messages ?? [user(prompt)], { ...filledIn, stream }, options);
};

const asked = ({ asks = 'echo' }, marker) => `${asks} ${marker}`;

const named = (headers, name) => (headers.get(name) ?? '').split(', ').filter(Boolean);

/** fal was sent the message, what the case says of it, and nothing else. */
async function assertOnlyReached(marker, { asks, tells, sent = {}, path, calls: count = 1 }, stream) {
  const reached = await calls(marker);
  assert.equal(reached.length, count);
  for (const call of reached) {
    const { system_prompt: instructions, ...rest } = call.body;
    for (const words of tells ?? []) assert.ok(instructions.includes(words), words);
    assert.deepEqual(tells ? rest : call.body, { model, prompt: asked({ asks }, marker), ...sent });
    assert.equal(call.path, `/fal-ai/any-llm${path ?? (stream ? '/stream' : '')}`);
  }
}

for (const [way, stream] of bothWays) {
  const rows = cases.filter(({ only }) => !only || only === way);

  describe(`fields that are taken, ${way}`, () => {
    for (const row of rows.filter(({ fate }) => fate !== 'refused')) {
      test(row.field, async () => {
        const marker = newMarker();
        const { choices, headers } = await send(row.request, asked(row, marker), stream);
        assert.equal(choices[0].text ?? '', (row.text ?? '$marker').replace('$marker', marker));
        const noted = row.headers ?? (row.header === false ? [] : [row.field]);
        assert.deepEqual(named(headers, 'x-gateway-emulated').sort(), row.fate === 'emulated' ? noted.toSorted() : []);
        assert.deepEqual(named(headers, 'x-gateway-ignored'), row.fate === 'ignored' ? noted : []);
        await assertOnlyReached(marker, row, stream);
      });
    }
  });

  describe(`fields that are refused, ${way}`, () => {
    for (const row of rows.filter(({ fate }) => fate === 'refused')) {
      test(row.field, async () => {
        const marker = newMarker();
        await assert.rejects(send(row.request, `echo ${marker}`, stream), (error) => {
          assert.ok(error instanceof OpenAI.BadRequestError, String(error));
          assert.equal(error.code, row.code ?? 'unsupported_parameter');
          assert.equal(error.param, row.field);
          return true;
        });
        assert.deepEqual(await calls(marker), []);
      });
    }
  });

  describe(`values that say nothing, ${way}`, () => {
    for (const row of rows.filter((row) => 'neutral' in row)) {
      test(row.field, async () => {
        const marker = newMarker();
        const { choices, headers } = await send({ [row.field]: row.neutral }, `echo ${marker}`, stream);
        assert.equal(choices[0].text, marker);
        assert.equal(headers.get('x-gateway-emulated'), null);
        assert.equal(headers.get('x-gateway-ignored'), null);
        await assertOnlyReached(marker, {}, stream);
      });
    }

    test('null in every field', async () => {
      const marker = newMarker();
      const kept = new Set(['messages', 'model', 'stream']);
      const fields = cases.map(({ field }) => field).filter((field) => !kept.has(field));
      const nulls = Object.fromEntries(fields.map((field) => [field, null]));
      const { choices, headers } = await send(nulls, `echo ${marker}`, stream);
      assert.equal(choices[0].text, marker);
      assert.equal(headers.get('x-gateway-ignored'), null);
      await assertOnlyReached(marker, {}, stream);
    });
  });

  describe(`strict mode, ${way}`, () => {
    const strict = { headers: { 'x-gateway-strict': 'true' } };
    for (const row of rows.filter(({ fate, header }) => fate === 'ignored' && header !== false)) {
      test(`refuses ${row.field}`, async () => {
        const marker = newMarker();
        await assert.rejects(send(row.request, marker, stream, strict), (error) => {
          assert.ok(error instanceof OpenAI.BadRequestError, String(error));
          assert.equal(error.param, row.field);
          return true;
        });
        assert.deepEqual(await calls(marker), []);
      });
    }

    test('leaves fields alone that are kept', async () => {
      const parameters = { stop: ['<END>'], reasoning_effort: 'low', temperature: 0, top_p: 1 };
      assert.equal((await send(parameters, 'echo kept', stream, strict)).choices[0].text, 'kept');
    });

    test('refuses unknown fields', async () => {
      await assert.rejects(send({ mirostat: 2 }, 'echo x', stream, strict), (error) => error.param === 'mirostat');
    });
  });

  test(`unknown fields are noted under their own names, ${way}`, async () => {
    const marker = newMarker();
    const fields = { mirostat: 2, cache_control: { type: 'ephemeral' }, 'x-odd': [1] };
    const { headers } = await send(fields, `echo ${marker}`, stream);
    assert.deepEqual(named(headers, 'x-gateway-ignored'), Object.keys(fields));
    await assertOnlyReached(marker, {}, stream);
  });

  for (const priority of ['latency', 'throughput']) {
    test(`the header x-fal-priority: ${priority} reaches fal, ${way}`, async () => {
      const marker = newMarker();
      await send({}, `echo ${marker}`, stream, { headers: { 'x-fal-priority': priority } });
      await assertOnlyReached(marker, { sent: { priority } }, stream);
    });
  }
}
