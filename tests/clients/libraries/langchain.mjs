// LangChain JS, with its defaults: it repeats failures that it takes for passing ones.

import { modes } from './support/langchain.mjs';
import { run } from './support/program.mjs';

await run(modes({}));
