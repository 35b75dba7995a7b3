// What the gateway makes of an answer itself: stop sequences, several choices, the cut, reasoning. With openai-node.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import OpenAI from 'openai';

import { ask, bothWays, client, read, system, user } from './support/client.mjs';
import { calls, newMarker, outcome, testAnyLlm, told } from './support/emulator.mjs';
import { model, sees } from './support/environment.mjs';

for (const [way, stream] of bothWays) {
  describe(`stop sequences, ${way}`, () => {
    for (const [text, stop, expected] of [
      ['one two STOP three', 'STOP', 'one two '],
      ['one two three four', ['four', 'three', 'zero', 'two'], 'one '],
      ['crab 🦀 and 漢字', ['字', '漢字'], 'crab 🦀 and '],
      ['family 👩‍👩‍👧 picture', '👩‍👩‍👧', 'family '],
      ['stop at once', 'stop', ''],
      ['<EN<END> more', '<END>', '<EN'],
      ['ends like a stop <EN', '<END>', 'ends like a stop <EN'],
    ]) {
      for (const pieces of ['size:1', 'size:3', 'size:2 split:1']) {
        test(`${JSON.stringify(stop)} in ${JSON.stringify(text)}, ${pieces}`, async () => {
          const { choices } = await ask([user(`echo ${text}\n/emulate ${pieces}`)], { stop, stream });
          assert.equal(choices[0].text, expected);
          assert.equal(choices[0].finishReason, 'stop');
        });
      }
    }

    testAnyLlm('the rest is not waited for', async () => {
      const marker = newMarker();
      const messages = [system(marker), user('count 2000 /emulate gap:10ms size:5')];
      const { choices } = await ask(messages, { stop: [' 20 '], stream });
      assert.ok(choices[0].text.endsWith(' 19'));
      assert.equal(await outcome(marker), 'hung_up');
    });
  });

  describe(`several choices, ${way}`, () => {
    for (const n of [2, 3, 4]) {
      test(`${n} are numbered, paid for once each, and have one usage`, async () => {
        const marker = newMarker();
        const parameters = { stream, ...(stream && { stream_options: { include_usage: true } }) };
        const one = await ask([user(`echo ${marker}`)], parameters);
        const all = await ask([user(`echo ${marker}`)], { n, ...parameters });
        assert.deepEqual(all.choices.map(({ index }) => index), [...Array(n).keys()]);
        for (const choice of all.choices) {
          assert.equal(choice.text, marker);
          assert.equal(choice.finishReason, 'stop');
        }
        assert.equal(all.usage.prompt_tokens, one.usage.prompt_tokens);
        assert.equal(all.usage.completion_tokens, n * one.usage.completion_tokens);
        assert.equal((await calls(marker)).length, n + 1);
      });
    }

    test('five are too many', async () => {
      const marker = newMarker();
      await assert.rejects(ask([user(marker)], { n: 5, stream }), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError, String(error));
        assert.equal(error.param, 'n');
        return true;
      });
      assert.deepEqual(await calls(marker), []);
    });

    test('those that come are delivered when others are refused', async () => {
      const messages = [user('echo kept /emulate latency:1s concurrency:1')];
      const asking = ask(messages, { n: 3, stream }, { maxRetries: 0 });
      if (stream) {
        const isTold = (error) => error instanceof OpenAI.APIError && error.code === 'rate_limit_exceeded';
        await assert.rejects(asking, isTold);
      } else {
        const { choices } = await asking;
        assert.deepEqual(choices.filter(Boolean).map((choice) => choice.text), ['kept']);
      }
    });
  });

  describe(`max_tokens, ${way}`, () => {
    for (const name of ['max_tokens', 'max_completion_tokens']) {
      test(`${name} cuts, and the answer says so`, async () => {
        const { choices } = await ask([user('count 500')], { [name]: 20, stream });
        assert.equal(choices[0].finishReason, 'length');
        assert.ok(!choices[0].text.includes('500'));
      });
    }

    test('an answer that fits is not called cut', async () => {
      const { choices } = await ask([user('echo short')], { max_tokens: 200, stream });
      assert.equal(choices[0].finishReason, 'stop');
    });
  });

  describe(`reasoning, ${way}`, () => {
    for (const [fields, isTold, isShown] of [
      [{ reasoning_effort: 'low' }, true, true],
      [{ reasoning_effort: 'xhigh' }, true, true],
      [{ reasoning: { effort: 'medium' } }, true, true],
      [{ reasoning: { enabled: true } }, true, true],
      [{ reasoning: { max_tokens: 2000 } }, true, true],
      [{ include_reasoning: true }, true, true],
      [{ reasoning: { effort: 'high', exclude: true } }, true, false],
      [{ reasoning_effort: 'high', include_reasoning: false }, true, false],
      [{ reasoning_effort: 'none' }, false, false],
      [{ reasoning: { enabled: false } }, false, false],
      [{ reasoning: {} }, undefined, false],
      [{}, undefined, false],
    ]) {
      test(`${JSON.stringify(fields)} ${isShown ? 'shows it under both names' : 'shows none'}`, async () => {
        const marker = newMarker();
        const { choices } = await ask([system(marker), user('reason')], { model: sees, ...fields, stream });
        const [call] = await calls(marker);
        assert.equal(told(call).reasoning, isTold);
        assert.equal(choices[0].reasoning.length > 0, isShown);
        assert.equal(choices[0].reasoningContent, choices[0].reasoning);
        assert.ok(choices[0].text.trim());
      });
    }
  });
}

test('choices stream side by side', async () => {
  const messages = [user('count 30 /emulate gap:20ms size:5')];
  const chunks = await read(await client.chat.completions.create({ model, messages, n: 3, stream: true }));
  const talking = chunks.flatMap((chunk) => chunk.choices).filter(({ delta }) => delta.content).map(({ index }) => index);
  const first = [0, 1, 2].map((index) => talking.indexOf(index));
  const last = [0, 1, 2].map((index) => talking.lastIndexOf(index));
  assert.ok(Math.max(...first) < Math.min(...last), `${talking}`);
});

test('the reasoning comes before the answer', async () => {
  const { chunks } = await ask([user('reason /emulate size:3')], { model: sees, reasoning_effort: 'high', stream: true });
  const deltas = chunks.flatMap((chunk) => chunk.choices).map(({ delta }) => delta);
  const lastThought = deltas.findLastIndex(({ reasoning }) => reasoning);
  const firstWord = deltas.findIndex(({ content }) => content);
  assert.ok(lastThought >= 0 && lastThought < firstWord, `${lastThought} and ${firstWord}`);
});
