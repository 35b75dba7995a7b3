// LangChain JS, as its users write it.

import { ChatOpenAI } from '@langchain/openai';

import { person, weather } from './program.mjs';

/** What is asked of it, with these options of its model, and how a tool is required. */
export const modes = (options, toolChoice = 'required') => {
  const llm = ({ baseURL, apiKey, model }) =>
    new ChatOpenAI({ model, apiKey, configuration: { baseURL }, ...options });
  return {
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
      const answer = await llm(asked).bindTools([tool], { tool_choice: toolChoice }).invoke(asked.prompt);
      return JSON.stringify(answer.tool_calls);
    },

    async schema(asked) {
      const structured = llm(asked).withStructuredOutput(person, { name: 'person', method: 'jsonSchema', strict: true });
      return JSON.stringify(await structured.invoke(asked.prompt));
    },
  };
};
