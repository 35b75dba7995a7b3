"""The Responses API through openai-python: answers, streams, tools, forms and failures."""

from __future__ import annotations

import json
import time

import openai
import pytest
from jsonschema import Draft202012Validator

from conversation import MODEL, SEES, user
from tools import Recipe

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
FILES = {"type": "namespace", "name": "files", "description": "Files.", "tools": [{**WEATHER, "name": "read"}]}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Applies a patch."}
PARIS = 'call get_weather {"city": "Paris"}'
CALLS = ("function_call", "custom_tool_call")
BOTH_WAYS = pytest.mark.parametrize("respond", ["whole", "stream"], indirect=True)


@pytest.fixture(params=["whole", "stream"])
def respond(request, client):
    """Asks, whole or through the SDK's stream helper, and returns the response either way."""

    def respond(input, **parameters):
        parameters = {"model": MODEL, "store": False, "input": input, **parameters}
        if request.param == "whole":
            return client.responses.create(**parameters)
        with client.responses.stream(**parameters) as stream:
            return stream.get_final_response()

    return respond


def calls_of(response) -> list:
    """The calls, without what the model says before them."""
    return [item for item in response.output if item.type in CALLS]


@BOTH_WAYS
@pytest.mark.parametrize("input", ["echo Hello, you!", [user("echo Hello, you!")]], ids=["string", "list"])
def test_a_text(respond, input):
    response = respond(input)
    assert response.output_text == "Hello, you!"
    assert (response.status, response.error, response.incomplete_details) == ("completed", None, None)
    assert response.completed_at >= response.created_at
    assert response.usage.total_tokens > 0


@BOTH_WAYS
def test_the_instructions_and_every_role_reach_fal(respond, emulator, marker):
    roles = [{"role": role, "content": f"{role}-{marker}"} for role in ("system", "user", "assistant", "developer")]
    respond([*roles, user("echo yes")], instructions=f"instructions-{marker}")
    sent = json.dumps(emulator.only_call(marker).body)
    for role in ("instructions", "system", "user", "assistant", "developer"):
        assert f"{role}-{marker}" in sent


@BOTH_WAYS
def test_what_was_asked_is_repeated(respond):
    asked = {"instructions": "Be brief.", "metadata": {"topic": "demo"}, "temperature": 0.5, "max_output_tokens": 200}
    response = respond("echo yes", **asked, prompt_cache_key="a-thread", tools=[WEATHER])
    assert {name: getattr(response, name) for name in asked} == asked
    assert [tool.name for tool in response.tools] == ["get_weather"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_that_breaks_off_is_incomplete(client, stream):
    """Without the stream helper, which takes only complete responses."""
    asked = {"model": MODEL, "store": False, "input": "count 500", "max_output_tokens": 16}
    response = client.responses.create(**asked, stream=stream)
    if stream:
        *_, last = response
        response = last.response
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[-1].status == "incomplete"


@BOTH_WAYS
def test_a_summary_of_what_was_thought(respond):
    response = respond("reason", model=SEES, reasoning={"effort": "high", "summary": "auto"}, include=["reasoning.encrypted_content"])
    thought, message = response.output
    assert thought.type == "reasoning" and thought.summary[0].text.strip()
    assert thought.summary[0].text not in message.content[0].text
    assert response.usage.output_tokens_details.reasoning_tokens > 0


@BOTH_WAYS
def test_a_call_and_its_output(respond):
    asked = [user(PARIS)]
    first = respond(asked, tools=[WEATHER])
    (call,) = calls_of(first)
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Paris"})
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny and warm"}
    sent_back = call.model_dump(exclude={"status"}, exclude_none=True)
    second = respond([*asked, sent_back, output], tools=[WEATHER])
    assert "sunny and warm" in second.output_text


@BOTH_WAYS
def test_two_calls_at_once_and_one_at_most(respond):
    both = 'call get_weather {"city": "Rome"} and get_weather {"city": "Oslo"}'
    calls = calls_of(respond(both, tools=[WEATHER]))
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Rome", "Oslo"]
    assert len(calls_of(respond(both, tools=[WEATHER], parallel_tool_calls=False))) == 1


@BOTH_WAYS
@pytest.mark.parametrize(
    "choice",
    ["required", {"type": "function", "name": "get_weather"}],
    ids=["required", "named"],
)
def test_a_call_that_is_required(respond, choice):
    assert calls_of(respond("Hello", tools=[WEATHER, PATCH], tool_choice=choice))


@BOTH_WAYS
def test_tools_that_openai_runs_are_left_out(respond):
    response = respond("echo fine", tools=[{"type": "web_search"}, WEATHER])
    assert response.output_text == "fine"
    assert [tool.type for tool in response.tools] == ["web_search", "function"]


@BOTH_WAYS
def test_a_custom_tool_gets_its_text_as_it_is(respond):
    patch = "*** Begin Patch\n*** End Patch"
    (call,) = calls_of(respond(f"call apply_patch {json.dumps({'input': patch})}", tools=[PATCH]))
    assert (call.type, call.name, call.input) == ("custom_tool_call", "apply_patch", patch)


@BOTH_WAYS
def test_a_tool_in_a_namespace_is_called_by_both_its_names(respond):
    (call,) = calls_of(respond('call files__read {"city": "a.txt"}', tools=[FILES]))
    assert (call.type, call.name, call.model_dump()["namespace"]) == ("function_call", "read", "files")


@BOTH_WAYS
def test_an_object(respond):
    schema = WEATHER["parameters"]
    form = {"type": "json_schema", "name": "city", "schema": schema, "strict": True}
    response = respond("Name a city.", text={"format": form})
    Draft202012Validator(schema).validate(json.loads(response.output_text))


def test_parse(client):
    response = client.responses.parse(model=MODEL, store=False, input="A recipe, please", text_format=Recipe)
    assert isinstance(response.output_parsed, Recipe)


def test_a_streamed_object_is_parsed_too(client):
    with client.responses.stream(model=MODEL, store=False, input="A recipe, please", text_format=Recipe) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Recipe)


