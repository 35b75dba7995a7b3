"""OpenAI's own Python client against the router's chat face, set up as fal documents it: a base URL, a key that
stands for none, and fal's key in the header."""

import json

import openai
import pytest

from conftest import BASE, KEY

MODEL = "openai/gpt-4o-mini"
SETTINGS = {
    "base_url": f"{BASE}/openrouter/router/openai/v1",
    "api_key": "not-needed",
    "default_headers": {"Authorization": f"Key {KEY}"},
}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def ask():
    with openai.OpenAI(**SETTINGS, max_retries=0) as client:

        def ask(messages, **parameters):
            if isinstance(messages, str):
                messages = [{"role": "user", "content": messages}]
            return client.chat.completions.create(**{"model": MODEL, "messages": messages} | parameters)

        yield ask


def test_a_whole_answer_with_usage_and_cost(ask):
    answer = ask("echo hello wörld 👍")
    assert answer.choices[0].message.content == "hello wörld 👍"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens > 0 and answer.usage.model_extra["cost"] > 0


def test_a_stream_past_comments_to_its_end(ask):
    chunks = list(ask("echo eins zwei drei 日本語 /emulate ping:5ms gap:20ms", stream=True))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "eins zwei drei 日本語"
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]
    assert chunks[-1].usage.completion_tokens > 0


def test_a_tool_loop(ask):
    messages = [{"role": "user", "content": "How is the weather in Paris?"}]
    message = ask(messages, tools=[TOOL]).choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages += [message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    assert ask(messages, tools=[TOOL]).choices[0].message.content == "get_weather says: sunny"


def test_tool_calls_are_streamed_by_their_index(ask):
    prompt = "call get_weather {\"city\": \"Rome\"} and get_weather {\"city\": \"Oslo\"}"
    calls = {}
    for chunk in ask(prompt, tools=[TOOL], stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                calls[call.index] = calls.get(call.index, "") + (call.function.arguments or "")
    assert [json.loads(calls[index]) for index in sorted(calls)] == [{"city": "Rome"}, {"city": "Oslo"}]


def test_a_schema_and_reasoning(ask):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "number", "strict": True, "schema": schema}}
    assert json.loads(ask("Give me 7", response_format=form).choices[0].message.content) == {"n": 7}
    message = ask("Think", model="google/gemini-2.5-flash", reasoning_effort="low").choices[0].message
    assert message.model_extra["reasoning"] and message.model_extra["reasoning_details"]


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ({"model": "nobody/knows"}, openai.BadRequestError, "not a valid model ID"),
        ({"model": "openai/gpt-5-chat", "tools": [TOOL]}, openai.NotFoundError, "support tool use"),
        ({"messages": "hi /emulate error:upstream_402"}, openai.APIStatusError, "Insufficient credits"),
        ({"messages": "hi /emulate error:upstream_429"}, openai.RateLimitError, "Provider returned error"),
        ({"messages": "hi /emulate error:no_balance"}, openai.PermissionDeniedError, "Exhausted balance"),
    ],
)
def test_refusals_raise(ask, parameters, error, text):
    messages = parameters.pop("messages", "hi")
    with pytest.raises(error) as caught:
        ask(messages, **parameters)
    assert text in json.dumps(caught.value.body)


def test_a_failure_in_mid_stream_raises(ask):
    with pytest.raises(openai.APIError):
        list(ask("echo one two three /emulate error_event:2", stream=True))


def test_a_bearer_key_is_refused():
    with openai.OpenAI(base_url=SETTINGS["base_url"], api_key=KEY, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
