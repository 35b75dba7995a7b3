// The request that a conversation makes, and the same as code. Nothing in here touches the page.

/**
 * One message, as OpenAI's API has it.
 * @typedef {object} Turn
 * @property {'user' | 'assistant' | 'tool'} role
 * @property {string} content
 * @property {string[]} [images] data URIs, of a user's message
 * @property {string} [reasoning]
 * @property {Call[]} [calls]
 * @property {string} [callId] of a tool's result
 */

/** @typedef {{id: string, name: string, arguments: string}} Call */

/**
 * What is set up beside the conversation. Empty texts stand for what is left out.
 * @typedef {object} Setup
 * @property {string} model
 * @property {string} system
 * @property {string} temperature
 * @property {string} maxTokens
 * @property {string} stop one sequence on a line
 * @property {boolean} stream
 * @property {boolean} reasoning
 * @property {string} tools a JSON list
 * @property {string} toolChoice
 * @property {'text' | 'json_object' | 'json_schema'} format
 * @property {string} schema
 * @property {string} n
 * @property {string} priority
 */

/** @type {Setup} */
export const EMPTY = {
  model: '', system: '', temperature: '', maxTokens: '', stop: '', stream: true, reasoning: false,
  tools: '', toolChoice: 'auto', format: 'text', schema: '', n: '1', priority: '',
};

/** Two tools to begin with, and a schema. */
export const EXAMPLES = {
  weather: { type: 'function', function: { name: 'get_weather', description: 'The weather at a place now.', parameters: {
    type: 'object', properties: { city: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] } }, required: ['city'] } } },
  search: { type: 'function', function: { name: 'search', description: 'Search the web.', parameters: {
    type: 'object', properties: { query: { type: 'string' } }, required: ['query'] } } },
  schema: { name: 'person', strict: true, schema: { type: 'object', properties: {
    name: { type: 'string' }, age: { type: 'integer' } }, required: ['name', 'age'], additionalProperties: false } },
};

/**
 * Reads the JSON of a field.
 * @param {string} text
 * @returns {{value?: any, error?: string}}
 */
export function parsed(text) {
  if (text.trim() === '') return {};
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: `Not JSON: ${/** @type {Error} */ (error).message}` };
  }
}

/**
 * The body of the request.
 * @param {Setup} setup @param {Turn[]} turns
 * @returns {Record<string, any>}
 */
export function request(setup, turns) {
  const messages = turns.map(message);
  if (setup.system.trim() !== '') messages.unshift({ role: 'system', content: setup.system });
  /** @type {Record<string, any>} */
  const body = { model: setup.model, messages };
  const number = (/** @type {string} */ name, /** @type {string} */ text) => {
    if (text.trim() !== '' && Number.isFinite(Number(text))) body[name] = Number(text);
  };
  number('temperature', setup.temperature);
  number('max_completion_tokens', setup.maxTokens);
  const stop = setup.stop.split('\n').filter(text => text !== '');
  if (stop.length > 0) body.stop = stop;
  if (setup.n !== '1') number('n', setup.n);
  if (setup.reasoning) body.reasoning_effort = 'medium';
  const tools = parsed(setup.tools).value;
  if (Array.isArray(tools) && tools.length > 0) {
    body.tools = tools;
    if (setup.toolChoice !== 'auto') body.tool_choice = setup.toolChoice;
  }
  if (setup.format === 'json_object') body.response_format = { type: 'json_object' };
  const schema = parsed(setup.schema).value;
  if (setup.format === 'json_schema' && schema) body.response_format = { type: 'json_schema', json_schema: schema };
  if (setup.stream) {
    body.stream = true;
    body.stream_options = { include_usage: true };
  }
  return body;
}

