"""instructor's patched clients, as they are used for plain chat."""

from __future__ import annotations

import instructor
import openai
import pytest
from instructor.core import InstructorRetryException

from conversation import MODEL, system, user


@pytest.fixture
def client(gateway_url):
    with openai.OpenAI(base_url=gateway_url, api_key="demo") as client:
        yield instructor.from_openai(client)


def test_a_plain_chat(client, sent, marker):
    messages = [system(marker), user("echo instructed")]
    completion = client.chat.completions.create(model=MODEL, messages=messages, response_model=None)
    assert completion.choices[0].message.content == "instructed"
    assert completion.usage.total_tokens > 0
    assert (sent().system_prompt, sent().prompt) == (marker, "echo instructed")


def test_a_plain_stream(client, sent, marker):
    chunks = client.chat.completions.create(
        model=MODEL, messages=[system(marker), user("echo in pieces")], response_model=None, stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "in pieces"
    sent()


async def test_an_async_chat(gateway_url, sent, marker):
    async with openai.AsyncOpenAI(base_url=gateway_url, api_key="demo") as plain:
        completion = await instructor.from_openai(plain).chat.completions.create(
            model=MODEL, messages=[system(marker), user("echo awaited")], response_model=None
        )
    assert completion.choices[0].message.content == "awaited"
    sent()


def test_a_refusal_raises(client, emulator, marker):
    with pytest.raises((openai.NotFoundError, InstructorRetryException)):
        client.chat.completions.create(model="gpt-4oo", messages=[user(marker)], response_model=None)
    assert emulator.calls(marker) == []
