"""Structured outputs, with openai-python: what was promised under `strict` is delivered, or the answer is an error."""

from __future__ import annotations

import json

import openai
import pytest
from jsonschema import Draft202012Validator
from openai.types.chat import ChatCompletion

from conversation import MODEL, assistant, finish_reasons, text_of, user
from tools import TOOLS, Recipe, Step

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "degrees": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city", "degrees", "tags"],
    "additionalProperties": False,
}
SLIPS = "refuse wrong array python trailing invalid string fenced prose truncated".split()
ASK = "A report on Paris, please"


def form(schema: dict = SCHEMA, **fields) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "report", "strict": True, "schema": schema, **fields}}


def errors_of(text: str, schema: dict = SCHEMA) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(text))]


@pytest.fixture(params=["whole", "stream"])
def answer(request, client):
    """Asks, whole or through the SDK's stream helper, and returns the completion either way."""

    def answer(prompt: str, **parameters) -> ChatCompletion:
        parameters = {"model": MODEL, "messages": [user(prompt)]} | parameters
        if request.param == "whole":
            return client.chat.completions.create(**parameters)
        with client.chat.completions.stream(**parameters) as stream:
            return stream.get_final_completion()

    return answer


# --- the SDK's helpers ---


def test_parse_into_a_model(client):
    completion = client.chat.completions.parse(model=MODEL, messages=[user(ASK)], response_format=Recipe)
    assert isinstance(completion.choices[0].message.parsed, Recipe)
    assert completion.choices[0].finish_reason == "stop"


async def test_parse_into_a_model_asynchronously(async_client):
    completion = await async_client.chat.completions.parse(model=MODEL, messages=[user(ASK)], response_format=Recipe)
    assert isinstance(completion.choices[0].message.parsed, Recipe)


def test_the_stream_helper_parses(client):
    with client.chat.completions.stream(model=MODEL, messages=[user(ASK)], response_format=Recipe) as stream:
        events = list(stream)
    [done] = [event for event in events if event.type == "content.done"]
    assert isinstance(done.parsed, Recipe)
    assert "".join(event.delta for event in events if event.type == "content.delta") == done.content


def test_several_choices_are_parsed_each(client):
    completion = client.chat.completions.parse(model=MODEL, messages=[user(ASK)], response_format=Step, n=3)
    assert all(isinstance(choice.message.parsed, Step) for choice in completion.choices)
    assert len(completion.choices) == 3


def test_a_refusal_is_told_as_one(client):
    completion = client.chat.completions.parse(
        model=MODEL, messages=[user(f"{ASK}\n/emulate json:refuse stubborn")], response_format=Recipe
    )
    message = completion.choices[0].message
    assert message.refusal.strip()
    assert message.parsed is None and message.content is None


def test_a_streamed_refusal_has_events_of_its_own(client):
    messages = [user(f"{ASK}\n/emulate json:refuse stubborn")]
    with client.chat.completions.stream(model=MODEL, messages=messages, response_format=Recipe) as stream:
        events = list(stream)
    [done] = [event for event in events if event.type == "refusal.done"]
    assert "".join(event.delta for event in events if event.type == "refusal.delta") == done.refusal != ""
    assert not [event for event in events if event.type == "content.delta" and event.delta]


@pytest.mark.parametrize("slip", [slip for slip in SLIPS if slip != "refuse"])
def test_parse_survives_every_slip(client, slip):
    messages = [user(f"{ASK}\n/emulate json:{slip}")]
    completion = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Recipe)
    assert isinstance(completion.choices[0].message.parsed, Recipe)


# --- schemas ---


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        {
            "type": "object",
            "properties": {"root": {"$ref": "#/$defs/node"}},
            "required": ["root"],
            "additionalProperties": False,
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    },
                    "required": ["name", "next"],
                    "additionalProperties": False,
                }
            },
        },
        {
            "type": "object",
            "properties": {"choice": {"enum": ["a", 1, None, True]}, "fixed": {"const": "v1"}},
            "required": ["choice", "fixed"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}, "s": {"type": ["string", "null"]}},
            "required": ["n", "s"],
            "additionalProperties": False,
        },
    ],
    ids=["plain", "empty", "recursive", "enums", "bounds"],
)
def test_the_answer_matches_the_schema(answer, schema):
    message = answer(ASK, response_format=form(schema)).choices[0].message
    assert errors_of(message.content, schema) == []


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_repaired_asked_about_again_or_a_refusal(answer, slip):
    message = answer(f"{ASK}\n/emulate json:{slip}", response_format=form()).choices[0].message
    if slip == "refuse":
        assert message.refusal or errors_of(message.content) == []
    else:
        assert errors_of(message.content) == []


