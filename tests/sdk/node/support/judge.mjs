// Records every exchange with the gateway and has each judged when its test ends, by the judge of the Python suite:
// one set of rules, whatever the client. Importing this module is enough.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, afterEach } from 'node:test';
import { fileURLToPath } from 'node:url';

import { gatewayUrl, keyedGatewayUrl, python } from './environment.mjs';

const script = fileURLToPath(new URL('../../../tools/wire.py', import.meta.url));
const judge = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
const verdicts = createInterface({ input: judge.stdout })[Symbol.asyncIterator]();

let exchanges = [];
const unrecorded = globalThis.fetch;

// Both SDKs take the global fetch when a client is made, so it must be replaced before that: at import.
globalThis.fetch = async (input, init) => {
  const url = String(input instanceof Request ? input.url : input);
  const response = await unrecorded(input, init);
  return url.startsWith(gatewayUrl) || url.startsWith(keyedGatewayUrl) ? recorded(url, input, init, response) : response;
};

function recorded(url, input, init, response) {
  const request = new Request(input, { ...init, body: undefined, signal: undefined });
  const exchange = {
    method: request.method,
    url,
    status: response.status,
    headers: Object.fromEntries(response.headers),
    request_headers: Object.fromEntries(request.headers),
    pieces: [],
    ended: false,
  };
  exchanges.push(exchange);
  const copy = new TransformStream({
    transform(piece, controller) {
      exchange.pieces.push(piece);
      controller.enqueue(piece);
    },
    flush() {
      exchange.ended = true;
    },
  });
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(copy), { status, statusText, headers });
}

async function faultsOf({ pieces, ...exchange }) {
  const body = Buffer.concat(pieces).toString('base64');
  judge.stdin.write(`${JSON.stringify({ ...exchange, body })}\n`);
  const { value, done } = await verdicts.next();
  assert.ok(!done, 'the judge died');
  return JSON.parse(value);
}

afterEach(async () => {
  const seen = exchanges;
  exchanges = [];
  assert.ok(seen.length > 0, "the test's traffic went past the recorder, so nothing was judged");
  const faults = [];
  for (const exchange of seen) faults.push(...(await faultsOf(exchange)));
  assert.deepEqual(faults, []);
});

after(() => judge.stdin.end());