async def test_the_async_client(async_client):
    response = await async_client.responses.create(model=MODEL, store=False, input="echo both")
    assert response.output_text == "both"
    async with async_client.responses.stream(model=MODEL, store=False, input="echo ways") as stream:
        assert (await stream.get_final_response()).output_text == "ways"


def test_the_deltas_leave_before_the_answer_ends(client):
    stream = client.responses.create(model=MODEL, store=False, input="count 50 /emulate gap:5ms", stream=True)
    kinds = [event.type for event in stream]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds.count("response.output_text.delta") > 5
    assert kinds[-1] == "response.completed"


@BOTH_WAYS
def test_an_image(respond, emulator, marker):
    parts = [{"type": "input_text", "text": marker}, {"type": "input_image", "image_url": "https://example.com/a.png"}]
    respond([user(parts)], model=SEES)
    assert "https://example.com/a.png" in json.dumps(emulator.only_call(marker).body)


@BOTH_WAYS
def test_a_text_file(respond, emulator, marker):
    data = "data:text/plain;base64,U29tZSB0ZXh0IGluIGEgZmlsZS4="
    parts = [{"type": "input_text", "text": marker}, {"type": "input_file", "filename": "a.txt", "file_data": data}]
    respond([user(parts)])
    assert "Some text in a file." in json.dumps(emulator.only_call(marker).body)


@BOTH_WAYS
@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": 7}, "temperature"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools[0].type"),
        ({"tool_choice": {"type": "web_search_preview"}, "tools": [WEATHER]}, "tool_choice"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ],
    ids=str,
)
def test_what_cannot_be_honoured_is_refused_by_name(respond, emulator, marker, parameters, param):
    with pytest.raises(openai.BadRequestError) as caught:
        respond(marker, **parameters)
    assert caught.value.param == param
    assert emulator.calls(marker) == []


@BOTH_WAYS
def test_a_failure_that_was_paid_for_is_an_exception_after_one_call(respond, emulator, marker):
    with pytest.raises(openai.APIError) as caught:
        respond(f"{marker} /emulate error200")
    assert caught.value.code == "upstream_error"
    assert len(emulator.calls(marker)) == 1


def test_a_stream_that_breaks_raises_after_the_text_that_came(client, emulator, marker):
    prompt = f"echo abcdefghijklmnopqrstuvwxyz {marker} /emulate drop:2 size:5"
    text = ""
    with pytest.raises(openai.APIError) as caught:
        for event in client.responses.create(model=MODEL, store=False, input=prompt, stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
    assert "abcdefghijklmnopqrstuvwxyz".startswith(text) and text
    assert caught.value.code == "upstream_disconnected"
    assert len(emulator.calls(marker)) == 1


def until_ended(client, response):
    """Asks again and again, as OpenAI's guide does."""
    for _ in range(200):
        if response.status not in ("queued", "in_progress"):
            return response
        time.sleep(0.1)
        response = client.responses.retrieve(response.id)
    raise AssertionError(f"still {response.status}")


def test_a_response_in_the_background_is_asked_for_until_it_is_there(client, emulator, marker):
    begun = client.responses.create(model=MODEL, input=f"echo Hello {marker}", background=True)
    assert (begun.status, begun.background, begun.output) == ("queued", True, [])
    done = until_ended(client, begun)
    assert (done.status, done.error) == ("completed", None)
    assert done.output_text.startswith("Hello")
    assert len(emulator.calls(marker)) == 1


def test_a_stream_in_the_background_goes_on_where_it_was_cut(client, emulator, marker):
    prompt = f"echo {'one two three ' * 40}{marker} /emulate size:20"
    begun = client.responses.create(model=MODEL, input=prompt, background=True, stream=True)
    events = []
    for event in begun:
        events.append(event)
        if event.type == "response.output_text.delta":
            break
    begun.close()
    response = events[0].response
    assert [event.type for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    rest = client.responses.retrieve(response.id, stream=True, starting_after=events[-1].sequence_number)
    events += rest
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    done = events[-1].response
    assert (events[-1].type, done.status, done.output_text) == ("response.completed", "completed", text)
    assert client.responses.retrieve(response.id) == done
    again = list(client.responses.retrieve(response.id, stream=True))
    assert again == events
    with client.responses.stream(response_id=response.id, starting_after=2) as stream:
        numbers = [event.sequence_number for event in stream]
        assert numbers[0] == 3
        assert stream.get_final_response().output_text == text
    assert len(emulator.calls(marker)) == 1


def test_a_stream_in_the_background_that_is_called_off_raises(client):
    begun = client.responses.create(
        model=MODEL, input="echo Hello /emulate stall:1", background=True, stream=True
    )
    response = next(iter(begun)).response
    assert client.responses.cancel(response.id).status == "cancelled"
    with pytest.raises(openai.APIError) as caught:
        list(begun)
    assert caught.value.code == "cancelled"
    assert client.responses.retrieve(response.id).status == "cancelled"


def test_a_response_in_the_background_is_called_off(client):
    begun = client.responses.create(model=MODEL, input="echo Hello /emulate hang", background=True)
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"


def test_a_response_in_the_background_that_fails_says_why(client):
    begun = client.responses.create(model=MODEL, input="echo Hello /emulate error:crash_500", background=True)
    failed = until_ended(client, begun)
    assert failed.status == "failed"
    assert failed.error.code and failed.error.message