@pytest.mark.parametrize("slip", SLIPS)
def test_a_stubborn_slip_is_never_delivered_under_strict(answer, slip):
    try:
        message = answer(f"{ASK}\n/emulate json:{slip} stubborn", response_format=form()).choices[0].message
    except openai.APIError as error:
        assert error.code == "json_schema_not_met"
        return
    assert message.refusal or errors_of(message.content) == []


def test_json_that_stays_wrong_is_an_error(answer, emulator, marker):
    with pytest.raises(openai.APIError) as caught:
        answer(f"{ASK} {marker}\n/emulate json:wrong stubborn", response_format=form())
    assert caught.value.code == "json_schema_not_met"
    assert len(emulator.calls(marker)) > 1


def test_an_answer_that_was_paid_for_is_not_asked_for_again_by_the_sdk(client, emulator, marker):
    """The gateway has asked again already; an SDK that did, too, would multiply the price."""

    def calls_with(retries: int) -> int:
        prompt = f"{ASK} {marker}-{retries}\n/emulate json:wrong stubborn"
        with pytest.raises(openai.BadRequestError):
            client.with_options(max_retries=retries).chat.completions.create(
                model=MODEL, messages=[user(prompt)], response_format=form()
            )
        return len(emulator.calls(f"{marker}-{retries}"))

    assert calls_with(3) == calls_with(0)


@pytest.mark.parametrize("slip", ["fenced", "python", "trailing", "prose", "string"])
def test_what_can_be_repaired_is_not_paid_for_twice(answer, emulator, marker, slip):
    message = answer(f"{ASK} {marker}\n/emulate json:{slip}", response_format=form()).choices[0].message
    assert errors_of(message.content) == []
    emulator.only_call(marker)


@pytest.mark.parametrize("slip", ["fenced", "python", "trailing", "prose", "string"])
def test_without_strict_a_whole_answer_is_repaired_all_the_same(ask, slip):
    message = ask(f"{ASK}\n/emulate json:{slip}", response_format=form(strict=False)).choices[0].message
    assert errors_of(message.content) == []


def test_without_strict_a_streamed_answer_has_no_fence(stream):
    assert errors_of(text_of(stream(f"{ASK}\n/emulate json:fenced", response_format=form(strict=False)))) == []


# --- any JSON ---


@pytest.mark.parametrize("slip", ["fenced", "python", "trailing", "invalid", "prose", "truncated"])
def test_json_mode_answers_with_an_object(ask, slip):
    completion = ask(f"Answer in JSON\n/emulate json:{slip}", response_format={"type": "json_object"})
    assert isinstance(json.loads(completion.choices[0].message.content), dict)


@pytest.mark.parametrize("slips", ["", "\n/emulate json:fenced"], ids=["clean", "fenced"])
def test_json_mode_streams_an_object(stream, slips):
    text = text_of(stream(f"Answer in JSON{slips}", response_format={"type": "json_object"}))
    assert isinstance(json.loads(text), dict)


# --- beside other things ---


def test_json_with_tools_on_offer(answer):
    call = answer("What is the weather in Paris?", tools=TOOLS, response_format=form()).choices[0]
    assert call.finish_reason == "tool_calls"
    messages = [
        user("What is the weather in Paris?"),
        call.message.to_dict(),
        {"role": "tool", "tool_call_id": call.message.tool_calls[0].id, "content": "sunny"},
    ]
    completion = answer("", messages=messages, tools=TOOLS, response_format=form())
    assert errors_of(completion.choices[0].message.content) == []


def test_a_conversation_goes_on_in_the_form(answer):
    messages = [user("first"), assistant('{"city": "Rome", "degrees": 30, "tags": []}'), user(ASK)]
    completion = answer("", messages=messages, response_format=form())
    assert errors_of(completion.choices[0].message.content) == []


def test_streamed_json_with_usage(stream):
    chunks = list(stream(ASK, response_format=form(), stream_options={"include_usage": True}))
    assert errors_of(text_of(chunks)) == []
    assert finish_reasons(chunks) == ["stop"]
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_json_does_not_depend_on_how_the_text_was_cut(stream, size):
    assert errors_of(text_of(stream(f"{ASK}\n/emulate json:fenced size:{size}", response_format=form()))) == []


def test_a_broken_stream_is_an_error(stream):
    with pytest.raises(openai.APIError):
        list(stream(f"{ASK}\n/emulate size:4 drop:3", response_format=form()))


@pytest.mark.parametrize(
    "format",
    [
        {"type": "yaml"},
        {"type": "json_schema"},
        "json",
    ],
    ids=str,
)
def test_a_form_that_is_none_is_refused(client, emulator, marker, format):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user(marker)], response_format=format)
    assert caught.value.param.startswith("response_format")
    assert emulator.calls(marker) == []
