"""LangChain's ChatOpenAI, pointed at the gateway."""

from __future__ import annotations

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

from conversation import MODEL


@pytest.fixture
def chat_model(traffic, gateway_url) -> ChatOpenAI:
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
    body = emulator.only_call(marker).body
    assert body["system_prompt"].startswith(f"Be brief. {marker}")
    assert body["prompt"].find("hi") < body["prompt"].find("hello") < body["prompt"].find("echo bye")


def test_stream(chat_model):
    chunks = list(chat_model.stream("count 20"))
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


def test_max_tokens_reaches_fal(gateway_url, traffic, emulator, marker):
    """LangChain sends `max_completion_tokens`, never `max_tokens`."""
    model = ChatOpenAI(model=MODEL, base_url=gateway_url, api_key="demo", max_tokens=77)
    model.invoke(f"echo {marker}")
    assert emulator.only_call(marker).body["max_tokens"] == 77


def test_a_broken_stream_raises(chat_model):
    with pytest.raises(openai.APIError):
        list(chat_model.stream("echo abcdefghij /emulate drop:1 size:5"))


def test_a_refusal_raises(gateway_url, traffic):
    with pytest.raises(openai.NotFoundError):
        ChatOpenAI(model="gpt-4oo", base_url=gateway_url, api_key="demo").invoke("hello")
