// Anthropic's TypeScript SDK and the AI SDK's provider for it, as people use them. `tests/run` starts the servers.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const url = process.env.GATEWAY_URL;
const model = "openai/gpt-4o-mini";
// The SDK's base URL has no /v1, and the AI SDK's has it.
const client = new Anthropic({ baseURL: url.replace(/\/v1$/, ""), apiKey: "demo" });
const provider = createAnthropic({ baseURL: url, apiKey: "demo" });
const says = (content) => ({ model, max_tokens: 1000, messages: [{ role: "user", content }] });

test("a whole answer", async () => {
  const message = await client.messages.create(says("echo Hello there"));
  assert.equal(message.content[0].text, "Hello there");
  assert.equal(message.stop_reason, "end_turn");
  assert.match(message._request_id, /^req_/);
});

test("a stream and the message at its end", async () => {
  const stream = client.messages.stream(says("echo one two three"));
  let text = "";
  stream.on("text", (piece) => (text += piece));
  const message = await stream.finalMessage();
  assert.equal(text, "one two three");
  assert.equal(message.content[0].text, text);
  assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
});

const run = async ({ city }) => `22 degrees in ${city}`;

test("a runner of tools is answered with the whole history", async () => {
  const weather = betaZodTool({
    name: "get_weather",
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    run,
  });
  const said = says('call get_weather {"city":"Paris"}');
  const message = await client.beta.messages.toolRunner({ ...said, tools: [weather] });
  assert.equal(message.content[0].text, "get_weather says: 22 degrees in Paris");
});

test("tokens and models", async () => {
  const { messages } = says("echo Hello there");
  const counted = await client.messages.countTokens({ model, messages });
  assert.ok(counted.input_tokens > 0);
  assert.equal((await client.models.retrieve(model)).display_name, model);
});

test("an error is the SDK's own, and is not repeated", async () => {
  const unknown = client.messages.create({ ...says("hi"), model: "gpt-4o-mimi" });
  await assert.rejects(unknown, Anthropic.NotFoundError);
  const failing = client.messages.stream(says("/emulate size:4 error_event:3\necho one two three four five"));
  await assert.rejects(failing.finalMessage(), Anthropic.APIError);
});

test("the AI SDK: text, stream, tools and objects", async () => {
  const { text } = await generateText({ model: provider(model), prompt: "echo Hello there" });
  assert.equal(text, "Hello there");
  const stream = streamText({ model: provider(model), prompt: "echo one two three" });
  assert.equal(await stream.text, "one two three");
  assert.ok((await stream.usage).inputTokens > 0);
  const weather = tool({ description: "The weather.", inputSchema: z.object({ city: z.string() }), execute: run });
  const ran = await generateText({
    model: provider(model),
    prompt: 'call get_weather {"city":"Paris"}',
    tools: { get_weather: weather },
    stopWhen: stepCountIs(4),
  });
  assert.equal(ran.text, "get_weather says: 22 degrees in Paris");
  const schema = z.object({ name: z.string(), age: z.number() });
  const { object } = await generateObject({ model: provider(model), schema, prompt: "Invent a person." });
  assert.equal(typeof object.name, "string");
});
