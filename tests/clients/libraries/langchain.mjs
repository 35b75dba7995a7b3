// LangChain JS, with its defaults: it repeats failures that it takes for passing ones.

import { ChatOpenAI } from '@langchain/openai';

import { person, run, weather } from './support/program.mjs';

const llm = ({ baseURL, apiKey, model }) => new ChatOpenAI({ model, apiKey, configuration: { baseURL } });

await run({
  async whole(asked) {
    return (await llm(asked).invoke(asked.prompt)).text;
  },

  async stream(asked) {
    let text = '';
    for await (const chunk of await llm(asked).stream(asked.prompt)) text += chunk.text;
    return text;
  },

  async tool(asked) {
    const { name, description, parameters } = weather;
    const tool = { type: 'function', function: { name, description, parameters } };
    const answer = await llm(asked).bindTools([tool], { tool_choice: 'required' }).invoke(asked.prompt);
    return JSON.stringify(answer.tool_calls);
  },

  async schema(asked) {
    const structured = llm(asked).withStructuredOutput(person, { name: 'person', method: 'jsonSchema', strict: true });
    return JSON.stringify(await structured.invoke(asked.prompt));
  },
});
