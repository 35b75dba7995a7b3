// OpenAI's own JavaScript client against the router's chat face, set up as fal documents it: a base URL, a key that
// stands for none, and fal's key in the header.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import OpenAI from "openai";

import { base } from "./clients.js";

const baseURL = `${base}/openrouter/router/openai/v1`;
const key = process.env.EMULATOR_KEY ?? "kid:ksecret";
const client = new OpenAI({
  baseURL,
  apiKey: "not-needed",
  defaultHeaders: { Authorization: `Key ${key}` },
  maxRetries: 0,
});
const ask = (content, more = {}) =>
  client.chat.completions.create({ model: "openai/gpt-4o-mini", messages: [{ role: "user", content }], ...more });
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

describe("openai-node", () => {
  it("reads a whole answer with usage and cost", async () => {
    const answer = await ask("echo hello wörld 👍");
    assert.equal(answer.choices[0].message.content, "hello wörld 👍");
    assert.ok(answer.usage.total_tokens > 0 && answer.usage.cost > 0);
  });

  it("reads a stream past comments to its end", async () => {
    const chunks = [];
    for await (const chunk of await ask("echo eins zwei 日本語 /emulate ping:5ms gap:20ms", { stream: true })) {
      chunks.push(chunk);
    }
    const choices = chunks.flatMap((chunk) => chunk.choices);
    assert.equal(choices.map(({ delta }) => delta.content ?? "").join(""), "eins zwei 日本語");
    assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
    assert.ok(chunks.at(-1).usage.cost > 0);
  });

  it("runs a tool loop by itself", async () => {
    const runner = client.chat.completions.runTools({
      model: "openai/gpt-4o-mini",
      stream: true,
      messages: [{ role: "user", content: "How is the weather in Paris?" }],
      tools: [{ ...tools[0], function: { ...tools[0].function, parse: JSON.parse, function: ({ city }) => `${city}: sunny` } }],
    });
    assert.equal(await runner.finalContent(), "get_weather says: Paris: sunny");
  });

  for (const [what, more, status, words] of [
    ["an unknown model", { model: "nobody/knows" }, 400, /not a valid model ID/],
    ["a model without tools", { model: "openai/gpt-5-chat", tools }, 404, /support tool use/],
  ]) {
    it(`rejects for ${what}`, async () => {
      await assert.rejects(ask("hi", more), (error) => {
        assert.equal(error.status, status);
        assert.match(error.message, words);
        return true;
      });
    });
  }

  it("rejects when a stream fails in its middle", async () => {
    const stream = await ask("echo one two three /emulate error_event:2", { stream: true });
    await assert.rejects(async () => {
      for await (const chunk of stream) assert.ok(chunk);
    }, OpenAI.APIError);
  });

  it("is refused with a bearer key", async () => {
    const bearer = new OpenAI({ baseURL, apiKey: key, maxRetries: 0 });
    const refused = bearer.chat.completions.create({ model: "openai/gpt-4o-mini", messages: [{ role: "user", content: "hi" }] });
    await assert.rejects(refused, OpenAI.AuthenticationError);
  });
});
