// The router's prompt faces, as fal's JavaScript client calls them: directly and by proxy.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { ApiError } from "@fal-ai/client";

import { direct, proxied } from "./clients.js";

const app = "openrouter/router";
const faces = {
  "": {},
  "/enterprise": {},
  "/vision": { image_urls: ["data:image/png;base64,aGVsbG8="] },
  "/audio": { audio_url: "https://example.com/a.mp3" },
  "/video": { video_urls: ["https://example.com/a.mp4"] },
};
const input = (face, prompt, more = {}) => ({ prompt, model: "google/gemini-2.5-flash", ...faces[face], ...more });

for (const [way, client] of [["directly", direct()], ["through the proxy", proxied()]]) {
  describe(`the router, ${way}`, () => {
    for (const face of Object.keys(faces)) {
      it(`answers and streams at ${app}${face}`, async () => {
        const { data } = await client.run(app + face, { input: input(face, "echo hello") });
        assert.equal(data.output, "hello");
        assert.ok(data.usage.cost > 0);
        const stream = await client.stream(app + face, { input: input(face, "echo one two three four") });
        const events = [];
        for await (const event of stream) events.push(event);
        assert.ok(events.length > 2);
        assert.equal(events.at(-1).output, "one two three four");
        assert.deepEqual(events.slice(0, -1).filter((event) => event.usage), []);
        assert.ok(events.at(-1).usage.total_tokens > 0);
      });
    }

    it("subscribes", async () => {
      const { data } = await client.subscribe(app, { input: input("", "echo queued"), pollInterval: 50 });
      assert.equal(data.output, "queued");
      assert.ok(data.usage.cost > 0);
    });

    it("rejects with OpenRouter's words", async () => {
      const refused = client.run(app, { input: input("", "hi", { model: "openai/gpt-oss-120b" }) });
      await assert.rejects(refused, (error) => {
        assert.ok(error instanceof ApiError);
        assert.equal(error.status, 400);
        assert.match(error.body.detail, /Reasoning is mandatory/);
        return true;
      });
    });
  });
}
