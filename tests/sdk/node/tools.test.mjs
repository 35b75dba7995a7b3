// Tools and structured outputs with openai-node.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { bothWays, client, user } from './support/client.mjs';
import { calls, newMarker } from './support/emulator.mjs';
import { model } from './support/environment.mjs';

const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const zone = { type: 'object', properties: { zone: { type: 'string' } }, required: ['zone'], additionalProperties: false };
// The SDK's helpers take strict tools alone.
const tool = (name, parameters) => ({ type: 'function', function: { name, parameters, strict: true } });
const tools = [tool('get_weather', city), tool('get_time', zone)];
const paris = 'What is the weather in Paris?';
const both = 'call get_weather {"city": "Rome"} and get_time {"zone": "CET"}';

const Report = z.object({
  city: z.string(),
  degrees: z.number().int(),
  sky: z.enum(['clear', 'cloudy']),
  note: z.string().nullable(),
  stations: z.array(z.object({ name: z.string(), open: z.boolean() })),
});

/** Whole, or put together by the SDK's stream helper. */
const ask = (content, parameters, stream) =>
  stream
    ? client.chat.completions.stream({ model, messages: [user(content)], ...parameters }).finalChatCompletion()
    : client.chat.completions.parse({ model, messages: [user(content)], ...parameters });

const callsOf = ({ choices }) =>
  (choices[0].message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);

for (const [way, stream] of bothWays) {
  describe(`tools, ${way}`, () => {
    test('a call', async () => {
      const completion = await ask(paris, { tools }, stream);
      assert.deepEqual(callsOf(completion), [['get_weather', { city: 'Paris' }]]);
      assert.equal(completion.choices[0].finish_reason, 'tool_calls');
    });

    test('two calls, or one at a time', async () => {
      assert.deepEqual(callsOf(await ask(both, { tools }, stream)), [
        ['get_weather', { city: 'Rome' }],
        ['get_time', { zone: 'CET' }],
      ]);
      const single = await ask(both, { tools, parallel_tool_calls: false }, stream);
      assert.deepEqual(callsOf(single), [['get_weather', { city: 'Rome' }]]);
    });

    test('a choice is met', async () => {
      assert.deepEqual(callsOf(await ask(paris, { tools, tool_choice: 'none' }, stream)), []);
      assert.ok(callsOf(await ask('Hello', { tools, tool_choice: 'required' }, stream)).length > 0);
      const named = { type: 'function', function: { name: 'get_time' } };
      assert.equal(callsOf(await ask(paris, { tools, tool_choice: named }, stream))[0][0], 'get_time');
    });

    test('a required call that never comes is an error', async () => {
      const asking = ask('Hello\n/emulate tool:none stubborn', { tools, tool_choice: 'required' }, stream);
      await assert.rejects(asking, (error) => error.code === 'tool_choice_not_met');
    });

    test('arguments are parsed by the schema that made the tool', async () => {
      const parsed = zodFunction({ name: 'get_weather', parameters: z.object({ city: z.string() }) });
      const completion = await ask(paris, { tools: [parsed] }, stream);
      assert.deepEqual(completion.choices[0].message.tool_calls[0].function.parsed_arguments, { city: 'Paris' });
    });
  });

  describe(`runTools, ${way}`, () => {
    const run = async (content, used) => {
      const hand = (name, parameters, answer) => ({
        type: 'function',
        function: {
          name,
          parameters,
          parse: JSON.parse,
          description: `Answers what ${name} is for.`,
          function: (given) => {
            used.push([name, given]);
            return answer;
          },
        },
      });
      const hands = [hand('get_weather', city, 'sunny'), hand('get_time', zone, 'noon')];
      return client.chat.completions.runTools({ model, stream, messages: [user(content)], tools: hands }).finalContent();
    };

    test('one step', async () => {
      const used = [];
      assert.equal(await run(paris, used), 'get_weather says: sunny');
      assert.deepEqual(used, [['get_weather', { city: 'Paris' }]]);
    });

    test('two steps', async () => {
      const used = [];
      assert.match(await run('call get_weather {"city": "Rome"}, then use get_time', used), /noon/);
      assert.deepEqual(used.map(([name]) => name), ['get_weather', 'get_time']);
    });
  });

  describe(`structured outputs, ${way}`, () => {
    const response_format = zodResponseFormat(Report, 'report');

    test('an answer is parsed', async () => {
      const { message, finish_reason } = (await ask('A report', { response_format }, stream)).choices[0];
      Report.parse(message.parsed);
      assert.equal(finish_reason, 'stop');
    });

    for (const slip of ['wrong', 'array', 'python', 'trailing', 'invalid', 'string', 'fenced', 'prose', 'truncated']) {
      test(`an answer is parsed after json:${slip}`, async () => {
        const completion = await ask(`A report\n/emulate json:${slip}`, { response_format }, stream);
        Report.parse(completion.choices[0].message.parsed);
      });
    }

    test('a refusal is told as one', async () => {
      const completion = await ask('A report\n/emulate json:refuse stubborn', { response_format }, stream);
      assert.match(completion.choices[0].message.refusal, /sorry/);
      assert.equal(completion.choices[0].message.parsed ?? null, null);
    });

    test('what stays wrong is an error, and not asked for again by the SDK', async () => {
      const marker = newMarker();
      const asking = ask(`A report ${marker}\n/emulate json:wrong stubborn`, { response_format }, stream);
      await assert.rejects(asking, (error) => {
        assert.ok(error instanceof OpenAI.APIError, String(error));
        assert.equal(error.code, 'json_schema_not_met');
        return true;
      });
      assert.ok((await calls(marker)).length <= 3);
    });
  });
}

test('a streamed call comes in pieces that add up', async () => {
  const stream = await client.chat.completions.create({ model, messages: [user(paris)], tools, stream: true });
  const pieces = [];
  for await (const chunk of stream) pieces.push(...(chunk.choices[0].delta.tool_calls ?? []));
  assert.equal(pieces[0].function.name, 'get_weather');
  assert.match(pieces[0].id, /^call_/);
  assert.deepEqual(JSON.parse(pieces.map((piece) => piece.function.arguments ?? '').join('')), { city: 'Paris' });
});
