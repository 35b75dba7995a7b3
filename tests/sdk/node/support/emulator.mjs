// The test's view of the other side: what the gateway asked of fal's stand-in. A test finds its requests by a marker
// that it put into the conversation, so tests need neither an order nor an emulator of their own.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { emulatorUrl } from './environment.mjs';

/** A word that no other test and no earlier run has put into a conversation. */
export const newMarker = () => `marker-${randomUUID()}`;

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
