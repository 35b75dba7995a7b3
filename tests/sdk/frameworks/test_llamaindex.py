"""LlamaIndex's OpenAILike, told that the model is a chat model."""

from __future__ import annotations

import openai
import pytest
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.llms.openai_like import OpenAILike

from conftest import PNG
from conversation import MODEL, SEES


@pytest.fixture
def model(gateway_url):
    """Makes the model with the settings that a test adds."""

    def model(**settings) -> OpenAILike:
        settings = {"model": MODEL, "is_chat_model": True} | settings
        return OpenAILike(api_base=gateway_url, api_key="demo", **settings)

    return model


@pytest.fixture
def says(marker):
    """A conversation whose instructions hold the marker."""
    return lambda *content: [
        ChatMessage(role="system", content=marker),
        *(ChatMessage(role="user", content=text) for text in content),
    ]


def test_chat(model, says, sent, marker):
    answer = model().chat(says("echo from the index"))
    assert answer.message.content == "from the index"
    assert answer.raw.usage.total_tokens > 0
    assert sent().system_prompt == marker


def test_stream_chat(model, says, sent):
    pieces = list(model().stream_chat(says("count 30")))
    assert "".join(piece.delta for piece in pieces) == " ".join(map(str, range(1, 31)))
    assert pieces[-1].message.content == " ".join(map(str, range(1, 31)))
    assert sent().streams


def test_streamed_usage(model, says, sent):
    settings = {"additional_kwargs": {"stream_options": {"include_usage": True}}}
    *_, last = model(**settings).stream_chat(says("echo measured"))
    assert last.raw.usage.completion_tokens > 0
    sent()


def test_complete_and_stream_complete(model, emulator, marker):
    assert model().complete(f"echo {marker}").text == marker
    assert "".join(piece.delta for piece in model().stream_complete(f"echo {marker}")) == marker
    assert [call.prompt for call in emulator.calls(marker)] == [f"echo {marker}"] * 2


async def test_async_chat(model, says, sent):
    assert (await model().achat(says("echo awaited"))).message.content == "awaited"
    sent()


async def test_async_stream_chat(model, says, sent):
    stream = await model().astream_chat(says("echo in pieces"))
    assert "".join([piece.delta async for piece in stream]) == "in pieces"
    sent()


def test_settings_reach_fal(model, says, sent):
    model(temperature=0.7, max_tokens=60).chat(says("echo set"))
    body = sent().body
    assert (body["temperature"], body["max_tokens"]) == (0.7, 60)


def test_an_image_block(model, sent, marker):
    blocks = [TextBlock(text="echo seen"), ImageBlock(image=PNG.encode(), image_mimetype="image/png")]
    messages = [ChatMessage(role="system", content=marker), ChatMessage(role="user", blocks=blocks)]
    assert model(model=SEES).chat(messages).message.content.startswith("seen")
    assert sent().image_urls == [f"data:image/png;base64,{PNG}"]


def test_an_image_by_its_address(model, sent, marker):
    blocks = [TextBlock(text=f"echo {marker}"), ImageBlock(url="https://example.com/cat.png")]
    model(model=SEES).chat([ChatMessage(role="user", blocks=blocks)])
    assert sent().image_urls == ["https://example.com/cat.png"]


def test_reasoning_is_a_block_of_its_own(model, says, sent):
    message = model(model=SEES, additional_kwargs={"reasoning_effort": "high"}).chat(says("reason")).message
    thoughts = [block.content for block in message.blocks if block.block_type == "thinking"]
    assert len(thoughts) == 1 and thoughts[0].strip()
    assert thoughts[0] not in message.content
    assert sent().reasoning is True


def test_a_refusal_raises(model, says, emulator, marker):
    with pytest.raises(openai.NotFoundError):
        model(model="gpt-4oo").chat(says("hello"))
    assert emulator.calls(marker) == []


def test_a_broken_stream_raises(model, says, sent):
    with pytest.raises(openai.APIError):
        list(model().stream_chat(says("echo abcdefghijklmnop /emulate drop:2 size:5")))
    sent()
