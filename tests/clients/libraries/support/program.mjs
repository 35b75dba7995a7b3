// What the programs of this folder share. Each is run as `node NAME.mjs BASE_URL MODE PROMPT`, does one thing as a
// user of the library would write it, prints what came, and exits with 1 if an error came instead.

const [baseURL, mode, prompt] = process.argv.slice(2);

/** Asks in the mode that the command line names; `modes` holds a function for each. */
export async function run(modes) {
  try {
    console.log(await modes[mode]({ baseURL, apiKey: 'demo', model: 'openai/gpt-4o-mini', prompt }));
  } catch (error) {
    console.error(String(error?.message ?? error));
    process.exitCode = 1;
  }
}

/** A tool to offer. */
export const weather = {
  name: 'get_weather',
  description: 'Tells the weather of a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
};

/** A schema to ask for. */
export const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
  required: ['name', 'age'],
  additionalProperties: false,
};
