// openai-node, unmodified.

import './support/judge.mjs';

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import OpenAI from 'openai';

import { calls, newMarker, onlyCall, outcome, told } from './support/emulator.mjs';
import { gatewayKey, gatewayUrl, isAnyLlm, keyedGatewayUrl, model, sees } from './support/environment.mjs';

const client = new OpenAI({ baseURL: gatewayUrl, apiKey: 'demo' });

const user = (content) => ({ role: 'user', content });
const system = (content) => ({ role: 'system', content });
const ask = (messages, parameters, options) =>
  client.chat.completions.create({ model, messages, ...parameters }, options);

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

describe('whole answers', () => {
  test('the answer is the text of the model', async () => {
    const completion = await ask([user('echo Hello from Node 🦀\nsecond line')]);
    assert.equal(completion.choices[0].message.content, 'Hello from Node 🦀\nsecond line');
    assert.equal(completion.choices[0].finish_reason, 'stop');
    assert.equal(completion.model, model);
    assert.match(completion._request_id, /^req_/);
  });

  test('usage adds up', async () => {
    const { usage } = await ask([user('echo one two three')]);
    assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  });

  test('a conversation reaches fal with its instructions', async () => {
    const marker = newMarker();
    const messages = [system(marker), user('first'), { role: 'assistant', content: 'second' }, user('echo third')];
    const completion = await ask(messages);
    assert.equal(completion.choices[0].message.content, 'third');
    const sent = told(await onlyCall(marker));
    assert.ok(sent.system_prompt.startsWith(marker));
    const places = ['first', 'second', 'echo third'].map((text) => sent.prompt.indexOf(text));
    assert.ok(places[0] >= 0 && places[0] < places[1] && places[1] < places[2], `in order: ${places}`);
  });

  test('a bare name stands for the model of the catalogue', async () => {
    assert.equal((await ask([user('echo alias')], { model: 'gpt-4o' })).model, 'openai/gpt-4o');
  });

  test('reasoning is beside the answer', async () => {
    const { choices } = await ask([user('reason')], { model: sees, reasoning_effort: 'high' });
    assert.ok(choices[0].message.reasoning_content.trim());
    assert.ok(!choices[0].message.content.includes(choices[0].message.reasoning_content));
  });

  test('withResponse shows the headers', async () => {
    const { data, response, request_id } = await ask([user('echo headers')]).withResponse();
    assert.equal(data.choices[0].message.content, 'headers');
    assert.equal(response.headers.get('x-request-id'), request_id);
  });
});

describe('streams', () => {
  test('the deltas add up to the whole answer', async () => {
    const chunks = await read(await ask([user('count 40 /emulate gap:5ms')], { stream: true }));
    const whole = await ask([user('count 40')]);
    assert.ok(chunks.length > 5);
    assert.equal(textOf(chunks), whole.choices[0].message.content);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
  });

  test('usage comes last when asked for', async () => {
    const stream = await ask([user('echo measured')], { stream: true, stream_options: { include_usage: true } });
    const last = (await read(stream)).at(-1);
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.total_tokens > 0);
  });

  test('the stream helper rebuilds the completion', async () => {
    const stream = client.chat.completions.stream({ model, messages: [user('echo rebuilt')] });
    let text = '';
    stream.on('content', (delta) => (text += delta));
    const completion = await stream.finalChatCompletion();
    assert.equal(completion.choices[0].message.content, 'rebuilt');
    assert.equal(text, 'rebuilt');
  });

  test('a broken stream throws after the text that came', async () => {
    const chunks = [];
    const reading = async () => {
      const stream = await ask([user('echo abcdefghijklmnop /emulate drop:2 size:5')], { stream: true });
      for await (const chunk of stream) chunks.push(chunk);
    };
    await assert.rejects(reading, (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.equal(error.code, 'upstream_disconnected');
      return true;
    });
    assert.ok(textOf(chunks).length > 0);
    assert.ok('abcdefghijklmnop'.startsWith(textOf(chunks)));
  });

  for (const [state, prompt] of [
    ['talking', 'count 2000 /emulate gap:50ms size:5'],
    ['silent', 'echo abcdefghijklmnop /emulate stall:2 size:5'],
  ]) {
    test(`aborting hangs up on fal while it is ${state}`, async () => {
      const marker = newMarker();
      const stream = await ask([system(marker), user(prompt)], { stream: true });
      for await (const chunk of stream) if (textOf([chunk])) stream.controller.abort();
      assert.equal(await outcome(marker), 'hung_up');
    });
  }

  test('a stream read to its end is recorded as answered', async () => {
    const marker = newMarker();
    await read(await ask([system(marker), user('echo complete')], { stream: true }));
    assert.equal(await outcome(marker), 'answered');
  });
});

