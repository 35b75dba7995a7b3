"""Several choices, each of them a call of its own to fal; and answers that end because they have to."""

from __future__ import annotations

import openai
import pytest

from conversation import MODEL, finish_reasons, system, text_of, user

BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def text_of_choice(chunks, index: int) -> str:
    choices = (choice for chunk in chunks for choice in chunk.choices if choice.index == index)
    return "".join(choice.delta.content or "" for choice in choices)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_whole_choices_are_numbered_and_all_there(client, emulator, marker, n):
    completion = client.chat.completions.create(model=MODEL, messages=[user(f"echo {marker}")], n=n)
    assert [choice.index for choice in completion.choices] == list(range(n))
    assert {choice.message.content for choice in completion.choices} == {marker}
    assert {choice.finish_reason for choice in completion.choices} == {"stop"}
    assert len(emulator.calls(marker)) == n


@pytest.mark.parametrize("n", [2, 3, 4])
def test_streamed_choices_are_numbered_and_all_there(client, emulator, marker, n):
    chunks = list(client.chat.completions.create(model=MODEL, messages=[user(f"echo {marker}")], n=n, stream=True))
    assert [text_of_choice(chunks, index) for index in range(n)] == [marker] * n
    assert finish_reasons(chunks) == ["stop"] * n
    assert len(emulator.calls(marker)) == n


def test_choices_stream_side_by_side(client):
    """None waits for another: the text of each begins before any has ended."""
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=[user("count 30 /emulate gap:20ms size:5")], n=3, stream=True
        )
    )
    talking = [choice.index for chunk in chunks for choice in chunk.choices if choice.delta.content]
    first = [talking.index(index) for index in range(3)]
    last = [len(talking) - 1 - talking[::-1].index(index) for index in range(3)]
    assert max(first) < min(last)
    assert sum(one != next for one, next in zip(talking, talking[1:])) > 5


def test_usage_of_several_choices_is_one(client):
    def usage(n: int):
        return client.chat.completions.create(model=MODEL, messages=[user("count 30")], n=n).usage

    one, three = usage(1), usage(3)
    assert three.prompt_tokens == one.prompt_tokens
    assert three.completion_tokens == 3 * one.completion_tokens
    assert three.total_tokens == three.prompt_tokens + three.completion_tokens


def test_streamed_usage_of_several_choices_is_one(client):
    options = {"stream_options": {"include_usage": True}}
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=[user("count 30")], n=3, stream=True, **options)
    )
    whole = client.chat.completions.create(model=MODEL, messages=[user("count 30")], n=3)
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage]


@BOTH_WAYS
@pytest.mark.parametrize("n", [5, 128])
def test_more_than_the_gateway_pays_for_is_refused(client, emulator, marker, n, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user(marker)], n=n, stream=stream)
    assert caught.value.param == "n"
    assert caught.value.code == "unsupported_value"
    assert emulator.calls(marker) == []


@BOTH_WAYS
@pytest.mark.parametrize("n", [0, -1, 1.5, "2", 129], ids=str)
def test_numbers_that_openai_would_not_take_are_refused(client, emulator, marker, n, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user(marker)], n=n, stream=stream)
    assert caught.value.param == "n"
    assert caught.value.code == "invalid_value"
    assert emulator.calls(marker) == []


def test_choices_that_come_are_delivered_when_others_are_refused(client, emulator, marker):
    """fal takes one call at a time. The answer to it is paid for, so it is not thrown away with the others."""
    messages = [system(marker), user("echo kept /emulate latency:1s concurrency:1")]
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, n=3)
    choices = raw.parse().choices
    assert [choice.message.content for choice in choices] == ["kept"]
    assert raw.headers["x-gateway-missing-choices"].count("rate_limit_exceeded") == 2
    assert len(emulator.calls(marker)) == 3


def test_a_stream_delivers_the_choices_that_come_before_it_fails(client, emulator, marker):
    messages = [system(marker), user("echo kept /emulate latency:1s concurrency:1")]
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=MODEL, messages=messages, n=3, stream=True):
            chunks.append(chunk)
    assert text_of(chunks) == "kept"
    assert caught.value.code == "rate_limit_exceeded"
    assert len(emulator.calls(marker)) == 3


def test_choices_that_break_off_end_the_stream_with_one_error(client):
    prompt = "echo abcdefghijklmnopqrstuvwxyz /emulate drop:3 size:5 gap:10ms"
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=MODEL, messages=[user(prompt)], n=3, stream=True):
            chunks.append(chunk)
    assert caught.value.code == "upstream_disconnected"
    assert text_of(chunks)
    assert "stop" not in finish_reasons(chunks)


@BOTH_WAYS
def test_leaving_hangs_up_on_every_choice(client, emulator, marker, stream):
    """A client that gives up must not leave paid calls running."""
    messages = [system(marker), user("count 2000 /emulate " + ("gap:50ms size:5" if stream else "hang"))]
    if stream:
        chunks = client.chat.completions.create(model=MODEL, messages=messages, n=3, stream=True)
        next(chunk for chunk in chunks if text_of([chunk]))
        chunks.close()
    else:
        with client.with_options(max_retries=0, timeout=0.5) as hasty, pytest.raises(openai.APITimeoutError):
            hasty.chat.completions.create(model=MODEL, messages=messages, n=3)
    assert {emulator.ended(call).outcome for call in emulator.calls(marker)} == {"hung_up"}


@BOTH_WAYS
def test_choices_are_asked_for_at_the_same_time(client, emulator, marker, stream):
    """Three answers take as long as one: none of the calls waits for the head of another."""
    messages = [system(marker), user("echo late /emulate hang")]
    with client.with_options(max_retries=0, timeout=1) as hasty, pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model=MODEL, messages=messages, n=3, stream=stream)
    assert [emulator.ended(call).outcome for call in emulator.calls(marker)] == ["hung_up"] * 3


# --- answers that are cut off ---


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("n", [1, 2])
def test_an_answer_cut_by_max_tokens_says_so(client, n, name):
    parameters = {"model": MODEL, "messages": [user("count 500")], "n": n, name: 20}
    completion = client.chat.completions.create(**parameters)
    assert [choice.finish_reason for choice in completion.choices] == ["length"] * n
    assert "500" not in completion.choices[0].message.content
    chunks = list(client.chat.completions.create(**parameters, stream=True))
    assert finish_reasons(chunks) == ["length"] * n
    assert text_of_choice(chunks, 0) == completion.choices[0].message.content


@BOTH_WAYS
def test_an_answer_that_fits_is_not_called_cut(client, stream):
    answer = client.chat.completions.create(model=MODEL, messages=[user("echo short")], max_tokens=200, stream=stream)
    assert (finish_reasons(answer) if stream else [answer.choices[0].finish_reason]) == ["stop"]


@BOTH_WAYS
def test_a_stop_sequence_before_the_cut_counts_as_stop(client, stream):
    answer = client.chat.completions.create(
        model=MODEL, messages=[user("count 500")], max_tokens=20, stop=" 4", stream=stream
    )
    assert (finish_reasons(answer) if stream else [answer.choices[0].finish_reason]) == ["stop"]
