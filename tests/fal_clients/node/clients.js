// fal's own JavaScript client, unmodified, pointed at the emulator named by EMULATOR_URL.
// Its hosts are fixed, so they are replaced in each request, or reached through fal's proxy protocol.

import { createFalClient } from "@fal-ai/client";

export const base = (process.env.EMULATOR_URL ?? "").replace(/\/$/, "");
if (!base) throw new Error("set EMULATOR_URL to the base URL of a running emulator");

const credentials = process.env.EMULATOR_KEY ?? "kid:ksecret";

export const app = "fal-ai/any-llm";

const hosts = [
  ["https://queue.fal.run", `${base}/queue`],
  ["https://fal.run", base],
  ["https://rest.fal.ai", `${base}/rest`],
];

async function requestMiddleware(request) {
  const [host, here] = hosts.find(([host]) => request.url.startsWith(host)) ?? ["", ""];
  return { ...request, url: here + request.url.slice(host.length) };
}

export const direct = (overrides = {}) => createFalClient({ credentials, requestMiddleware, ...overrides });

export const proxied = () => createFalClient({ credentials, proxyUrl: { url: `${base}/api/fal/proxy`, when: "always" } });

// What an application's own server does for its pages.
export async function temporaryToken() {
  const answer = await fetch(`${base}/rest/tokens/`, {
    method: "POST",
    headers: { authorization: `Key ${credentials}`, "content-type": "application/json" },
    body: JSON.stringify({ allowed_apps: ["any-llm"], token_expiration: 120 }),
  });
  return answer.json();
}