describe('errors', () => {
  for (const [name, parameters, kind, code] of [
    ['an empty conversation', { messages: [] }, OpenAI.BadRequestError, 'invalid_value'],
    ['a temperature of 7', { temperature: 7 }, OpenAI.BadRequestError, 'invalid_value'],
    ['an unknown role', { messages: [{ role: 'narrator', content: '' }] }, OpenAI.BadRequestError, 'invalid_value'],
    ['an unknown model', { model: 'gpt-4oo' }, OpenAI.NotFoundError, 'model_not_found'],
  ]) {
    test(`${name} is ${kind.name}`, async () => {
      await assert.rejects(ask([user('hello')], parameters), (error) => {
        assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
        assert.equal(error.code, code);
        assert.match(error.requestID, /^req_/);
        return true;
      });
    });
  }

  for (const [fault, kind, code] of [
    ['error:rate_limit', OpenAI.RateLimitError, 'rate_limit_exceeded'],
    ['error:crash_500', OpenAI.InternalServerError, 'upstream_error'],
    ['html', OpenAI.InternalServerError, 'upstream_error'],
    ...(isAnyLlm ? [['null_output', OpenAI.BadRequestError, 'upstream_invalid_response']] : []),
  ]) {
    test(`${fault} of fal is ${kind.name}`, async () => {
      const asking = ask([user(`echo never /emulate ${fault}`)], {}, { maxRetries: 0 });
      await assert.rejects(asking, (error) => error instanceof kind && error.code === code);
    });
  }

  test('an empty balance is RateLimitError and is not asked for again', async () => {
    const marker = newMarker();
    const asking = ask([system(marker), user('echo once /emulate error:no_balance')]);
    await assert.rejects(asking, (error) => error instanceof OpenAI.RateLimitError && error.code === 'insufficient_quota');
    assert.equal((await calls(marker)).length, 1);
  });

  test('a wrong key is AuthenticationError', async () => {
    const stranger = new OpenAI({ baseURL: keyedGatewayUrl, apiKey: 'sk-wrong-0123456789abcdef' });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  });

  test('the right key is let in', async () => {
    const guest = new OpenAI({ baseURL: keyedGatewayUrl, apiKey: gatewayKey });
    const completion = await guest.chat.completions.create({ model, messages: [user('echo welcome')] });
    assert.equal(completion.choices[0].message.content, 'welcome');
  });

  test('a timeout hangs up on fal', async () => {
    const marker = newMarker();
    const options = { timeout: 500, maxRetries: 0 };
    // The model list is asked for as well, so that the judge has an exchange to look at.
    await client.models.list();
    await assert.rejects(ask([system(marker), user('echo late /emulate hang')], {}, options), OpenAI.APIConnectionTimeoutError);
    assert.equal(await outcome(marker), 'hung_up');
  });
});

describe('models', () => {
  test('the list has the model, and it can be retrieved', async () => {
    const ids = [];
    for await (const entry of client.models.list()) ids.push(entry.id);
    assert.ok(ids.includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
  });

  test('an unknown model is NotFoundError', async () => {
    await assert.rejects(client.models.retrieve('nobody/nothing'), OpenAI.NotFoundError);
  });
});
