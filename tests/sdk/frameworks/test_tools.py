"""Tools and structured answers in the frameworks: each has a way of its own to ask for them and to read them."""

from __future__ import annotations

from typing import Literal

import instructor
import litellm
import openai
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from conversation import MODEL, user

PARIS = "What is the weather in Paris?"


class Report(BaseModel):
    """A report on a city."""

    city: str
    degrees: int
    sky: Literal["clear", "cloudy"]
    notes: list[str]


# --- pydantic-ai ---


@pytest.fixture
def agent(gateway_url):
    def agent(**settings) -> Agent:
        provider = OpenAIProvider(base_url=gateway_url, api_key="demo")
        return Agent(OpenAIChatModel(MODEL, provider=provider), **settings)

    return agent


def with_weather(agent: Agent) -> list[str]:
    asked = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "sunny"

    return asked


@pytest.mark.parametrize("output", [Report, ToolOutput(Report), NativeOutput(Report), PromptedOutput(Report)], ids=repr)
async def test_pydantic_ai_output(agent, output):
    assert isinstance((await agent(output_type=output).run("Report on Paris")).output, Report)


async def test_pydantic_ai_streamed_output(agent):
    async with agent(output_type=Report).run_stream("Report on Paris") as result:
        assert isinstance(await result.get_output(), Report)


async def test_pydantic_ai_agent_with_a_tool(agent):
    talker = agent()
    asked = with_weather(talker)
    result = await talker.run(PARIS)
    assert asked == ["Paris"]
    assert result.output == "get_weather says: sunny"
    assert result.usage.requests == 2 and result.usage.tool_calls == 1


async def test_pydantic_ai_streamed_agent_with_a_tool(agent):
    talker = agent()
    asked = with_weather(talker)
    events = []
    async with talker.iter(f"{PARIS}\n/emulate silent") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as stream:
                    events += [event async for event in stream]
    assert asked == ["Paris"] and events
    assert run.result.output == "get_weather says: sunny"


# --- instructor ---


@pytest.mark.parametrize("mode", ["TOOLS", "TOOLS_STRICT", "JSON", "JSON_SCHEMA", "MD_JSON"])
def test_instructor(gateway_url, mode):
    with openai.OpenAI(base_url=gateway_url, api_key="demo") as plain:
        client = instructor.from_openai(plain, mode=instructor.Mode[mode])
        report = client.chat.completions.create(
            model=MODEL, messages=[user("Report on Paris")], response_model=Report, max_retries=0
        )
    assert isinstance(report, Report)


@pytest.mark.parametrize("mode", ["TOOLS", "JSON"])
def test_instructor_streams_partial_models(gateway_url, mode):
    with openai.OpenAI(base_url=gateway_url, api_key="demo") as plain:
        client = instructor.from_openai(plain, mode=instructor.Mode[mode])
        *_, last = client.chat.completions.create_partial(
            model=MODEL, messages=[user("Report on Paris")], response_model=Report, max_retries=0
        )
    assert Report.model_validate(last.model_dump())


async def test_instructor_asynchronously(gateway_url):
    async with openai.AsyncOpenAI(base_url=gateway_url, api_key="demo") as plain:
        client = instructor.from_openai(plain)
        report = await client.chat.completions.create(
            model=MODEL, messages=[user("Report on Paris")], response_model=Report, max_retries=0
        )
    assert isinstance(report, Report)


# --- LlamaIndex ---


def get_weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


@pytest.fixture
def model(gateway_url) -> OpenAILike:
    return OpenAILike(
        model=MODEL, api_base=gateway_url, api_key="demo", is_chat_model=True, is_function_calling_model=True
    )


def test_llamaindex_chat_with_tools(model):
    answer = model.chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg=PARIS)
    [call] = model.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Paris"})


def test_llamaindex_required_tool(model):
    tools = [FunctionTool.from_defaults(get_weather)]
    answer = model.chat_with_tools(tools, user_msg="Hello", tool_required=True)
    assert [call.tool_name for call in model.get_tool_calls_from_response(answer)] == ["get_weather"]


def test_llamaindex_streamed_tools(model):
    *_, last = model.stream_chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg=PARIS)
    [call] = model.get_tool_calls_from_response(last)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Paris"})


def test_llamaindex_predict_and_call(model):
    answer = model.predict_and_call([FunctionTool.from_defaults(get_weather)], user_msg=PARIS)
    assert str(answer) == "sunny"


def test_llamaindex_loop(model):
    tools = [FunctionTool.from_defaults(get_weather)]
    history = [ChatMessage(role="user", content=PARIS)]
    first = model.chat_with_tools(tools, chat_history=history)
    [call] = model.get_tool_calls_from_response(first)
    result = ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": call.tool_id})
    second = model.chat_with_tools(tools, chat_history=[*history, first.message, result])
    assert second.message.content == "get_weather says: sunny"


def test_llamaindex_structured(model):
    answer = model.as_structured_llm(Report).chat([ChatMessage(role="user", content="Report on Paris")])
    assert isinstance(answer.raw, Report)


# --- LiteLLM ---


@pytest.fixture
def settings(gateway_url) -> dict:
    return {"model": f"openai/{MODEL}", "api_base": gateway_url, "api_key": "demo"}


def test_litellm_response_model(settings):
    answer = litellm.completion(**settings, messages=[user("Report on Paris")], response_format=Report)
    assert Report.model_validate_json(answer.choices[0].message.content)
