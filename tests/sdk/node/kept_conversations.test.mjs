// Conversations that are kept by the gateway, with openai-node and the sessions of the Agents SDK.

import { client } from './support/client.mjs';

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Agent, OpenAIConversationsSession, OpenAIResponsesModel, run, setTracingDisabled, tool } from '@openai/agents';
import { z } from 'zod';

import { calls, newMarker, told } from './support/emulator.mjs';
import { model } from './support/environment.mjs';

setTracingDisabled(true);

const weather = tool({
  name: 'get_weather',
  description: 'Tells the weather of a city.',
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is sunny in ${city}.`,
});

const agent = (marker, settings) =>
  new Agent({ name: 'helper', instructions: marker, model: new OpenAIResponsesModel(client, model), ...settings });

test('a response in a conversation', async () => {
  const conversation = await client.conversations.create({ items: [{ role: 'user', content: 'My name is Ada.' }] });
  const response = await client.responses.create({ model, input: 'echo hello', conversation: conversation.id });
  assert.equal(response.conversation.id, conversation.id);
  const texts = [];
  for await (const item of client.conversations.items.list(conversation.id, { order: 'asc', limit: 1 })) {
    texts.push(item.content[0].text);
  }
  assert.deepEqual(texts, ['My name is Ada.', 'echo hello', 'hello']);
  assert.equal((await client.conversations.delete(conversation.id)).deleted, true);
});

test('a session remembers', async () => {
  const marker = newMarker();
  const session = new OpenAIConversationsSession({ client });
  const helper = agent(marker, { tools: [weather] });
  const first = await run(helper, 'call get_weather {"city": "Paris"}', { session });
  assert.match(first.finalOutput, /sunny in Paris/);
  const second = await run(helper, 'echo hello again', { session });
  assert.equal(second.finalOutput, 'hello again');
  const prompt = told((await calls(marker)).at(-1)).prompt;
  assert.match(prompt, /sunny in Paris/);
  assert.ok((await session.getItems()).length >= 5);
});

test('a run goes on in a conversation', async () => {
  const marker = newMarker();
  const { id: conversationId } = await client.conversations.create();
  await run(agent(marker), 'My name is Ada.', { conversationId });
  await run(agent(marker), 'echo hello', { conversationId });
  assert.match(told((await calls(marker)).at(-1)).prompt, /My name is Ada/);
});
