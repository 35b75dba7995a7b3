"""The legacy API through openai-python's `completions` and LangChain's `OpenAI`."""

from __future__ import annotations

import openai
import pytest
from langchain_openai import OpenAI as LangChainOpenAI

from conversation import MODEL


@pytest.fixture
def complete(client):
    """Asks for a completion and returns it."""

    def complete(prompt, **parameters):
        return client.completions.create(model=MODEL, prompt=prompt, **parameters)

    return complete


@pytest.fixture
def stream(complete):
    """Asks for a completion and returns all of its stream."""
    return lambda prompt, **parameters: list(complete(prompt, stream=True, **parameters))


def texts(completions) -> dict[int, str]:
    """The text of each choice, put together from all objects."""
    found: dict[int, str] = {}
    for completion in completions:
        for choice in completion.choices:
            found[choice.index] = found.get(choice.index, "") + choice.text
    return found


def test_a_completion(complete):
    completion = complete("echo Hello there.")
    assert completion.object == "text_completion"
    assert completion.id.startswith("cmpl-")
    assert completion.model == MODEL
    assert completion.choices[0].text == "Hello there."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0


def test_the_prompt_reaches_fal_verbatim(complete, emulator, marker):
    """As LlamaIndex writes a chat."""
    prompt = f"user: {marker}\nassistant: "
    complete(prompt, temperature=0.1)
    sent = emulator.only_call(marker)
    assert sent.prompt == prompt
    assert sent.system_prompt is None
    assert sent.body.get("max_tokens") is None
    assert sent.body["temperature"] == 0.1


async def test_async_completion_and_stream(async_client):
    completion = await async_client.completions.create(model=MODEL, prompt="echo awaited")
    assert completion.choices[0].text == "awaited"
    chunks = await async_client.completions.create(model=MODEL, prompt="echo awaited too", stream=True)
    assert texts([chunk async for chunk in chunks]) == {0: "awaited too"}


@pytest.mark.parametrize("prompt", ["count 20", "unicode", "long 3000", "echo a\n\nb\r\nc \u2028 d"])
@pytest.mark.parametrize("parameters", [{}, {"echo": True}, {"n": 2}], ids=str)
def test_the_stream_says_what_the_whole_answer_says(complete, stream, prompt, parameters):
    assert texts(stream(prompt, **parameters)) == texts([complete(prompt, **parameters)])


def test_the_reason_comes_with_the_last_object(stream):
    *rest, last = stream("count 20 /emulate gap:5ms")
    assert len(rest) > 5
    assert {choice.finish_reason for chunk in rest for choice in chunk.choices} == {None}
    assert last.choices[0].finish_reason == "stop"


def test_usage_comes_last_when_asked_for(complete, stream):
    *_, last = stream("count 30", stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage == complete("count 30").usage


def test_an_echo_comes_first(complete, stream):
    prompt = "echo the rest"
    assert complete(prompt, echo=True).choices[0].text == prompt + "the rest"
    first, *_ = stream(prompt, echo=True)
    assert first.choices[0].text == prompt


def test_a_stop_sequence_split_over_pieces_cuts_the_stream(stream):
    chunks = stream("echo before<END>after /emulate size:1", stop="<END>")
    assert texts(chunks) == {0: "before"}
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("parameters", "code", "param"),
    [
        ({"prompt": ["one", "two"]}, "unsupported_value", "prompt"),
        ({"prompt": [15496, 11]}, "unsupported_value", "prompt"),
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": None}, "missing_required_parameter", "prompt"),
        ({"suffix": "."}, "unsupported_parameter", "suffix"),
        ({"best_of": 3}, "unsupported_value", "best_of"),
        ({"logprobs": 0}, "unsupported_parameter", "logprobs"),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_cannot_be_had_is_refused_by_name(client, parameters, code, param, stream):
    request = {"model": MODEL, "prompt": "hello", **parameters}
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(stream=stream, **request)
    assert caught.value.code == code
    assert caught.value.param == param


def test_a_broken_stream_raises_after_the_text_that_came(complete):
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in complete("echo abcdefghijklmnopqrstuvwxyz /emulate drop:2 size:5", stream=True):
            chunks.append(chunk)
    assert type(caught.value) is openai.APIError
    assert caught.value.code == "upstream_disconnected"
    assert "abcdefghijklmnopqrstuvwxyz".startswith(texts(chunks)[0])


def test_leaving_a_stream_hangs_up_on_fal(complete, emulator, marker):
    stream = complete(f"count 2000 {marker} /emulate gap:50ms size:5", stream=True)
    next(iter(stream))
    stream.close()
    assert emulator.ended(emulator.only_call(marker)).outcome == "hung_up"


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.embeddings.create(model="text-embedding-3-small", input="hi"),
        lambda client: client.moderations.create(input="hi"),
        lambda client: client.images.generate(prompt="a gate"),
        lambda client: client.audio.speech.create(model="tts-1", voice="alloy", input="hi"),
        lambda client: client.files.list(),
        lambda client: client.batches.list(),
        lambda client: client.vector_stores.list(),
        lambda client: client.fine_tuning.jobs.list(),
    ],
    ids="embeddings moderations images audio files batches stores tuning".split(),
)
def test_other_endpoints_say_that_they_are_not_here(client, call):
    with pytest.raises(openai.NotFoundError) as caught:
        call(client)
    assert caught.value.code == "unsupported_endpoint"


# --- LangChain ---


@pytest.fixture
def model(traffic, gateway_url) -> LangChainOpenAI:
    """It sends its own defaults: max_tokens, temperature, penalties of 0, n and best_of of 1."""
    return LangChainOpenAI(model=MODEL, base_url=gateway_url, api_key="demo", max_tokens=256)


def test_langchain_invokes_and_streams(model):
    assert model.invoke("echo from a chain") == "from a chain"
    pieces = list(model.stream("count 20 /emulate gap:5ms"))
    assert len(pieces) > 1
    assert "".join(pieces) == model.invoke("count 20")


def test_langchain_batches_prompt_by_prompt(model):
    """Its default puts up to twenty prompts into one request, which the gateway refuses with the cure."""
    with pytest.raises(openai.BadRequestError) as caught:
        model.batch(["echo one", "echo two"])
    assert caught.value.param == "prompt"
    one_by_one = model.model_copy(update={"batch_size": 1})
    assert one_by_one.batch(["echo one", "echo two"]) == ["one", "two"]
