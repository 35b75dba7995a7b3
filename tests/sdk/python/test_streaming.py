"""Streams through openai-python, in each way it offers to read them."""

from __future__ import annotations

import pytest

from conversation import MODEL, SEES, finish_reasons, reasoning_of, system, text_of, user


def test_the_deltas_add_up_to_the_answer(stream):
    chunks = list(stream("echo The quick brown fox jumps over the lazy dog."))
    assert text_of(chunks) == "The quick brown fox jumps over the lazy dog."
    assert finish_reasons(chunks) == ["stop"]
    assert {chunk.model for chunk in chunks} == {MODEL}


def test_a_long_answer_comes_in_pieces(stream):
    chunks = list(stream("count 50 /emulate gap:5ms"))
    pieces = [chunk for chunk in chunks if text_of([chunk])]
    assert len(pieces) > 5


@pytest.mark.parametrize("prompt", ["count 20", "unicode", "long 3000", "echo a\n\nb\r\nc \u2028 d"])
def test_the_stream_says_what_the_whole_answer_says(ask, stream, prompt):
    assert text_of(stream(prompt)) == ask(prompt).choices[0].message.content


async def test_async_stream(async_client):
    chunks = await async_client.chat.completions.create(model=MODEL, messages=[user("echo async stream")], stream=True)
    assert text_of([chunk async for chunk in chunks]) == "async stream"


def test_stream_helper(client):
    """`.stream()` rebuilds the completion and raises on a stream that is less than strict."""
    with client.chat.completions.stream(model=MODEL, messages=[user("echo helped along")]) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert completion.choices[0].message.content == "helped along"
    assert completion.choices[0].finish_reason == "stop"


async def test_async_stream_helper(async_client):
    async with async_client.chat.completions.stream(model=MODEL, messages=[user("echo both")]) as stream:
        completion = await stream.get_final_completion()
    assert completion.choices[0].message.content == "both"


def test_streaming_response_gives_the_raw_lines(client):
    call = client.chat.completions.with_streaming_response
    with call.create(model=MODEL, messages=[user("echo raw lines")], stream=True) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"


def test_raw_response_of_a_stream(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("echo raw")], stream=True)
    assert raw.headers["x-request-id"] == raw.request_id
    assert text_of(raw.parse()) == "raw"


def test_usage_comes_last_when_asked_for(stream):
    chunks = list(stream("echo count me", stream_options={"include_usage": True}))
    *rest, last = chunks
    assert last.choices == []
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0
    assert all(chunk.choices and chunk.usage is None and "usage" in chunk.model_fields_set for chunk in rest)


def test_no_usage_unless_asked_for(stream):
    chunks = list(stream("echo no usage"))
    assert all(chunk.choices for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


def test_streamed_usage_equals_whole_usage(ask, stream):
    *_, last = stream("count 30", stream_options={"include_usage": True})
    assert last.usage == ask("count 30").usage


def test_reasoning_precedes_the_answer(stream):
    chunks = list(stream("reason", model=SEES, reasoning_effort="medium"))
    assert reasoning_of(chunks).strip()
    assert reasoning_of(chunks, "reasoning") == reasoning_of(chunks)
    thinking = [index for index, chunk in enumerate(chunks) if reasoning_of([chunk])]
    talking = [index for index, chunk in enumerate(chunks) if text_of([chunk])]
    assert max(thinking) < min(talking)


def test_a_stop_sequence_split_over_pieces_cuts_the_stream(client):
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=[user("echo before<END>after /emulate size:1")], stream=True, stop="<END>"
        )
    )
    assert text_of(chunks) == "before"
    assert finish_reasons(chunks) == ["stop"]


def test_several_choices_stream_side_by_side(client):
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=[system("Twice."), user("echo twin")], stream=True, n=2)
    )
    for index in (0, 1):
        mine = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert "".join(choice.delta.content or "" for choice in mine) == "twin"
        assert mine[-1].finish_reason == "stop"
