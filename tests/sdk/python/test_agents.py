"""OpenAI's Agents SDK, which speaks the Responses API. Without a session it sends all of a conversation each time."""

from __future__ import annotations

import openai
import pytest
from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from pydantic import BaseModel

from conversation import MODEL

set_tracing_disabled(True)

PARIS = 'call get_weather {"city": "Paris"}'


class City(BaseModel):
    name: str
    people: int


@function_tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


@pytest.fixture
def agent(async_client, marker):
    def agent(name: str = "helper", **settings) -> Agent:
        model = OpenAIResponsesModel(model=MODEL, openai_client=async_client)
        return Agent(name=name, instructions=f"Help. {marker}", model=model, **settings)

    return agent


async def test_a_run(agent, emulator, marker):
    result = await Runner.run(agent(), "echo from an agent")
    assert result.final_output == "from an agent"
    assert emulator.only_call(marker).system_prompt.startswith(f"Help. {marker}")


async def test_a_tool_loop(agent, emulator, marker):
    result = await Runner.run(agent(tools=[get_weather]), PARIS)
    assert "sunny in Paris" in result.final_output
    assert len(emulator.calls(marker)) == 2


async def test_a_streamed_tool_loop(agent):
    result = Runner.run_streamed(agent(tools=[get_weather]), PARIS)
    kinds = [event.type async for event in result.stream_events()]
    assert "sunny in Paris" in result.final_output
    assert {"raw_response_event", "run_item_stream_event"} <= set(kinds)


async def test_a_second_run_knows_the_first(agent, emulator, marker):
    first = await Runner.run(agent(), "My name is Ada.")
    second = await Runner.run(agent(), [*first.to_input_list(), {"role": "user", "content": "echo hello again"}])
    assert second.final_output == "hello again"
    prompt = emulator.calls(marker)[-1].prompt
    assert prompt.find("My name is Ada.") < prompt.find(first.final_output) < prompt.find("echo hello again")


async def test_an_object(agent):
    result = await Runner.run(agent(output_type=City), "Invent a city.")
    assert isinstance(result.final_output, City)


async def test_a_handoff(agent):
    second = agent("poet", handoff_description="Writes poems.")
    first = agent("clerk", handoffs=[second])
    result = await Runner.run(first, "call transfer_to_poet {} then echo a poem")
    assert result.last_agent is second


async def test_what_was_thought_is_sent_back(agent, emulator, marker):
    thinking = ModelSettings(reasoning={"effort": "high", "summary": "auto"}, response_include=["reasoning.encrypted_content"])
    helper = agent(model_settings=thinking, tools=[get_weather])
    result = await Runner.run(helper, PARIS)
    assert "sunny in Paris" in result.final_output
    assert len(emulator.calls(marker)) == 2


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_failure_that_was_paid_for_is_not_repeated(agent, emulator, marker, streamed):
    with pytest.raises(openai.APIError):
        if streamed:
            async for _ in Runner.run_streamed(agent(), "Hello /emulate error200").stream_events():
                pass
        else:
            await Runner.run(agent(), "Hello /emulate error200")
    assert len(emulator.calls(marker)) == 1
