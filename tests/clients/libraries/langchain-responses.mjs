// LangChain JS on the Responses API, which it takes for what it cannot do on chat completions.

import { modes } from './support/langchain.mjs';
import { run, weather } from './support/program.mjs';

// It sends a tool's name there, and leaves out the word `required`.
await run(modes({ useResponsesApi: true }, weather.name));
