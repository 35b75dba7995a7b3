// The AI SDK with its provider for OpenAI.

import { createOpenAI } from '@ai-sdk/openai';

import { modes } from './support/ai-sdk.mjs';
import { run } from './support/program.mjs';

await run(modes(({ baseURL, apiKey, model }) => createOpenAI({ baseURL, apiKey }).chat(model)));
