// openai-node and short ways to ask with it. The judge is imported first: it must be there before any client is made.

import './judge.mjs';

import OpenAI from 'openai';

import { gatewayUrl, model } from './environment.mjs';

export const client = new OpenAI({ baseURL: gatewayUrl, apiKey: 'demo' });

export const user = (content) => ({ role: 'user', content });
export const system = (content) => ({ role: 'system', content });
export const assistant = (content, fields) => ({ role: 'assistant', content, ...fields });

/** The two ways to ask, for tests that hold for both. */
export const bothWays = [
  ['whole', false],
  ['stream', true],
];

/**
 * Asks, whole or as a stream, and returns both in one form: the headers, and for each choice its text, its reasoning
 * under both names and its finish reason.
 */
export async function ask(messages, { stream = false, ...parameters } = {}, options = {}) {
  const asked = client.chat.completions.create({ model, messages, stream, ...parameters }, options);
  const { data, response } = await asked.withResponse();
  const chunks = stream ? await read(data) : [];
  const choices = stream ? joined(chunks) : data.choices.map(({ message, ...choice }) => ({ ...choice, ...message }));
  const usage = stream ? chunks.at(-1).usage : data.usage;
  return {
    headers: response.headers,
    model: (stream ? chunks[0] : data).model,
    usage,
    chunks,
    choices: choices.map((choice) => ({
      index: choice.index,
      text: choice.content,
      reasoning: choice.reasoning ?? '',
      reasoningContent: choice.reasoning_content ?? '',
      finishReason: choice.finish_reason,
    })),
  };
}

export async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

function joined(chunks) {
  const choices = [];
  for (const { index, delta, finish_reason } of chunks.flatMap((chunk) => chunk.choices)) {
    const choice = (choices[index] ??= { index, content: '', reasoning: '', reasoning_content: '' });
    for (const field of ['content', 'reasoning', 'reasoning_content']) choice[field] += delta[field] ?? '';
    choice.finish_reason = finish_reason ?? choice.finish_reason;
  }
  return choices;
}
