// Vercel's AI SDK through both providers that people point at such a gateway. They parse streams each in their own way.

import './support/judge.mjs';

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, streamText } from 'ai';

import { calls, newMarker, onlyCall, outcome, told } from './support/emulator.mjs';
import { gatewayKey, gatewayUrl, keyedGatewayUrl, model, sees } from './support/environment.mjs';

const compatible = (settings) => createOpenAICompatible({ name: 'fal', baseURL: gatewayUrl, apiKey: 'demo', ...settings });
const openai = (settings) => createOpenAI({ baseURL: gatewayUrl, apiKey: 'demo', ...settings });

const providers = {
  'openai-compatible': (name = model, settings) => compatible({ includeUsage: true, ...settings })(name),
  'openai.chat': (name = model, settings) => openai(settings).chat(name),
};

const pngBytes = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
  'base64',
);

/** Every part of a stream. The SDK reports errors as parts; without `onError` it prints them, too. */
async function partsOf(options) {
  const parts = [];
  for await (const part of streamText({ onError() {}, ...options }).stream) parts.push(part);
  return parts;
}

const textOf = (parts) => parts.filter((part) => part.type === 'text-delta').map((part) => part.text).join('');

for (const [name, languageModel] of Object.entries(providers)) {
  describe(name, () => {
    test('a whole answer with usage', async () => {
      const answer = await generateText({ model: languageModel(), prompt: 'echo from the AI SDK' });
      assert.equal(answer.text, 'from the AI SDK');
      assert.equal(answer.finishReason, 'stop');
      assert.ok(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 0);
    });

    test('a stream with usage', async () => {
      const parts = await partsOf({ model: languageModel(), prompt: 'count 30 /emulate gap:5ms' });
      const whole = await generateText({ model: languageModel(), prompt: 'count 30' });
      assert.ok(parts.filter((part) => part.type === 'text-delta').length > 1);
      assert.equal(textOf(parts), whole.text);
      const finish = parts.find((part) => part.type === 'finish');
      assert.equal(finish.finishReason, 'stop');
      assert.ok(finish.totalUsage.outputTokens > 0);
    });

    test('instructions and turns reach fal', async () => {
      const marker = newMarker();
      const answer = await generateText({
        model: languageModel(),
        instructions: `Be brief. ${marker}`,
        maxOutputTokens: 55,
        messages: [
          { role: 'user', content: 'first' },
          { role: 'assistant', content: 'second' },
          { role: 'user', content: 'echo third' },
        ],
      });
      assert.equal(answer.text, 'third');
      const sent = told(await onlyCall(marker));
      assert.ok(sent.system_prompt.startsWith(`Be brief. ${marker}`));
      assert.equal(sent.max_tokens, 55);
    });

    test('an answer is one call with its usage', async () => {
      const marker = newMarker();
      const answer = await generateText({ model: languageModel(), instructions: marker, prompt: 'echo counted once' });
      assert.equal(answer.text, 'counted once');
      assert.equal(answer.usage.totalTokens, answer.usage.inputTokens + answer.usage.outputTokens);
      const { system_prompt: instructions, prompt } = told(await onlyCall(marker));
      assert.deepEqual([instructions, prompt], [marker, 'echo counted once']);
    });

    test('a stream is one call with its usage', async () => {
      const marker = newMarker();
      const parts = await partsOf({ model: languageModel(), instructions: marker, prompt: 'echo counted once' });
      assert.equal(textOf(parts), 'counted once');
      assert.ok(parts.find((part) => part.type === 'finish').totalUsage.outputTokens > 0);
      assert.ok(told(await onlyCall(marker)).streams);
    });

    const images = [['bytes', pngBytes, `data:image/png;base64,${pngBytes.toString('base64')}`]];
    // For the other provider the SDK fetches an address itself, and sends the bytes.
    if (name === 'openai.chat') {
      images.push(['an address', new URL('https://example.com/cat.png'), 'https://example.com/cat.png']);
    }
    for (const [what, image, address] of images) {
      for (const way of ['whole', 'stream']) {
        test(`an image part with ${what}, ${way}`, async () => {
          const marker = newMarker();
          const content = [{ type: 'text', text: `echo ${marker}` }, { type: 'image', image }];
          const options = { model: languageModel(sees), messages: [{ role: 'user', content }] };
          const text = way === 'stream' ? textOf(await partsOf(options)) : (await generateText(options)).text;
          assert.ok(text.startsWith(marker), text);
          const { image_urls: shown, streams } = told(await onlyCall(marker));
          assert.equal(streams, way === 'stream');
          assert.deepEqual(shown, [address]);
        });
      }
    }

    test('stop sequences and settings', async () => {
      const marker = newMarker();
      const settings = { stopSequences: ['|'], temperature: 0.5, maxOutputTokens: 60 };
      const answer = await generateText({ model: languageModel(), prompt: `echo ${marker}|dropped`, ...settings });
      assert.equal(answer.text, marker);
      const { body } = await onlyCall(marker);
      assert.equal(body.temperature, 0.5);
      assert.equal(body.max_tokens, 60);
    });

    for (const fault of ['drop:2', 'error:2']) {
      test(`a stream that fal breaks with ${fault} has an error part and no finish`, async () => {
        const parts = await partsOf({ model: languageModel(), prompt: `echo abcdefghijklmnop /emulate ${fault} size:5` });
        assert.ok(parts.some((part) => part.type === 'error'));
        assert.notEqual(parts.find((part) => part.type === 'finish')?.finishReason, 'stop');
        assert.ok('abcdefghijklmnop'.startsWith(textOf(parts)));
      });
    }

    test('aborting hangs up on fal', async () => {
      const marker = newMarker();
      const leaving = new AbortController();
      const { stream } = streamText({
        model: languageModel(),
        instructions: marker,
        prompt: 'count 2000 /emulate gap:50ms size:5',
        abortSignal: leaving.signal,
        onError() {},
      });
      let aborted = false;
      for await (const part of stream) {
        if (part.type === 'text-delta') leaving.abort();
        if (part.type === 'abort') aborted = true;
      }
      assert.ok(aborted);
      assert.equal(await outcome(marker), 'hung_up');
    });

    for (const [what, name, prompt, status, retryable] of [
      ['an unknown model', 'gpt-4oo', 'hello', 404, false],
      ['a rate limit', model, 'echo x /emulate error:rate_limit', 429, true],
      ['an empty balance', model, 'echo x /emulate error:no_balance', 429, true],
      ['a crash of fal', model, 'echo x /emulate error:crash_500', 502, true],
    ]) {
      test(`${what} is an APICallError with status ${status}`, async () => {
        const asking = generateText({ model: languageModel(name), prompt, maxRetries: 0 });
        await assert.rejects(asking, (error) => {
          assert.ok(APICallError.isInstance(error), String(error));
          assert.equal(error.statusCode, status);
          assert.equal(error.isRetryable, retryable);
          assert.match(error.responseHeaders['x-request-id'], /^req_/);
          return true;
        });
      });
    }

    test('a request that is refused never reaches fal', async () => {
      const marker = newMarker();
      await assert.rejects(generateText({ model: languageModel(), prompt: marker, temperature: 7 }), APICallError);
      assert.equal((await calls(marker)).length, 0);
    });

    test('a wrong key is status 401, the right one is let in', async () => {
      const keyed = (apiKey) => languageModel(model, { baseURL: keyedGatewayUrl, apiKey });
      const stranger = generateText({ model: keyed('sk-wrong-0123456789abcdef'), prompt: 'hello' });
      await assert.rejects(stranger, (error) => error.statusCode === 401);
      assert.equal((await generateText({ model: keyed(gatewayKey), prompt: 'echo welcome' })).text, 'welcome');
    });
  });
}

test('reasoning is one call, and comes before the text', async () => {
  const marker = newMarker();
  const parts = await partsOf({
    model: compatible()(sees),
    instructions: marker,
    prompt: 'reason',
    providerOptions: { fal: { reasoningEffort: 'high' } },
  });
  const lastThought = parts.findLastIndex(({ type }) => type === 'reasoning-delta');
  const firstWord = parts.findIndex(({ type }) => type === 'text-delta');
  assert.ok(lastThought >= 0 && lastThought < firstWord, `${lastThought} and ${firstWord}`);
  assert.equal(told(await onlyCall(marker)).reasoning, true);
});

test('reasoning is shown by the provider that reads it', async () => {
  const options = { model: compatible()(sees), prompt: 'reason', providerOptions: { fal: { reasoningEffort: 'high' } } };
  const whole = await generateText(options);
  assert.ok(whole.reasoningText.trim());
  const parts = await partsOf(options);
  const thoughts = parts.filter((part) => part.type === 'reasoning-delta').map((part) => part.text).join('');
  assert.equal(thoughts, whole.reasoningText);
});
