"""anthropic-python as people use it, in its old and its new major. `tests/run` starts the servers."""

from __future__ import annotations

import os

import anthropic
import pytest

MODEL = "openai/gpt-4o-mini"
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def hosts(name: str) -> str:
    """The SDK's base URL has no `/v1`."""
    return os.environ[name].removesuffix("/v1")


@pytest.fixture
def client():
    with anthropic.Anthropic(base_url=hosts("GATEWAY_URL"), api_key="demo") as client:
        yield client


def ask(client, text: str, **parameters):
    parameters = {"model": MODEL, "max_tokens": 1000} | parameters
    return client.messages.create(messages=[{"role": "user", "content": text}], **parameters)


def test_a_whole_answer(client):
    message = ask(client, "echo Hello there")
    assert message.content[0].text == "Hello there"
    assert (message.stop_reason, message.role, message.model) == ("end_turn", "assistant", MODEL)
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert message._request_id.startswith("req_")


def test_a_stream_and_the_message_at_its_end(client):
    with client.messages.stream(
        model=MODEL, max_tokens=1000, messages=[{"role": "user", "content": "echo one two three"}]
    ) as stream:
        assert "".join(stream.text_stream) == "one two three"
        message = stream.get_final_message()
    assert message.content[0].text == "one two three"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert message.stop_reason == "end_turn"


def test_the_stop_sequence_is_told(client):
    message = ask(client, "echo one two three", stop_sequences=[" three"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " three")
    assert message.content[0].text == "one two"


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_and_its_result(client, stream):
    question = {"role": "user", "content": 'call get_weather {"city":"Paris"}'}
    said = {"model": MODEL, "max_tokens": 1000, "tools": [WEATHER]}
    if stream:
        with client.messages.stream(messages=[question], **said) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(messages=[question], **said)
    call = message.content[-1]
    assert (message.stop_reason, call.type, call.name, call.input) == (
        "tool_use",
        "tool_use",
        "get_weather",
        {"city": "Paris"},
    )
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "22 degrees"}]}
    message = client.messages.create(
        messages=[question, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}],
        **said,
    )
    assert message.content[0].text == "get_weather says: 22 degrees"


def test_a_runner_of_tools_is_answered_with_the_whole_history(client):
    """The new major opens a thread at first, and goes on without when it is told that there are none."""

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: The city.
        """
        return f"22 degrees in {city}"

    runner = client.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=1000,
        tools=[get_weather],
        messages=[{"role": "user", "content": 'call get_weather {"city":"Paris"}'}],
    )
    assert runner.until_done().content[0].text == "get_weather says: 22 degrees in Paris"


def test_tokens_are_counted(client):
    counted = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "echo Hello there"}])
    assert counted.input_tokens == ask(client, "echo Hello there").usage.input_tokens


def test_models_are_listed_and_found(client):
    ids = [model.id for model in client.models.list(limit=5)]
    assert MODEL in ids and len(ids) == len(set(ids))
    assert client.models.retrieve(MODEL).display_name == MODEL


def test_a_name_of_claudes_is_answered(client):
    assert ask(client, "echo hi", model="claude-haiku-4-5-20251001").content[0].text == "hi"


def test_errors_are_the_sdks_own():
    keyed = anthropic.Anthropic(base_url=hosts("GATEWAY_KEYED_URL"), api_key="sk-wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        ask(keyed, "hi")
    right = anthropic.Anthropic(base_url=hosts("GATEWAY_KEYED_URL"), api_key=os.environ["GATEWAY_KEYED_KEY"])
    assert ask(right, "echo hi").content[0].text == "hi"
    with pytest.raises(anthropic.NotFoundError) as unknown:
        ask(right, "hi", model="gpt-4o-mimi")
    assert "openai/gpt-4o-mini" in str(unknown.value)
    with pytest.raises(anthropic.BadRequestError):
        ask(right, "hi", tools=[{"type": "web_search_20250305", "name": "web_search"}])


def test_an_error_in_mid_stream_is_raised(client):
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(
            model=MODEL,
            max_tokens=1000,
            messages=[{"role": "user", "content": "/emulate size:4 error_event:3\necho one two three four five"}],
        ) as stream,
    ):
        stream.until_done()
