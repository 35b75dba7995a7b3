// Streams an answer with OpenAI's own SDK. Start the gateway with `cargo run --release -- demo`, then:
// cd examples/node && npm ci && node chat.mjs

import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:3250/v1',
  apiKey: 'demo',
});

const stream = await client.chat.completions.create({
  model: 'openai/gpt-4o-mini',
  messages: [{ role: 'user', content: 'Write a haiku about gateways.' }],
  stream: true,
});

for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');
process.stdout.write('\n');
