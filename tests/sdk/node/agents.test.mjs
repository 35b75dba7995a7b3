// OpenAI's Agents SDK for JavaScript, which speaks the Responses API.

import { client } from './support/client.mjs';

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Agent, OpenAIResponsesModel, run, setTracingDisabled, tool } from '@openai/agents';
import { z } from 'zod';

import { calls, newMarker, told } from './support/emulator.mjs';
import { model } from './support/environment.mjs';

setTracingDisabled(true);

const paris = 'call get_weather {"city": "Paris"}';
const weather = tool({
  name: 'get_weather',
  description: 'Tells the weather of a city.',
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is sunny in ${city}.`,
});

const agent = (marker, settings) =>
  new Agent({ name: 'helper', instructions: marker, model: new OpenAIResponsesModel(client, model), ...settings });

test('a run', async () => {
  const { finalOutput } = await run(agent(newMarker()), 'echo from an agent');
  assert.equal(finalOutput, 'from an agent');
});

test('a tool loop', async () => {
  const marker = newMarker();
  const { finalOutput } = await run(agent(marker, { tools: [weather] }), paris);
  assert.match(finalOutput, /sunny in Paris/);
  assert.equal((await calls(marker)).length, 2);
});

test('a streamed tool loop', async () => {
  const result = await run(agent(newMarker(), { tools: [weather] }), paris, { stream: true });
  const types = new Set();
  for await (const event of result) types.add(event.type);
  await result.completed;
  assert.match(result.finalOutput, /sunny in Paris/);
  assert.ok(types.has('raw_model_stream_event') && types.has('run_item_stream_event'));
});

test('a tool loop that thinks', async () => {
  const modelSettings = { reasoning: { effort: 'high', summary: 'auto' } };
  const { finalOutput } = await run(agent(newMarker(), { tools: [weather], modelSettings }), paris);
  assert.match(finalOutput, /sunny in Paris/);
});

test('an object', async () => {
  const City = z.object({ name: z.string(), people: z.number().int() });
  const { finalOutput } = await run(agent(newMarker(), { outputType: City }), 'Invent a city.');
  City.parse(finalOutput);
});

test('a second run knows the first', async () => {
  const marker = newMarker();
  const first = await run(agent(marker), 'My name is Ada.');
  const input = [...first.history, { role: 'user', content: 'echo hello again' }];
  const second = await run(agent(marker), input);
  assert.equal(second.finalOutput, 'hello again');
  assert.match(told((await calls(marker)).at(-1)).prompt, /My name is Ada\./);
});

for (const stream of [false, true]) {
  test(`a failure that was paid for is not repeated, ${stream ? 'streamed' : 'whole'}`, async () => {
    const marker = newMarker();
    const asking = async () => {
      const result = await run(agent(marker), 'Hello /emulate error200', { stream });
      if (stream) {
        for await (const event of result) void event;
        await result.completed;
      }
    };
    await assert.rejects(asking, /failed to answer/);
    assert.equal((await calls(marker)).length, 1);
  });
}
