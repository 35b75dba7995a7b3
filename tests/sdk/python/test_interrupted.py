"""What happens when one of the two sides leaves in the middle."""

from __future__ import annotations

import openai
import pytest

from conversation import MODEL, finish_reasons, system, text_of, user

# Answers that are not over when the client leaves: fal talks on, or has fallen silent in the middle.
UNFINISHED = {
    "talking": "count 2000 /emulate gap:50ms size:5",
    "silent": "echo abcdefghijklmnopqrstuvwxyz /emulate stall:2 size:5",
}


def read_until_it_breaks(stream) -> tuple[list, Exception]:
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            chunks.append(chunk)
    return chunks, caught.value


@pytest.mark.parametrize("fault", ["drop:2 size:5", "error:2 size:5"])
def test_a_broken_stream_raises_after_the_text_that_came(stream, fault):
    chunks, error = read_until_it_breaks(stream(f"echo abcdefghijklmnopqrstuvwxyz /emulate {fault}"))
    assert text_of(chunks)
    assert "abcdefghijklmnopqrstuvwxyz".startswith(text_of(chunks))
    assert finish_reasons(chunks) == []
    # The status line has long been sent, so this is the plain class, with the error's own fields.
    assert type(error) is openai.APIError
    assert error.type == "invalid_request_error"
    assert error.code == {"drop": "upstream_disconnected", "error": "upstream_error"}[fault.split(":")[0]]


def test_a_broken_stream_is_not_repeated(client, emulator, marker):
    read_until_it_breaks(
        client.chat.completions.create(
            model=MODEL, messages=[system(marker), user("echo abcdefghijklmno /emulate drop:2 size:5")], stream=True
        )
    )
    assert len(emulator.calls(marker)) == 1


async def test_a_broken_stream_raises_in_the_async_client(async_client):
    stream = await async_client.chat.completions.create(
        model=MODEL, messages=[user("echo abcdefghijklmno /emulate drop:2 size:5")], stream=True
    )
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


def test_the_stream_helper_raises_too(client):
    messages = [user("echo abcdefghijklmno /emulate drop:2 size:5")]
    with pytest.raises(openai.APIError), client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        stream.until_done()


@pytest.mark.parametrize("prompt", UNFINISHED.values(), ids=UNFINISHED)
def test_leaving_a_stream_hangs_up_on_fal(client, emulator, marker, prompt):
    stream = client.chat.completions.create(model=MODEL, messages=[system(marker), user(prompt)], stream=True)
    next(chunk for chunk in stream if text_of([chunk]))
    stream.close()
    assert emulator.ended(emulator.only_call(marker)).outcome == "hung_up"


@pytest.mark.parametrize("prompt", UNFINISHED.values(), ids=UNFINISHED)
async def test_leaving_an_async_stream_hangs_up_on_fal(async_client, emulator, marker, prompt):
    async with await async_client.chat.completions.create(
        model=MODEL, messages=[system(marker), user(prompt)], stream=True
    ) as stream:
        async for chunk in stream:
            if text_of([chunk]):
                break
    assert emulator.ended(emulator.only_call(marker)).outcome == "hung_up"


def test_a_finished_stream_is_recorded_as_answered(client, emulator, marker):
    """The counterpart, without which `hung_up` could be all that the emulator ever says."""
    messages = [system(marker), user("echo complete")]
    assert text_of(client.chat.completions.create(model=MODEL, messages=messages, stream=True)) == "complete"
    assert emulator.ended(emulator.only_call(marker)).outcome == "answered"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_s_timeout_hangs_up_on_fal(client, emulator, marker, stream):
    with client.with_options(max_retries=0, timeout=0.5) as impatient, pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(
            model=MODEL, messages=[system(marker), user("echo too late /emulate hang")], stream=stream
        )
    assert emulator.ended(emulator.only_call(marker)).outcome == "hung_up"
