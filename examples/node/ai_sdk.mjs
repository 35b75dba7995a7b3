// Streams an answer with the AI SDK, then says how long it was. Start the gateway with `cargo run --release -- demo`,
// then: cd examples/node && npm ci && node ai_sdk.mjs

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { streamText } from 'ai';

const fal = createOpenAICompatible({
  name: 'fal',
  baseURL: process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:3250/v1',
  apiKey: 'demo',
  includeUsage: true,
});

const answer = streamText({
  model: fal('openai/gpt-4o-mini'),
  prompt: 'Write a haiku about gateways.',
});

for await (const piece of answer.textStream) process.stdout.write(piece);

// fal counts no tokens; the gateway estimates them and says so in its headers.
const { inputTokens, outputTokens } = await answer.usage;
console.log(`\n\nAbout ${inputTokens} tokens in, ${outputTokens} out.`);
