"""Stop sequences, which fal does not have: the gateway cuts the answer and drops the call."""

from __future__ import annotations

import openai
import pytest

from conversation import MODEL, SEES, finish_reasons, reasoning_of, system, text_of, user

BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
def cut(client):
    """Asks with stop sequences; returns the text and the finish reason."""

    def cut(prompt: str, stop, stream: bool, **parameters) -> tuple[str, str]:
        messages = [*parameters.pop("before", []), user(prompt)]
        answer = client.chat.completions.create(
            model=MODEL, messages=messages, stop=stop, stream=stream, **parameters
        )
        if not stream:
            [choice] = answer.choices
            return choice.message.content, choice.finish_reason
        chunks = list(answer)
        [finish_reason] = finish_reasons(chunks)
        return text_of(chunks), finish_reason

    return cut


@BOTH_WAYS
@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("one two STOP three", "STOP", "one two "),
        ("one two STOP three", ["STOP"], "one two "),
        ("one two three four", ["four", "three", "zero", "two"], "one "),
        ("first line\nsecond line", "\n", "first line"),
        ("crab 🦀 and 漢字", "🦀", "crab "),
        ("crab 🦀 and 漢字", ["字", "漢字"], "crab 🦀 and "),
        ("family 👩‍👩‍👧 picture", "👩‍👩‍👧", "family "),
        ("zażółć gęślą", "ółć", "zaż"),
        ("stop at once", "stop", ""),
        ("🦀 first", "🦀", ""),
        ("all of it.", "it.", "all of "),
        ("aaab", "aab", "a"),
        ("<EN<END> more", "<END>", "<EN"),
        ("xabc", ["abc", "ab"], "x"),
        ("STOP comes first, then STOP", "STOP", ""),
        ("empty ones say nothing", ["", "say"], "empty ones "),
    ],
)
@pytest.mark.parametrize("pieces", ["size:1", "size:3", "size:100", "size:2 split:1"])
def test_the_answer_ends_before_the_first_match(cut, text, stop, expected, stream, pieces):
    """However fal cuts its answer into pieces, and the network fal's pieces into bytes."""
    assert cut(f"echo {text}\n/emulate {pieces}", stop, stream) == (expected, "stop")


@BOTH_WAYS
@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("nothing to see", "STOP"),
        ("ends like a stop <EN", "<END>"),
        ("case matters: stop", "STOP"),
        ("the last piece is 漢", "漢字"),
        ("no sequence at all", []),
        ("nor an empty one", ""),
    ],
)
def test_an_answer_without_a_match_is_whole(cut, text, stop, stream):
    assert cut(f"echo {text}\n/emulate size:1", stop, stream) == (text, "stop")


@pytest.mark.any_llm
@BOTH_WAYS
@pytest.mark.parametrize("stop", [" 20 ", ["x", "y", "z", " 20 "]], ids=["one", "four"])
def test_the_rest_is_not_waited_for(cut, emulator, marker, stop, stream):
    """fal would have talked for another half minute."""
    text, finish_reason = cut("count 2000 /emulate gap:10ms size:5", stop, stream, before=[system(marker)])
    assert text == " ".join(map(str, range(1, 20)))
    assert finish_reason == "stop"
    assert emulator.ended(emulator.only_call(marker)).outcome == "hung_up"


@pytest.mark.any_llm
@BOTH_WAYS
def test_a_match_at_the_very_start_drops_the_call_too(cut, emulator, marker, stream):
    assert cut("count 2000 /emulate gap:10ms size:1", "1", stream, before=[system(marker)]) == ("", "stop")
    assert emulator.ended(emulator.only_call(marker)).outcome == "hung_up"


def test_a_text_that_may_become_a_match_is_held_back_and_nothing_else(client):
    """What cannot be a match any more goes out at once, not when the answer ends."""
    stream = client.chat.completions.create(
        model=MODEL, messages=[user("echo abcdefgh<EN /emulate size:2 stall:5")], stream=True, stop="<END>"
    )
    text = ""
    for chunk in stream:
        text += text_of([chunk])
        if text == "abcdefgh":
            break
    stream.close()
    assert text == "abcdefgh"


@BOTH_WAYS
def test_the_reasoning_is_not_searched(client, stream):
    """The emulator's reasoning repeats the message, sequence and all."""
    answer = client.chat.completions.create(
        model=SEES, messages=[user("echo safe")], stop="message", stream=stream, reasoning_effort="high"
    )
    if stream:
        chunks = list(answer)
        text, reasoning = text_of(chunks), reasoning_of(chunks)
    else:
        text, reasoning = answer.choices[0].message.content, answer.choices[0].message.reasoning_content
    assert text == "safe"
    assert "message" in reasoning


@BOTH_WAYS
def test_every_choice_is_cut(client, stream):
    answer = client.chat.completions.create(
        model=MODEL, messages=[user("echo left|right /emulate size:1")], stop="|", n=3, stream=stream
    )
    if stream:
        choices = [choice for chunk in answer for choice in chunk.choices]
        texts = ["".join(c.delta.content or "" for c in choices if c.index == index) for index in range(3)]
        reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    else:
        texts = [choice.message.content for choice in answer.choices]
        reasons = [choice.finish_reason for choice in answer.choices]
    assert texts == ["left"] * 3
    assert reasons == ["stop"] * 3


@BOTH_WAYS
def test_usage_counts_what_was_said_before_the_match(client, stream):
    def completion_tokens(prompt: str, **parameters) -> int:
        if stream:
            parameters["stream_options"] = {"include_usage": True}
        answer = client.chat.completions.create(model=MODEL, messages=[user(prompt)], stream=stream, **parameters)
        return (list(answer)[-1] if stream else answer).usage.completion_tokens

    assert completion_tokens("count 2000 /emulate gap:10ms size:5", stop=" 20 ") < completion_tokens("count 30")


@BOTH_WAYS
@pytest.mark.parametrize("stop", [[str(n) for n in range(17)], "x" * 513, [1], {"at": "x"}], ids=str)
def test_sequences_that_openai_would_not_take_are_refused(cut, emulator, marker, stop, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        cut(f"echo {marker}", stop, stream)
    assert caught.value.param.startswith("stop")
    assert emulator.calls(marker) == []
