// Where the servers are; `tests/run` starts them and says so. Without them there is nothing to test, and a skip would
// read as success.

export const gatewayUrl = required('GATEWAY_URL');
export const keyedGatewayUrl = required('GATEWAY_KEYED_URL');
export const gatewayKey = required('GATEWAY_KEYED_KEY');
export const emulatorUrl = required('EMULATOR_URL');
export const python = required('PYTHON');

export const model = 'openai/gpt-4o-mini';
/** Reads images, and thinks when it is told to. */
export const sees = 'google/gemini-2.5-flash';

/** Whether the gateway asks any-llm, which takes a prompt and fields of its own. */
export const isAnyLlm = (process.env.GATEWAY_UPSTREAM ?? 'any-llm') === 'any-llm';

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run this suite through tests/run`);
  return value;
}
