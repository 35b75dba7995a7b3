"""Reasoning: asked for under OpenAI's name and OpenRouter's, shown beside the answer, and hidden on request."""

from __future__ import annotations

import openai
import pytest

from conversation import SEES as THINKS, reasoning_of, system, text_of, user

BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
def reason(client, emulator, marker):
    """Asks with fields about reasoning; returns what fal was told, the reasoning under both names, and the text."""

    def reason(fields: dict, stream: bool, prompt: str = "reason"):
        answer = client.chat.completions.create(
            model=THINKS, messages=[system(marker), user(prompt)], stream=stream, extra_body=fields
        )
        told = emulator.only_call(marker).reasoning
        if stream:
            chunks = list(answer)
            return told, {name: reasoning_of(chunks, name) for name in ("reasoning_content", "reasoning")}, text_of(chunks)
        message = answer.choices[0].message
        # Absent when there is none: neither null nor empty, which some clients would show as a thought.
        assert all(message.model_extra.values())
        shown = {name: message.model_extra.get(name, "") for name in ("reasoning_content", "reasoning")}
        return told, shown, message.content

    return reason


@BOTH_WAYS
@pytest.mark.parametrize(
    "fields",
    [
        *({"reasoning_effort": effort} for effort in ("low", "medium", "high", "xhigh", "max")),
        {"reasoning": {"effort": "medium"}},
        {"reasoning": {"enabled": True}},
        {"reasoning": {"max_tokens": 2000}},
        {"reasoning": {"effort": "high", "exclude": False}},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"include_reasoning": True},
        {"reasoning_effort": "high", "include_reasoning": True},
    ],
    ids=str,
)
def test_reasoning_that_is_asked_for_is_shown_under_both_names(reason, fields, stream):
    told, shown, text = reason(fields, stream)
    assert told is True
    assert shown["reasoning_content"].strip()
    assert shown["reasoning"] == shown["reasoning_content"]
    assert text.strip()
    assert shown["reasoning"] not in text


@BOTH_WAYS
@pytest.mark.parametrize(
    ("fields", "told_to_reason"),
    [
        ({}, None),
        ({"reasoning_effort": None, "reasoning": None, "include_reasoning": None}, None),
        ({"reasoning": {}}, None),
        ({"reasoning_effort": "none"}, False),
        pytest.param({"reasoning_effort": "minimal"}, False, marks=pytest.mark.any_llm),
        ({"reasoning": {"effort": "none"}}, False),
        ({"reasoning": {"enabled": False}}, False),
        ({"reasoning": {"enabled": False, "effort": "high"}}, False),
        ({"reasoning": {"max_tokens": 0}}, False),
        ({"reasoning_effort": "none", "include_reasoning": True}, False),
        ({"include_reasoning": False}, None),
        # The model thinks, and keeps it to itself.
        ({"reasoning": {"effort": "high", "exclude": True}}, True),
        ({"reasoning": {"enabled": True, "exclude": True}}, True),
        ({"reasoning_effort": "high", "include_reasoning": False}, True),
        ({"include_reasoning": False, "reasoning_effort": "high"}, True),
    ],
    ids=str,
)
def test_no_reasoning_is_shown_otherwise(reason, fields, told_to_reason, stream):
    told, shown, text = reason(fields, stream)
    assert told is told_to_reason
    assert shown == {"reasoning_content": "", "reasoning": ""}
    assert text.strip()


@BOTH_WAYS
@pytest.mark.parametrize("words", ["key_order", "size:1", "size:3 split:1", "burst", "noise", "two_lines"])
def test_reasoning_is_taken_apart_from_the_answer_however_fal_sends_it(reason, words, stream):
    _, shown, text = reason({"reasoning_effort": "high"}, stream, f"echo only this /emulate {words}")
    assert text == "only this"
    assert shown["reasoning"].strip()


@pytest.mark.parametrize("words", ["size:2 gap:1ms", "key_order size:2 gap:1ms"])
def test_reasoning_comes_before_the_answer(stream, words):
    chunks = list(stream(f"reason /emulate {words}", model=THINKS, reasoning_effort="high"))
    thinking = [index for index, chunk in enumerate(chunks) if reasoning_of([chunk])]
    talking = [index for index, chunk in enumerate(chunks) if text_of([chunk])]
    assert len(thinking) > 1
    assert max(thinking) < min(talking)


def test_the_stream_shows_the_reasoning_of_the_whole_answer(ask, stream):
    message = ask("reason", model=THINKS, reasoning_effort="high").choices[0].message
    chunks = list(stream("reason", model=THINKS, reasoning_effort="high"))
    assert reasoning_of(chunks) == message.reasoning_content
    assert text_of(chunks) == message.content


def test_reasoning_is_counted_and_named_in_the_usage(ask, stream):
    usage = ask("reason", model=THINKS, reasoning_effort="high").usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    *_, last = stream("reason", model=THINKS, reasoning_effort="high", stream_options={"include_usage": True})
    assert last.usage == usage
    assert ask("reason", model=THINKS).usage.completion_tokens_details.reasoning_tokens == 0


def test_reasoning_handed_back_is_not_sent_again(client, emulator, marker):
    """Clients that keep the whole message send its reasoning back with the history."""
    thoughtful = {"role": "assistant", "content": "Four.", "reasoning_content": "secret", "reasoning": "secret"}
    client.chat.completions.create(model=THINKS, messages=[user(f"2+2? {marker}"), thoughtful, user("echo thanks")])
    prompt = emulator.only_call(marker).prompt
    assert "Four." in prompt
    assert "secret" not in prompt


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning"),
        ({"reasoning": "high"}, "reasoning"),
        ({"include_reasoning": "yes"}, "include_reasoning"),
    ],
    ids=str,
)
def test_wrong_values_are_refused(client, emulator, marker, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=THINKS, messages=[user(marker)], extra_body=fields)
    assert caught.value.param.startswith(param)
    assert emulator.calls(marker) == []
