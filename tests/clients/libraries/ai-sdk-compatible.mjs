// The AI SDK with its provider for all that speak OpenAI's language.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';

import { modes } from './support/ai-sdk.mjs';
import { run } from './support/program.mjs';

const provider = ({ baseURL, apiKey }) =>
  createOpenAICompatible({ name: 'fal', baseURL, apiKey, supportsStructuredOutputs: true });

await run(modes((asked) => provider(asked)(asked.model)));
