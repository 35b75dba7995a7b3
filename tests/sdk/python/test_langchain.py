"""LangChain's ChatOpenAI, pointed at the gateway."""

from __future__ import annotations

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

from conversation import MODEL, SEES


@pytest.fixture
def chat_model(served, gateway_url) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=gateway_url, api_key="demo")


def test_invoke(chat_model):
    message = chat_model.invoke("echo from a chain")
    assert isinstance(message, AIMessage)
    assert message.content == "from a chain"
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == MODEL


def test_usage_metadata(chat_model):
    usage = chat_model.invoke("echo three small words").usage_metadata
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_conversation_with_instructions(chat_model, emulator, marker):
    messages = [SystemMessage(f"Be brief. {marker}"), HumanMessage("hi"), AIMessage("hello"), HumanMessage("echo bye")]
    assert chat_model.invoke(messages).content == "bye"
    sent = emulator.only_call(marker)
    assert sent.system_prompt.startswith(f"Be brief. {marker}")
    assert sent.prompt.find("hi") < sent.prompt.find("hello") < sent.prompt.find("echo bye")


def test_stream(chat_model):
    chunks = list(chat_model.stream("count 20 /emulate gap:5ms"))
    assert len([chunk for chunk in chunks if chunk.content]) > 1
    assert "".join(chunk.content for chunk in chunks) == chat_model.invoke("count 20").content


def test_streamed_usage_when_asked_for(chat_model):
    chunks = chat_model.stream("echo measured", stream_usage=True)
    reported = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert len(reported) == 1
    assert reported[0]["total_tokens"] > 0


def test_batch_keeps_the_order(chat_model):
    answers = chat_model.batch([f"echo item {number}" for number in range(8)])
    assert [answer.content for answer in answers] == [f"item {number}" for number in range(8)]


async def test_async_invoke_and_stream(chat_model):
    assert (await chat_model.ainvoke("echo awaited")).content == "awaited"
    assert "".join([chunk.content async for chunk in chat_model.astream("echo awaited too")]) == "awaited too"


async def test_async_batch(chat_model):
    answers = await chat_model.abatch(["echo left", "echo right"])
    assert [answer.content for answer in answers] == ["left", "right"]


def test_a_chain_of_prompt_model_and_parser(chat_model):
    chain = ChatPromptTemplate.from_messages([("human", "echo {word}")]) | chat_model | StrOutputParser()
    assert chain.invoke({"word": "piped"}) == "piped"


def test_max_tokens_reaches_fal(gateway_url, served, emulator, marker):
    """LangChain sends `max_completion_tokens`, never `max_tokens`."""
    model = ChatOpenAI(model=MODEL, base_url=gateway_url, api_key="demo", max_tokens=77)
    model.invoke(f"echo {marker}")
    assert emulator.only_call(marker).body["max_tokens"] == 77


def test_a_broken_stream_raises(chat_model):
    with pytest.raises(openai.APIError):
        list(chat_model.stream("echo abcdefghijklmno /emulate drop:2 size:5"))


def test_a_refusal_raises(gateway_url, served):
    with pytest.raises(openai.NotFoundError):
        ChatOpenAI(model="gpt-4oo", base_url=gateway_url, api_key="demo").invoke("hello")


def test_an_answer_is_one_call_with_its_usage(chat_model, emulator, marker):
    message = chat_model.invoke([SystemMessage(marker), HumanMessage("echo counted once")])
    assert message.content == "counted once"
    assert message.usage_metadata["output_tokens"] > 0
    sent = emulator.only_call(marker)
    assert (sent.body["model"], sent.system_prompt, sent.prompt) == (MODEL, marker, "echo counted once")


def test_a_stream_is_one_call_with_its_usage(chat_model, emulator, marker):
    chunks = list(chat_model.stream([SystemMessage(marker), HumanMessage("count 30")], stream_usage=True))
    assert "".join(chunk.content for chunk in chunks) == " ".join(map(str, range(1, 31)))
    [usage] = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0
    assert emulator.only_call(marker).streams


def test_a_batch_is_one_call_each(chat_model, emulator, marker):
    answers = chat_model.batch([[SystemMessage(marker), HumanMessage(f"echo item {number}")] for number in range(3)])
    assert [answer.content for answer in answers] == ["item 0", "item 1", "item 2"]
    assert all(answer.usage_metadata["total_tokens"] > 0 for answer in answers)
    assert len(emulator.calls(marker)) == 3


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("block", "address"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}, "https://example.com/cat.png"),
        ({"type": "image", "url": "https://example.com/dog.png"}, "https://example.com/dog.png"),
        ({"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}, "data:image/png;base64,iVBORw0KGgo="),
    ],
    ids=["OpenAI's block", "LangChain's block", "LangChain's block with data"],
)
def test_image_blocks(gateway_url, served, emulator, marker, block, address, streaming):
    model = ChatOpenAI(model=SEES, base_url=gateway_url, api_key="demo", streaming=streaming)
    message = model.invoke([HumanMessage([{"type": "text", "text": f"echo {marker}"}, block])])
    assert message.content.startswith(marker)
    call = emulator.only_call(marker)
    assert call.streams == streaming
    assert call.image_urls == [address]


def test_stop_and_temperature(chat_model, emulator, marker):
    message = chat_model.invoke([SystemMessage(marker), HumanMessage("echo kept|dropped")], stop=["|"], temperature=0.2)
    assert message.content == "kept"
    assert emulator.only_call(marker).body["temperature"] == 0.2


def test_several_candidates(chat_model, emulator, marker):
    generations = chat_model.generate([[HumanMessage(f"echo {marker}")]], n=2).generations[0]
    assert [generation.text for generation in generations] == [marker, marker]
    assert len(emulator.calls(marker)) == 2
