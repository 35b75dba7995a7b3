"""LiteLLM as a client: the gateway is an `openai/...` model with a base URL."""

from __future__ import annotations

import litellm
import pytest

from conftest import PNG
from conversation import MODEL, SEES, assistant, system, user


@pytest.fixture
def settings(gateway_url) -> dict:
    return {"model": f"openai/{MODEL}", "api_base": gateway_url, "api_key": "demo"}


def text_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_completion(settings, sent, marker):
    answer = litellm.completion(**settings, messages=[system(marker), user("echo through LiteLLM")])
    assert answer.choices[0].message.content == "through LiteLLM"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert (sent().system_prompt, sent().prompt) == (marker, "echo through LiteLLM")


def test_stream(settings, sent, marker):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(**settings, messages=[system(marker), user("count 30")], **options))
    assert text_of(chunks) == " ".join(map(str, range(1, 31)))
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    [usage] = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert sent().streams


async def test_async_completion(settings, sent, marker):
    answer = await litellm.acompletion(**settings, messages=[system(marker), user("echo awaited")])
    assert answer.choices[0].message.content == "awaited"
    assert answer.usage.total_tokens > 0
    sent()


async def test_async_stream(settings, sent, marker):
    stream = await litellm.acompletion(**settings, messages=[system(marker), user("echo in pieces")], stream=True)
    assert text_of([chunk async for chunk in stream]) == "in pieces"
    sent()


def test_a_conversation_with_parameters(settings, sent, marker):
    messages = [system(marker), user("first"), assistant("second"), user("echo third|rest")]
    answer = litellm.completion(**settings, messages=messages, temperature=0.5, max_tokens=60, stop=["|"])
    assert answer.choices[0].message.content == "third"
    body = sent().body
    assert (body["temperature"], body["max_tokens"]) == (0.5, 60)
    prompt = sent().prompt
    assert prompt.find("first") < prompt.find("second") < prompt.find("echo third")


def test_an_image(settings, sent, marker):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages = [system(marker), user([{"type": "text", "text": "echo seen"}, image])]
    answer = litellm.completion(**settings | {"model": f"openai/{SEES}"}, messages=messages)
    assert answer.choices[0].message.content.startswith("seen")
    assert sent().image_urls == [f"data:image/png;base64,{PNG}"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_reasoning(settings, sent, marker, stream):
    answer = litellm.completion(
        **settings | {"model": f"openai/{SEES}"},
        messages=[system(marker), user("reason")],
        reasoning_effort="high",
        allowed_openai_params=["reasoning_effort"],
        stream=stream,
    )
    if stream:
        thoughts = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in answer)
    else:
        thoughts = answer.choices[0].message.reasoning_content
    assert thoughts.strip()
    assert sent().reasoning is True


def test_several_choices(settings, emulator, marker):
    answer = litellm.completion(**settings, messages=[user(f"echo {marker}")], n=2)
    assert [choice.message.content for choice in answer.choices] == [marker, marker]
    assert len(emulator.calls(marker)) == 2


@pytest.mark.parametrize(
    ("prompt", "parameters", "exception", "calls"),
    [
        ("hello", {"temperature": 7}, litellm.BadRequestError, 0),
        ("hello", {"model": "openai/gpt-4oo"}, litellm.NotFoundError, 0),
        ("hello /emulate error:rate_limit", {}, litellm.RateLimitError, 1),
        ("hello /emulate error:no_balance", {}, litellm.RateLimitError, 1),
        ("hello /emulate error200", {}, litellm.BadRequestError, 1),
    ],
    ids=["refused", "unknown model", "rate limit", "no balance", "unusable"],
)
def test_errors_have_litellm_s_classes(settings, emulator, marker, prompt, parameters, exception, calls):
    with pytest.raises(exception):
        litellm.completion(**settings | parameters, messages=[system(marker), user(prompt)], max_retries=0)
    assert len(emulator.calls(marker)) == calls


def test_a_broken_stream_raises(settings, sent, marker):
    prompt = "echo abcdefghijklmnop /emulate drop:2 size:5"
    # Any other class would have LiteLLM's router repeat the request.
    with pytest.raises(litellm.BadRequestError):
        list(litellm.completion(**settings, messages=[system(marker), user(prompt)], stream=True))
    sent()
