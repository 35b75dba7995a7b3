// The AI SDK's four ways to ask, the same for each of its providers.

import { generateText, jsonSchema, Output, streamText, tool } from 'ai';

import { person, weather } from './program.mjs';

/** The modes for the language model that `languageModel` makes of what is asked. */
export function modes(languageModel) {
  const options = (asked) => ({ model: languageModel(asked), prompt: asked.prompt });
  return {
    async whole(asked) {
      return (await generateText(options(asked))).text;
    },

    async stream(asked) {
      let text = '';
      for await (const part of streamText({ ...options(asked), onError() {} }).fullStream) {
        if (part.type === 'error') throw part.error;
        if (part.type === 'text-delta') text += part.text;
      }
      return text;
    },

    async tool(asked) {
      const { name, description, parameters } = weather;
      const tools = { [name]: tool({ description, inputSchema: jsonSchema(parameters) }) };
      const answer = await generateText({ ...options(asked), tools, toolChoice: 'required' });
      return JSON.stringify(answer.toolCalls);
    },

    async schema(asked) {
      const output = Output.object({ schema: jsonSchema(person) });
      return JSON.stringify((await generateText({ ...options(asked), output })).output);
    },
  };
}
