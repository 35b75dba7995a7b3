"""LangChain's tools, structured outputs and a small agent, over the gateway."""

from __future__ import annotations

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from conversation import MODEL
from tools import Recipe

PARIS = "What is the weather in Paris?"


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@tool
def get_time(zone: str) -> str:
    """The time in a zone."""
    return f"noon in {zone}"


HANDS = {"get_weather": get_weather, "get_time": get_time}


@pytest.fixture
def chat_model(served, gateway_url) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=gateway_url, api_key="demo", max_retries=0)


def joined(chunks):
    """LangChain's own sum of a stream."""
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


# --- tools ---


def test_bind_tools(chat_model):
    message = chat_model.bind_tools([get_weather, get_time]).invoke(PARIS)
    [call] = message.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    assert message.invalid_tool_calls == []
    assert message.response_metadata["finish_reason"] == "tool_calls"


def test_streamed_tool_call_chunks(chat_model):
    chunks = list(chat_model.bind_tools([get_weather, get_time]).stream(PARIS))
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert [piece["name"] for piece in pieces if piece["name"]] == ["get_weather"]
    whole = joined(chunks)
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("get_weather", {"city": "Paris"})]
    assert whole.invalid_tool_calls == []


async def test_an_async_stream(chat_model):
    stream = chat_model.bind_tools([get_weather]).astream(PARIS)
    assert joined([chunk async for chunk in stream]).tool_calls[0]["args"] == {"city": "Paris"}


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
def test_two_calls_at_once(chat_model, streaming):
    model = chat_model.bind_tools([get_weather, get_time])
    prompt = 'call get_weather {"city": "Rome"} and get_time {"zone": "CET"}'
    message = joined(list(model.stream(prompt))) if streaming else model.invoke(prompt)
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        ("get_weather", {"city": "Rome"}),
        ("get_time", {"zone": "CET"}),
    ]


@pytest.mark.parametrize("choice", ["any", "required", True, "get_weather"])
def test_a_choice_that_demands(chat_model, choice):
    tools = [get_weather] if choice is True else [get_weather, get_time]
    message = chat_model.bind_tools(tools, tool_choice=choice).invoke("Hello")
    assert message.tool_calls
    if choice in (True, "get_weather"):
        assert [call["name"] for call in message.tool_calls] == ["get_weather"]


def test_no_call_when_told_so(chat_model):
    assert chat_model.bind_tools([get_weather], tool_choice="none").invoke("echo quiet").content == "quiet"


def test_strict_tools(chat_model):
    message = chat_model.bind_tools([get_weather], strict=True).invoke(f"{PARIS}\n/emulate tool:extra")
    assert message.tool_calls[0]["args"] == {"city": "Paris"}


def test_a_call_that_never_comes_raises(chat_model):
    model = chat_model.bind_tools([get_weather, get_time], tool_choice="any")
    with pytest.raises(openai.BadRequestError) as caught:
        model.invoke("Hello\n/emulate tool:none stubborn")
    assert caught.value.code == "tool_choice_not_met"


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
def test_an_agent_of_two_tools(chat_model, streaming):
    model = chat_model.bind_tools([get_weather, get_time])
    messages = [HumanMessage('call get_weather {"city": "Rome"}, then use get_time')]
    used = []
    for _ in range(5):
        said = joined(list(model.stream(messages))) if streaming else model.invoke(messages)
        messages.append(AIMessage(content=said.content, tool_calls=said.tool_calls))
        if not said.tool_calls:
            break
        for call in said.tool_calls:
            used.append(call["name"])
            messages.append(ToolMessage(HANDS[call["name"]].invoke(call["args"]), tool_call_id=call["id"]))
    assert used == ["get_weather", "get_time"]
    assert "noon in" in messages[-1].content


# --- structured outputs ---

METHODS = ["json_schema", "function_calling", "json_mode"]
# JSON mode tells the model nothing of the form, so the prompt has to.
FORM = "Answer in JSON: call it a cake"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_structured_output(chat_model, method):
    assert isinstance(chat_model.with_structured_output(Recipe, method=method).invoke(FORM), Recipe)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_strict_structured_output(chat_model, method):
    model = chat_model.with_structured_output(Recipe, method=method, strict=True)
    assert isinstance(model.invoke(f"{FORM}\n/emulate json:wrong"), Recipe)


def test_json_mode(chat_model):
    answer = chat_model.with_structured_output(None, method="json_mode").invoke("Answer in JSON")
    assert isinstance(answer, dict) and answer


@pytest.mark.parametrize("method", METHODS)
def test_a_structured_output_as_a_dictionary_with_the_raw_message(chat_model, method):
    schema = None if method == "json_mode" else Recipe.model_json_schema()
    answer = chat_model.with_structured_output(schema, method=method, include_raw=True).invoke(FORM)
    assert answer["parsing_error"] is None
    assert isinstance(answer["parsed"], dict)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_streamed_structured_output(chat_model, method):
    *_, last = chat_model.with_structured_output(Recipe, method=method).stream(FORM)
    assert isinstance(last, Recipe)


async def test_an_async_structured_output(chat_model):
    assert isinstance(await chat_model.with_structured_output(Recipe).ainvoke(FORM), Recipe)


def test_a_refusal_raises(chat_model):
    with pytest.raises(Exception, match="sorry"):
        chat_model.with_structured_output(Recipe).invoke(f"{FORM}\n/emulate json:refuse stubborn")
