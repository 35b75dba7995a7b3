// The test's view of the other side: what the gateway asked of fal's stand-in. A test finds its requests by a marker
// that it put into the conversation, so tests need neither an order nor an emulator of their own.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { test } from 'node:test';

import { emulatorUrl, isAnyLlm } from './environment.mjs';

/** A word that no other test and no earlier run has put into a conversation. */
export const newMarker = () => `marker-${randomUUID()}`;

/** A test that holds for any-llm alone, because it is about the prompt or the fields that any-llm takes. */
export const testAnyLlm = isAnyLlm ? test : () => {};

/**
 * What a request to fal says, told in one way for all upstreams: a conversation in messages reads as its texts one
 * after another.
 */
export function told({ body, path }) {
  if (!body.messages) return { ...body, streams: path.endsWith('/stream') };
  const firstTurn = body.messages.findIndex(({ role }) => role !== 'system');
  const parts = body.messages.flatMap(({ content }) => (typeof content === 'string' ? [] : (content ?? [])));
  return {
    ...body,
    system_prompt: body.messages.slice(0, firstTurn).flatMap(texts).join('\n\n'),
    prompt: body.messages.slice(firstTurn).flatMap(texts).join('\n'),
    image_urls: parts.filter(({ type }) => type === 'image_url').map((part) => part.image_url.url),
    reasoning: body.reasoning && body.reasoning.enabled !== false && body.reasoning.effort !== 'none',
    streams: body.stream === true,
  };
}

const texts = ({ content, tool_calls: calls = [], tool_call_id: id }) => [
  ...(id ? [id] : []),
  ...(typeof content === 'string' ? [content] : (content ?? []).flatMap(({ text }) => text ?? [])),
  ...calls.flatMap((call) => [call.function.name, call.function.arguments, call.id]),
];

/** The requests that hold the marker, oldest first. */
export async function calls(marker) {
  const requests = await get('/_emulator/requests');
  return requests.filter((request) => JSON.stringify(request.body).includes(marker));
}

/** The one request with the marker: more would have been paid twice. */
export async function onlyCall(marker) {
  const found = await calls(marker);
  assert.equal(found.length, 1, `${found.length} calls reached fal, expected 1`);
  return found[0];
}

/** How the request with the marker ended, once it has. */
export async function outcome(marker) {
  const { id } = await onlyCall(marker);
  return (await get(`/_emulator/requests/${id}?wait=ended`)).outcome;
}

async function get(path) {
  const response = await fetch(emulatorUrl + path, { signal: AbortSignal.timeout(10_000) });
  assert.equal(response.status, 200, `the emulator answered ${response.status} to ${path}`);
  return response.json();
}
