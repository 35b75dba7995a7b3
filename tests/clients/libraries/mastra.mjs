// Mastra's agents.

import { Agent } from '@mastra/core/agent';
import { createTool } from '@mastra/core/tools';
import { z } from 'zod';

import { run, weather } from './support/program.mjs';

const agent = ({ baseURL, apiKey, model }, fields) =>
  new Agent({ id: 'asker', name: 'asker', instructions: 'Be brief.', model: { id: model, url: baseURL, apiKey }, ...fields });

await run({
  async whole(asked) {
    return (await agent(asked).generate(asked.prompt)).text;
  },

  async stream(asked) {
    const answer = await agent(asked).stream(asked.prompt);
    let text = '';
    for await (const piece of answer.textStream) text += piece;
    if (answer.error) throw answer.error;
    return text;
  },

  async tool(asked) {
    const { name: id, description } = weather;
    const inputSchema = z.object({ city: z.string() });
    const tools = { [id]: createTool({ id, description, inputSchema, execute: async () => 'sunny' }) };
    const answer = await agent(asked, { tools }).generate(asked.prompt, { toolChoice: 'required', maxSteps: 1 });
    return JSON.stringify(answer.toolCalls);
  },

  async schema(asked) {
    const schema = z.object({ name: z.string(), age: z.number().int() });
    const answer = await agent(asked).generate(asked.prompt, { structuredOutput: { schema } });
    return JSON.stringify(answer.object);
  },
});
