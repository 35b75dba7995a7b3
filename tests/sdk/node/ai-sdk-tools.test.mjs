// Tools and objects with Vercel's AI SDK, through both providers and both of OpenAI's APIs.

import './support/judge.mjs';

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Output, generateObject, generateText, isStepCount, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';

import { gatewayUrl, model } from './support/environment.mjs';

const settings = { baseURL: gatewayUrl, apiKey: 'demo' };
const providers = {
  'openai-compatible': createOpenAICompatible({ name: 'fal', supportsStructuredOutputs: true, ...settings })(model),
  'openai.chat': createOpenAI(settings).chat(model),
  openai: createOpenAI(settings)(model),
};

const paris = 'What is the weather in Paris?';
const schema = z.object({
  city: z.string(),
  degrees: z.number().int(),
  sky: z.enum(['clear', 'cloudy']),
  stations: z.array(z.object({ name: z.string(), open: z.boolean() })),
});

const hands = (used = []) => {
  const hand = (name, inputSchema, answer) =>
    tool({
      description: `Answers what ${name} is for.`,
      inputSchema,
      execute: async (input) => {
        used.push([name, input]);
        return answer;
      },
    });
  return {
    get_weather: hand('get_weather', z.object({ city: z.string() }), 'sunny'),
    get_time: hand('get_time', z.object({ zone: z.string() }), 'noon'),
  };
};

for (const [name, languageModel] of Object.entries(providers)) {
  const options = { model: languageModel, maxRetries: 0 };

  describe(name, () => {
    test('a tool loop', async () => {
      const used = [];
      const answer = await generateText({ ...options, prompt: paris, tools: hands(used), stopWhen: isStepCount(5) });
      assert.deepEqual(used, [['get_weather', { city: 'Paris' }]]);
      assert.match(answer.text, /get_weather says: .*sunny/);
      assert.equal(answer.steps.length, 2);
      assert.equal(answer.steps[0].finishReason, 'tool-calls');
    });

    test('a tool loop of two steps', async () => {
      const used = [];
      const prompt = 'call get_weather {"city": "Rome"}, then use get_time';
      const answer = await generateText({ ...options, prompt, tools: hands(used), stopWhen: isStepCount(5) });
      assert.deepEqual(used.map(([tool]) => tool), ['get_weather', 'get_time']);
      assert.match(answer.text, /noon/);
    });

    test('a streamed tool loop', async () => {
      const used = [];
      const result = streamText({ ...options, prompt: paris, tools: hands(used), stopWhen: isStepCount(5) });
      const types = [];
      for await (const part of result.stream) types.push(part.type);
      assert.deepEqual(used, [['get_weather', { city: 'Paris' }]]);
      assert.match(await result.text, /get_weather says: .*sunny/);
      for (const type of ['tool-input-start', 'tool-input-delta', 'tool-call', 'tool-result']) {
        assert.ok(types.includes(type), type);
      }
    });

    test('two calls at once', async () => {
      const prompt = 'call get_weather {"city": "Rome"} and get_time {"zone": "CET"}';
      const { toolCalls } = await generateText({ ...options, prompt, tools: hands() });
      assert.deepEqual(toolCalls.map(({ toolName, input }) => [toolName, input]), [
        ['get_weather', { city: 'Rome' }],
        ['get_time', { zone: 'CET' }],
      ]);
    });

    test('choices of tools', async () => {
      const required = await generateText({ ...options, prompt: 'Hello', tools: hands(), toolChoice: 'required' });
      assert.ok(required.toolCalls.length > 0);
      const toolChoice = { type: 'tool', toolName: 'get_time' };
      const named = await generateText({ ...options, prompt: paris, tools: hands(), toolChoice });
      assert.deepEqual(named.toolCalls.map(({ toolName }) => toolName), ['get_time']);
      const none = await generateText({ ...options, prompt: 'echo quiet', tools: hands(), toolChoice: 'none' });
      assert.equal(none.text, 'quiet');
    });

    test('an object', async () => {
      const { object, finishReason } = await generateObject({ ...options, schema, prompt: 'A report on Paris' });
      schema.parse(object);
      assert.equal(finishReason, 'stop');
    });

    test('an object as the output of a text', async () => {
      const { output } = await generateText({ ...options, prompt: 'A report', output: Output.object({ schema }) });
      schema.parse(output);
    });

    test('a list of objects', async () => {
      const { object } = await generateObject({ ...options, output: 'array', schema, prompt: 'Reports' });
      z.array(schema).parse(object);
    });

    test('a choice', async () => {
      const { object } = await generateObject({ ...options, output: 'enum', enum: ['yes', 'no'], prompt: 'Is it?' });
      assert.ok(['yes', 'no'].includes(object));
    });

    test('a streamed object', async () => {
      const result = streamObject({ ...options, schema, prompt: 'A report on Paris' });
      let partials = 0;
      for await (const partial of result.partialObjectStream) partials += partial ? 1 : 0;
      assert.ok(partials > 0);
      schema.parse(await result.object);
    });

    test('an object after a tool', async () => {
      const { output } = await generateText({
        ...options,
        prompt: paris,
        tools: hands(),
        stopWhen: isStepCount(5),
        output: Output.object({ schema }),
      });
      schema.parse(output);
    });

    for (const slip of ['wrong', 'python', 'fenced', 'prose', 'truncated']) {
      test(`an object after json:${slip}`, async () => {
        const { object } = await generateObject({ ...options, schema, prompt: `A report\n/emulate json:${slip}` });
        schema.parse(object);
      });
    }

    test('JSON that stays wrong is an APICallError', async () => {
      const asking = generateObject({ ...options, schema, prompt: 'A report\n/emulate json:wrong stubborn' });
      await assert.rejects(asking, (error) => {
        assert.equal(error.statusCode, 400);
        assert.equal(JSON.parse(error.responseBody).error.code, 'json_schema_not_met');
        return true;
      });
    });
  });
}
