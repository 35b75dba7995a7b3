"""The Responses API through frameworks that are built on it: LlamaIndex, LiteLLM and pydantic-ai.

What is asked here keeps nothing: each framework sends all of a conversation with every request.
"""

from __future__ import annotations

import json

import litellm
import openai
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from conversation import MODEL, user

PARIS = 'call get_weather {"city": "Paris"}'


class City(BaseModel):
    name: str
    people: int


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

# --- LlamaIndex ---


@pytest.fixture
def index(gateway_url):
    # It looks the context length up by the name, which it does not know.
    return OpenAIResponses(model=MODEL, api_base=gateway_url, api_key="demo", context_window=128_000)


def test_llamaindex_chats(index, sent, marker):
    messages = [ChatMessage(role="system", content=marker), ChatMessage(role="user", content="echo from the index")]
    assert index.chat(messages).message.content == "from the index"
    assert sent().system_prompt == marker


def test_llamaindex_streams(index):
    pieces = list(index.stream_chat([ChatMessage(role="user", content="count 30")]))
    assert "".join(piece.delta or "" for piece in pieces) == " ".join(map(str, range(1, 31)))


def test_llamaindex_calls_a_tool(index):
    tools = [FunctionTool.from_defaults(get_weather)]
    answer = index.chat_with_tools(tools, user_msg=PARIS, tool_required=True)
    (call,) = index.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Paris"})


def test_llamaindex_gives_an_object(index):
    answer = index.as_structured_llm(City).chat([ChatMessage(role="user", content="Invent a city.")])
    assert isinstance(answer.raw, City)


# --- LiteLLM ---


@pytest.fixture
def settings(gateway_url) -> dict:
    return {"model": f"openai/{MODEL}", "api_base": gateway_url, "api_key": "demo"}


def test_litellm_responds(settings, sent, marker):
    answer = litellm.responses(**settings, input="echo through LiteLLM", instructions=marker, store=False)
    assert answer.output[0].content[0].text == "through LiteLLM"
    assert answer.usage.output_tokens > 0
    sent()


async def test_litellm_streams(settings):
    stream = await litellm.aresponses(**settings, input="count 30", stream=True, store=False)
    events = [event async for event in stream]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == " ".join(map(str, range(1, 31)))
    assert events[-1].type == "response.completed"


def test_litellms_chat_over_responses_calls_a_tool_and_reads_its_output(settings):
    settings["model"] = f"openai/responses/{MODEL}"
    tools = [{"type": "function", "function": {name: WEATHER[name] for name in ("name", "parameters")}}]
    messages = [user(PARIS)]
    message = litellm.completion(**settings, messages=messages, tools=tools).choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    output = {"role": "tool", "tool_call_id": call.id, "content": "sunny and warm"}
    answer = litellm.completion(**settings, messages=[*messages, message, output], tools=tools)
    assert "sunny and warm" in answer.choices[0].message.content


# --- pydantic-ai ---


@pytest.fixture
def agent(gateway_url, marker):
    def agent(**settings) -> Agent:
        provider = OpenAIProvider(base_url=gateway_url, api_key="demo")
        return Agent(OpenAIResponsesModel(MODEL, provider=provider), instructions=marker, **settings)

    return agent


async def test_pydantic_ai_runs(agent, sent):
    result = await agent().run("echo from an agent")
    assert result.output == "from an agent"
    assert result.usage.output_tokens > 0
    sent()


async def test_pydantic_ai_streams(agent):
    async with agent().run_stream("count 30 /emulate gap:5ms") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == " ".join(map(str, range(1, 31)))
    assert len(pieces) > 1


async def test_pydantic_ai_uses_a_tool(agent):
    result = await agent(tools=[get_weather]).run(PARIS)
    assert "sunny in Paris" in result.output
    assert result.usage.requests == 2


async def test_pydantic_ai_gives_an_object(agent):
    result = await agent(output_type=City).run("Invent a city.")
    assert isinstance(result.output, City)


async def test_pydantic_ai_thinks_and_goes_on(agent, emulator, marker):
    """It sends what was thought back with the conversation."""
    settings = {"openai_reasoning_effort": "high", "openai_reasoning_summary": "auto"}
    first = await agent().run("reason", model_settings=settings)
    second = await agent().run("echo and on", message_history=first.all_messages(), model_settings=settings)
    assert second.output == "and on"
    prompt = emulator.calls(marker)[-1].prompt
    assert first.output in prompt


# --- failures ---


async def test_a_failure_that_was_paid_for_is_not_repeated(index, settings, agent, emulator, marker):
    words = f"{marker} /emulate error200"
    with pytest.raises(openai.APIError):
        index.chat([ChatMessage(role="user", content=f"1 {words}")])
    with pytest.raises(openai.APIError):
        list(index.stream_chat([ChatMessage(role="user", content=f"2 {words}")]))
    with pytest.raises(openai.APIError):
        litellm.responses(**settings, input=f"3 {words}", store=False)
    with pytest.raises(ModelHTTPError):
        await agent().run("4 /emulate error200")
    assert len(emulator.calls(marker)) == 4
