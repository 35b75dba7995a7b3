// Uploads, as fal's JavaScript client makes them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { app, base, direct, proxied } from "./clients.js";

const bytes = new Uint8Array([0, 255, 104, 105]);

for (const [way, client] of [["directly", direct()], ["through the proxy", proxied()]]) {
  describe(`storage, ${way}`, () => {
    it("uploads a blob that can be read back", async () => {
      const url = await client.storage.upload(new Blob([bytes], { type: "image/png" }));
      assert.ok(url.startsWith(base), url);
      const answer = await fetch(url);
      assert.equal(answer.headers.get("content-type"), "image/png");
      assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), bytes);
    });

    it("uploads the blobs it finds in an input", async () => {
      const image = new Blob([bytes], { type: "image/png" });
      const { data } = await client.run(`${app}/vision`, { input: { prompt: "describe", image_urls: [image] } });
      const [seen] = JSON.parse(data.output).images;
      assert.ok(seen.url.startsWith(`${base}/files/`), seen.url);
    });
  });
}

describe("storage", () => {
  it("takes a big file in parts", async () => {
    const big = new Blob([new Uint8Array(91 << 20).fill(7)], { type: "video/mp4" });
    const url = await direct().storage.upload(big);
    const answer = await fetch(url);
    assert.equal((await answer.arrayBuffer()).byteLength, 91 << 20);
  });
});
