// The Responses API with openai-node: answers, its stream helper, tools, forms and failures.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { bothWays, client, user } from './support/client.mjs';
import { calls, newMarker } from './support/emulator.mjs';
import { model } from './support/environment.mjs';

const weather = {
  type: 'function',
  name: 'get_weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
  strict: true,
};
const patch = { type: 'custom', name: 'apply_patch', description: 'Applies a patch.' };
const paris = 'call get_weather {"city": "Paris"}';
const City = z.object({ name: z.string(), people: z.number().int() });

const callsOf = ({ output }) => output.filter(({ type }) => type.endsWith('_call'));

for (const [way, stream] of bothWays) {
  /** Whole, or put together by the SDK's stream helper. */
  const ask = (input, parameters) => {
    const request = { model, store: false, input, ...parameters };
    return stream ? client.responses.stream(request).finalResponse() : client.responses.parse(request);
  };

  describe(`responses, ${way}`, () => {
    test('a text', async () => {
      const response = await ask('echo Hello, you!');
      assert.equal(response.output_text, 'Hello, you!');
      assert.equal(response.status, 'completed');
      assert.ok(response.usage.total_tokens > 0);
    });

    test('a call and its output', async () => {
      const asked = [user(paris)];
      const first = await ask(asked, { tools: [weather] });
      const [{ name, call_id, arguments: args }] = callsOf(first);
      assert.deepEqual([name, JSON.parse(args)], ['get_weather', { city: 'Paris' }]);
      const back = first.output.map(({ parsed_arguments, ...item }) => item);
      const output = { type: 'function_call_output', call_id, output: 'sunny and warm' };
      const second = await ask([...asked, ...back, output], { tools: [weather] });
      assert.match(second.output_text, /sunny and warm/);
    });

    test('a custom tool', async () => {
      const input = '*** Begin Patch\n*** End Patch';
      const [call] = callsOf(await ask(`call apply_patch ${JSON.stringify({ input })}`, { tools: [patch] }));
      assert.deepEqual([call.type, call.input], ['custom_tool_call', input]);
    });

    test('an object', async () => {
      const text = { format: zodTextFormat(City, 'city') };
      City.parse((await ask('Invent a city.', { text })).output_parsed);
    });

    test('a failure that was paid for is not repeated', async () => {
      const marker = newMarker();
      await assert.rejects(ask(`${marker} /emulate error200`), (error) => {
        assert.ok(error instanceof OpenAI.APIError);
        return true;
      });
      assert.equal((await calls(marker)).length, 1);
    });
  });
}

test('the deltas of a stream', async () => {
  const stream = await client.responses.create({ model, store: false, input: 'count 50 /emulate gap:5ms', stream: true });
  const events = [];
  for await (const event of stream) events.push(event);
  const deltas = events.filter(({ type }) => type === 'response.output_text.delta');
  assert.ok(deltas.length > 5);
  assert.equal(events.at(-1).response.output_text ?? deltas.map(({ delta }) => delta).join(''), deltas.map(({ delta }) => delta).join(''));
});

describe('responses in the background', () => {
  const isRunning = ({ status }) => status === 'queued' || status === 'in_progress';

  test('one is asked for until it is there', async () => {
    const marker = newMarker();
    let response = await client.responses.create({ model, input: `echo Hello ${marker}`, background: true });
    assert.deepEqual([response.status, response.background, response.output], ['queued', true, []]);
    for (let tries = 0; isRunning(response) && tries < 200; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      response = await client.responses.retrieve(response.id);
    }
    assert.equal(response.status, 'completed');
    assert.ok(response.output_text.startsWith('Hello'));
    assert.equal((await calls(marker)).length, 1);
  });

  test('one is called off', async () => {
    const { id } = await client.responses.create({ model, input: 'echo Hello /emulate hang', background: true });
    assert.equal((await client.responses.cancel(id)).status, 'cancelled');
    assert.equal((await client.responses.retrieve(id)).status, 'cancelled');
  });

  test('a stream goes on where it was cut', async () => {
    const marker = newMarker();
    const input = `echo ${'one two three '.repeat(40)}${marker} /emulate size:20`;
    const events = [];
    for await (const event of await client.responses.create({ model, input, background: true, stream: true })) {
      events.push(event);
      if (event.type === 'response.output_text.delta') break;
    }
    const { id } = events[0].response;
    const after = events.at(-1).sequence_number;
    for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: after })) {
      events.push(event);
    }
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, number) => number));
    const deltas = events.filter(({ type }) => type === 'response.output_text.delta');
    const last = events.at(-1);
    assert.equal(last.type, 'response.completed');
    assert.equal(last.response.output[0].content[0].text, deltas.map(({ delta }) => delta).join(''));
    assert.equal((await calls(marker)).length, 1);
  });
});
