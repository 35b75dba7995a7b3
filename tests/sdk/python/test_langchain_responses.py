"""LangChain's ChatOpenAI, told to use the Responses API."""

from __future__ import annotations

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from conversation import MODEL, SEES

PARIS = 'call get_weather {"city": "Paris"}'


class City(BaseModel):
    """A city."""

    name: str
    people: int


@tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


@pytest.fixture
def chat_model(served, gateway_url):
    def chat_model(**settings) -> ChatOpenAI:
        return ChatOpenAI(base_url=gateway_url, api_key="demo", use_responses_api=True, **{"model": MODEL, **settings})

    return chat_model


def test_invoke(chat_model):
    message = chat_model().invoke("echo from a chain")
    assert message.text == "from a chain"
    assert message.usage_metadata["total_tokens"] > 0


def test_stream(chat_model):
    chunks = list(chat_model().stream("count 20 /emulate gap:5ms"))
    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert "".join(chunk.text for chunk in chunks) == " ".join(map(str, range(1, 21)))


def test_a_tool_and_its_output(chat_model):
    model = chat_model().bind_tools([get_weather])
    asked = HumanMessage(PARIS)
    message = model.invoke([asked])
    (call,) = message.tool_calls
    assert call["args"] == {"city": "Paris"}
    output = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert "sunny in Paris" in model.invoke([asked, message, output]).text


def test_a_required_tool(chat_model):
    model = chat_model().bind_tools([get_weather], tool_choice="required")
    assert model.invoke("Hello").tool_calls


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_object(chat_model, method):
    model = chat_model().with_structured_output(City, method=method)
    assert isinstance(model.invoke("Invent a city."), City)


def test_what_was_thought_is_shown_and_sent_back(chat_model, emulator, marker):
    model = chat_model(model=SEES, reasoning={"effort": "high", "summary": "auto"}, output_version="responses/v1")
    asked = HumanMessage(f"reason {marker}")
    first = model.invoke([asked])
    assert [block["type"] for block in first.content] == ["reasoning", "text"]
    second = model.invoke([asked, first, HumanMessage("echo and on")])
    assert second.text == "and on"
    assert first.text in emulator.calls(marker)[-1].prompt


def test_a_failure_that_was_paid_for_is_not_repeated(chat_model, emulator, marker):
    with pytest.raises(openai.APIError):
        chat_model().invoke(f"whole {marker} /emulate error200")
    with pytest.raises(openai.APIError):
        list(chat_model().stream(f"streamed {marker} /emulate error200"))
    assert len(emulator.calls(marker)) == 2
