// Calls, streams and the queue, as fal's JavaScript client makes them: directly and by proxy.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { ApiError, ValidationError } from "@fal-ai/client";

import { app, base, direct, proxied, temporaryToken } from "./clients.js";

for (const [way, client] of [["directly", direct()], ["through the proxy", proxied()]]) {
  describe(`the client, ${way}`, () => {
    it("runs", async () => {
      const { data, requestId } = await client.run(app, { input: { prompt: "echo hello wörld 👍" } });
      assert.deepEqual(data, { output: "hello wörld 👍", reasoning: null, partial: false, error: null });
      assert.match(requestId, /^[0-9a-f-]{36}$/);
    });

    it("streams growing text that ends with partial: false", async () => {
      const stream = await client.stream(app, { input: { prompt: "echo eins zwei drei 日本語" } });
      const events = [];
      for await (const event of stream) events.push(event);
      const last = await stream.done();
      assert.equal(last.output, "eins zwei drei 日本語");
      assert.equal(last.partial, false);
      assert.ok(events.length > 2);
      for (const event of events) assert.ok(last.output.startsWith(event.output));
    });

    for (const mode of ["polling", "streaming"]) {
      it(`subscribes by ${mode} and meets every state`, async () => {
        const states = [];
        const logs = [];
        const { data } = await client.subscribe(app, {
          input: { prompt: `echo ${mode}` },
          mode,
          logs: true,
          pollInterval: 100,
          onQueueUpdate: (update) => {
            states.push(update.status);
            logs.push(...(update.logs ?? []));
          },
        });
        assert.equal(data.output, mode);
        assert.deepEqual([...new Set(states)], ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]);
        assert.ok(logs.length > 0);
      });
    }

    it("submits, asks for the status, and fetches the result", async () => {
      const { request_id: requestId } = await client.queue.submit(app, { input: { prompt: "echo later" } });
      const status = await client.queue.status(app, { requestId, logs: true });
      assert.equal(status.status, "IN_QUEUE");
      assert.equal(status.queue_position, 0);
      await client.queue.subscribeToStatus(app, { requestId, pollInterval: 50 });
      const { data } = await client.queue.result(app, { requestId });
      assert.equal(data.output, "later");
    });

    it("cancels", async () => {
      const { request_id: requestId } = await client.queue.submit(app, { input: { prompt: "hi /emulate hang" } });
      await client.queue.cancel(app, { requestId });
      await client.queue.subscribeToStatus(app, { requestId, pollInterval: 50 });
      await assert.rejects(client.queue.result(app, { requestId }), { status: 499 });
    });

    it("gets a ValidationError for bad input", async () => {
      const failed = client.run(app, { input: { prompt: "hi", model: "nobody/knows", temperature: 9 } });
      await assert.rejects(failed, (error) => {
        assert.ok(error instanceof ValidationError);
        assert.deepEqual(error.fieldErrors.map(({ type, loc }) => [type, loc.at(-1)]), [
          ["literal_error", "model"],
          ["less_than_equal", "temperature"],
        ]);
        return true;
      });
    });

    it("gets an ApiError with fal's body", async () => {
      const failed = client.run(app, { input: { prompt: "hi /emulate error:no_balance" } });
      await assert.rejects(failed, (error) => {
        assert.ok(error instanceof ApiError);
        assert.equal(error.status, 403);
        assert.match(error.body.detail, /Exhausted balance/);
        return true;
      });
    });

    it("gets an ApiError from a stream that is refused", async () => {
      const stream = client.stream(app, { input: { prompt: "hi /emulate error:upstream_429" } });
      await assert.rejects(async () => (await stream).done(), { status: 400 });
    });
  });
}

describe("the client", () => {
  it("streams with a temporary token instead of its key", async () => {
    // The client fetches such a stream without its middleware, so the address is given in full.
    const fetchHere = (url, options) => fetch(String(url).replace("https://fal.run", base), options);
    const client = direct({ fetch: fetchHere });
    const stream = await client.stream(app, {
      input: { prompt: "echo token" },
      connectionMode: "client",
      tokenProvider: () => temporaryToken(),
    });
    assert.equal((await stream.done()).output, "token");
  });

  it("is refused without a key", async () => {
    const client = direct({ credentials: () => undefined });
    await assert.rejects(client.run(app, { input: { prompt: "hi" } }), { status: 401 });
  });

  it("notices a cut stream", async () => {
    const stream = await direct().stream(app, { input: { prompt: "echo a long enough text\n/emulate drop:2" } });
    await assert.rejects(stream.done(), (error) => error instanceof ApiError);
  });
});
