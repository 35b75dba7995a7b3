"""Agents of pydantic-ai that talk: their answer is text, and they have no tools."""

from __future__ import annotations

import base64

import pytest
from pydantic_ai import Agent, BinaryContent, ImageUrl, ModelHTTPError, ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from conftest import PNG
from conversation import MODEL, SEES


@pytest.fixture
def agent(gateway_url, marker):
    """Makes an agent whose instructions hold the marker."""

    def agent(model: str = MODEL, **settings) -> Agent:
        provider = OpenAIProvider(base_url=gateway_url, api_key="demo")
        return Agent(OpenAIChatModel(model, provider=provider), instructions=marker, model_settings=settings)

    return agent


async def test_run(agent, sent, marker):
    result = await agent().run("echo from an agent")
    assert result.output == "from an agent"
    assert result.usage.input_tokens > 0 and result.usage.output_tokens > 0
    assert result.usage.requests == 1
    assert (sent().system_prompt, sent().prompt) == (marker, "echo from an agent")


async def test_run_stream(agent, sent):
    async with agent().run_stream("count 30 /emulate gap:5ms") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == " ".join(map(str, range(1, 31)))
    assert len(pieces) > 1
    assert result.usage.output_tokens > 0
    assert sent().streams


async def test_a_second_run_knows_the_first(agent, emulator, marker):
    first = await agent().run("My name is Ada.")
    second = await agent().run("echo hello again", message_history=first.all_messages())
    assert second.output == "hello again"
    prompt = emulator.calls(marker)[1].prompt
    assert prompt.find("My name is Ada.") < prompt.find(first.output) < prompt.find("echo hello again")


async def test_settings_reach_fal(agent, sent):
    """Of a name that may be OpenAI's reasoning models', pydantic-ai sends no temperature."""
    result = await agent(SEES, temperature=0.3, max_tokens=60, stop_sequences=["|"]).run("echo set|rest")
    assert result.output == "set"
    body = sent().body
    assert (body["temperature"], body["max_tokens"]) == (0.3, 60)


async def test_images(agent, sent):
    picture = BinaryContent(base64.b64decode(PNG), media_type="image/png")
    result = await agent(SEES).run(["echo seen", ImageUrl("https://example.com/cat.png"), picture])
    assert result.output.startswith("seen")
    assert sent().image_urls == ["https://example.com/cat.png", f"data:image/png;base64,{PNG}"]


async def test_reasoning_is_a_part_of_its_own(agent, sent):
    result = await agent(SEES, openai_reasoning_effort="high", extra_body={"reasoning_effort": "high"}).run("reason")
    thoughts = [part for message in result.all_messages() for part in message.parts if isinstance(part, ThinkingPart)]
    assert len(thoughts) == 1 and thoughts[0].content.strip()
    assert sent().reasoning is True


@pytest.mark.parametrize(
    ("model", "prompt", "status"),
    [("gpt-4oo", "hello", 404), (MODEL, "hello /emulate error:no_balance", 429), (MODEL, "hello /emulate error200", 400)],
)
async def test_errors_carry_the_status(agent, model, prompt, status):
    with pytest.raises(ModelHTTPError) as caught:
        await agent(model).run(prompt)
    assert caught.value.status_code == status