/** @param {Turn} turn @returns {Record<string, any>} */
function message(turn) {
  if (turn.role === 'tool') return { role: 'tool', tool_call_id: turn.callId, content: turn.content };
  if (turn.role === 'user' && turn.images?.length) {
    const images = turn.images.map(url => ({ type: 'image_url', image_url: { url } }));
    return { role: 'user', content: [{ type: 'text', text: turn.content }, ...images] };
  }
  if (!turn.calls?.length) return { role: turn.role, content: turn.content };
  const calls = turn.calls.map(call => ({
    id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments },
  }));
  return { role: 'assistant', content: turn.content === '' ? null : turn.content, tool_calls: calls };
}

/**
 * The request as code. Keys are no part of it, and images only begin.
 * @param {'python' | 'javascript' | 'curl'} language
 * @param {Record<string, any>} body
 * @param {{base: string, needsKey: boolean, priority: string}} at
 */
export function snippet(language, body, at) {
  const short = JSON.parse(JSON.stringify(body, (_, value) => typeof value === 'string' ? shortened(value) : value));
  switch (language) {
    case 'python': return python(short, at);
    case 'javascript': return javascript(short, at);
    default: return curl(short, at);
  }
}

/** @param {string} text */
function shortened(text) {
  return text.startsWith('data:') && text.length > 200 ? `${text.slice(0, text.indexOf(',') + 1)}...` : text;
}

/** @typedef {{base: string, needsKey: boolean, priority: string}} At */

/** @param {Record<string, any>} body @param {At} at */
function python(body, at) {
  const key = at.needsKey ? 'os.environ["OPENAI_API_KEY"]' : '"none needed"';
  const fields = Object.entries(body).map(([name, value]) => `    ${name}=${pythonValue(value, 1)},`);
  if (at.priority) fields.push(`    extra_headers={"x-fal-priority": ${JSON.stringify(at.priority)}},`);
  const print = body.stream
    ? 'for chunk in answer:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)'
    : 'print(answer.choices[0].message.content)';
  return `${at.needsKey ? 'import os\n' : ''}from openai import OpenAI

client = OpenAI(
    base_url=${JSON.stringify(at.base)},
    api_key=${key},
)
answer = client.chat.completions.create(
${fields.join('\n')}
)
${print}
`;
}

/** @param {any} value @param {number} depth @returns {string} */
function pythonValue(value, depth) {
  const indent = '    '.repeat(depth + 1);
  const end = '    '.repeat(depth);
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value !== 'object') return JSON.stringify(value);
  const isList = Array.isArray(value);
  const inner = isList
    ? value.map(item => `${indent}${pythonValue(item, depth + 1)},\n`)
    : Object.entries(value).map(([name, item]) => `${indent}${JSON.stringify(name)}: ${pythonValue(item, depth + 1)},\n`);
  const [open, close] = isList ? '[]' : '{}';
  return inner.length === 0 ? `${open}${close}` : `${open}\n${inner.join('')}${end}${close}`;
}

/** @param {Record<string, any>} body @param {At} at */
function javascript(body, at) {
  const key = at.needsKey ? 'process.env.OPENAI_API_KEY' : '"none needed"';
  const headers = at.priority ? `, { headers: { "x-fal-priority": ${JSON.stringify(at.priority)} } }` : '';
  const print = body.stream
    ? 'for await (const chunk of answer) {\n  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n}'
    : 'console.log(answer.choices[0].message.content);';
  return `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${JSON.stringify(at.base)},
  apiKey: ${key},
});
const answer = await client.chat.completions.create(${JSON.stringify(body, null, 2)}${headers});
${print}
`;
}

/**
 * The body goes in as it is: in a quoted here-document no letter means anything to the shell, and no
 * line of JSON reads `END`.
 * @param {Record<string, any>} body @param {At} at
 */
function curl(body, at) {
  const headers = ['-H "Content-Type: application/json"'];
  if (at.needsKey) headers.push('-H "Authorization: Bearer $OPENAI_API_KEY"');
  if (at.priority) headers.push(`-H "x-fal-priority: ${at.priority}"`);
  return `curl -N ${at.base}/chat/completions \\
  ${headers.join(' \\\n  ')} \\
  --data-binary @- <<'END'
${JSON.stringify(body, null, 2)}
END
`;
}
