"""LlamaIndex's OpenAILike as it is by default: it takes every model for a completion model and asks the legacy API."""

from __future__ import annotations

import openai
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

from conversation import MODEL


@pytest.fixture
def model(gateway_url) -> OpenAILike:
    return OpenAILike(model=MODEL, api_base=gateway_url, api_key="demo")


def test_complete(model, traffic, sent, marker):
    answer = model.complete(f"echo {marker}")
    assert answer.text == marker
    assert answer.raw.usage.total_tokens > 0
    assert sent().prompt == f"echo {marker}"
    assert traffic.exchanges[-1].path == "/v1/completions"


def test_stream_complete(model, sent, marker):
    pieces = list(model.stream_complete(f"echo {marker}"))
    assert "".join(piece.delta for piece in pieces) == marker
    assert pieces[-1].text == marker
    assert sent().streams


async def test_async_complete(model, sent, marker):
    assert (await model.acomplete(f"echo {marker}")).text == marker
    sent()


async def test_async_stream_complete(model, sent, marker):
    stream = await model.astream_complete(f"echo {marker}")
    assert "".join([piece.delta async for piece in stream]) == marker
    sent()


def test_chat_is_written_into_one_prompt(model, sent, marker):
    """LlamaIndex writes the roles itself and leaves an open cue for the answer."""
    answer = model.chat([ChatMessage(role="system", content=marker), ChatMessage(role="user", content="Hello there")])
    assert answer.message.content
    prompt = sent().prompt
    assert prompt.find(marker) < prompt.find("Hello there")
    assert prompt.rstrip().endswith("assistant:")


def test_stream_chat(model, sent, marker):
    pieces = list(model.stream_chat([ChatMessage(role="user", content=f"Hello {marker}")]))
    assert pieces[-1].message.content == "".join(piece.delta for piece in pieces)
    sent()


def test_max_tokens_and_temperature_reach_fal(gateway_url, sent, marker):
    model = OpenAILike(model=MODEL, api_base=gateway_url, api_key="demo", max_tokens=60, temperature=0.7)
    model.complete(f"echo {marker}")
    body = sent().body
    assert (body["temperature"], body["max_tokens"]) == (0.7, 60)


def test_a_refusal_raises(gateway_url, emulator, marker):
    with pytest.raises(openai.NotFoundError):
        OpenAILike(model="gpt-4oo", api_base=gateway_url, api_key="demo").complete(marker)
    assert emulator.calls(marker) == []
