// Images, begun answers, tool calls and refusals in a conversation. With openai-node.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import OpenAI from 'openai';

import { ask, assistant, bothWays, client, system, user } from './support/client.mjs';
import { calls, newMarker, onlyCall, testAnyLlm, told } from './support/emulator.mjs';
import { isAnyLlm, sees } from './support/environment.mjs';

const url = 'https://example.com/cat.png';
const png =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const jpeg = 'data:image/jpeg;base64,/9j/4AAQSkZJRgABAQEASABIAAD/2Q==';

const text = (words) => ({ type: 'text', text: words });
const image = (address) => ({ type: 'image_url', image_url: { url: address } });

function assertInOrder(whole, ...pieces) {
  let position = 0;
  for (const piece of pieces) {
    const found = whole.indexOf(piece, position);
    assert.ok(found >= 0, `${JSON.stringify(piece)} does not follow in: ${whole}`);
    position = found + piece.length;
  }
}

for (const [way, stream] of bothWays) {
  describe(`images, ${way}`, () => {
    test('of several turns are numbered in order', async () => {
      const marker = newMarker();
      const messages = [
        user([text(`A cat: ${marker}`), image(url), text('and a dog:'), image(png)]),
        assistant('Lovely.'),
        user([image(jpeg), text('echo a bird')]),
      ];
      await ask(messages, { model: sees, stream });
      const { prompt, image_urls: shown, streams } = told(await onlyCall(marker));
      assert.equal(streams, stream);
      assert.deepEqual(shown, [url, png, jpeg]);
      const marks = isAnyLlm ? ['\n[image 1]', '\n[image 2]', '[image 3]\n'] : ['', '', ''];
      assertInOrder(prompt, `A cat: ${marker}${marks[0]}\nand a dog:${marks[1]}`, 'Lovely.', `${marks[2]}echo a bird`);
    });

    test('are not for a model that cannot see', async () => {
      const marker = newMarker();
      const asking = ask([user([text(marker), image(png)])], { model: 'deepseek/deepseek-r1', stream });
      const refused = (error) => error instanceof OpenAI.BadRequestError && error.param === 'messages[0].content[1]';
      await assert.rejects(asking, refused);
      assert.deepEqual(await calls(marker), []);
    });

    for (const [what, address] of [
      ['a malformed data URI', 'data:image/png;base64,@@@@'],
      ['a wrong media type', 'data:application/pdf;base64,JVBERi0xLjQ='],
      ['a private address', 'https://169.254.169.254/latest/meta-data'],
      ['no https', 'http://example.com/a.png'],
    ]) {
      test(`${what} is refused with its place`, async () => {
        const marker = newMarker();
        const messages = [user(marker), user([text('Look:'), image(url), image(address)])];
        await assert.rejects(ask(messages, { model: sees, stream }), (error) => {
          assert.ok(error instanceof OpenAI.BadRequestError, String(error));
          assert.equal(error.param, 'messages[1].content[2]');
          assert.equal(error.code, 'invalid_image_url');
          return true;
        });
        assert.deepEqual(await calls(marker), []);
      });
    }

    test('too many are refused with the place of the first too many', async () => {
      const messages = [user([text('Look:'), ...Array.from({ length: 17 }, () => image(url))])];
      const asking = ask(messages, { model: sees, stream });
      await assert.rejects(asking, (error) => error.param === 'messages[0].content[17]');
    });
  });

  describe(`history, ${way}`, () => {
    testAnyLlm('a last message of the assistant is continued', async () => {
      const marker = newMarker();
      await ask([user(`How many? ${marker}`), assistant('The answer is ')], { stream });
      const { body } = await onlyCall(marker);
      assert.ok(body.prompt.endsWith('\n\nThe answer is '));
    });

    testAnyLlm('tool calls and their results are told, though no tools are offered', async () => {
      const marker = newMarker();
      const call = { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"city": "Paris"}' } };
      const result = { role: 'tool', tool_call_id: 'call_1', content: 'sunny' };
      const messages = [user(`Weather? ${marker}`), assistant(null, { tool_calls: [call] }), result];
      const { choices } = await ask(messages, { stream });
      assert.equal(choices[0].text, 'get_weather says: sunny');
      const { body } = await onlyCall(marker);
      assertInOrder(body.prompt, marker, 'get_weather', '{"city": "Paris"}', 'call_1', 'call_1', 'get_weather', 'sunny');
    });

    for (const [where, refusal] of [
      ['part', assistant([{ type: 'refusal', refusal: 'I will not.' }])],
      ['field', assistant(null, { refusal: 'I will not.' })],
    ]) {
      test(`a refusal in a ${where} is something that was said`, async () => {
        const marker = newMarker();
        await ask([user(marker), refusal, user('echo fine')], { stream });
        assertInOrder(told(await onlyCall(marker)).prompt, marker, 'I will not.', 'echo fine');
      });
    }

    testAnyLlm('a header says how a conversation was written', async () => {
      const { headers } = await ask([user('a'), assistant('b'), user('echo c')], { stream });
      assert.match(headers.get('x-gateway-fold'), /^record; turns=3$/);
    });
  });
}

test('an answer can be sent back as it came', async () => {
  const marker = newMarker();
  const messages = [system(marker), user('reason')];
  const completion = await client.chat.completions.create({ model: sees, messages, reasoning_effort: 'high' });
  const { message } = completion.choices[0];
  const { choices } = await ask([...messages, message, user('echo heard')]);
  assert.equal(choices[0].text, 'heard');
  const { prompt } = told((await calls(marker)).at(-1));
  assert.ok(prompt.includes(message.content));
  assert.ok(!prompt.includes(message.reasoning_content));
});
