"""Whole answers through openai-python."""

from __future__ import annotations

import asyncio
import json

import pytest
from openai.types.chat import ChatCompletion

from conversation import MODEL, SEES, assistant, developer, system, user


def test_the_answer_is_the_model_s_text(ask):
    completion = ask("echo Hello, world!")
    [choice] = completion.choices
    assert choice.message.content == "Hello, world!"
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.model == MODEL


@pytest.mark.parametrize(
    "text",
    [
        "line one\nline two",
        'quotes " and \\ backslashes',
        "żółć 漢字 🦀👩‍👩‍👧 \u2028 \u2029",
        "data: [DONE]",
        "<b>&amp;</b>",
    ],
)
def test_text_arrives_exactly_as_the_model_wrote_it(ask, text):
    assert ask(f"echo {text}").choices[0].message.content == text


async def test_async_client(async_client):
    completion = await async_client.chat.completions.create(model=MODEL, messages=[user("echo async")])
    assert completion.choices[0].message.content == "async"


async def test_concurrent_calls_get_their_own_answers(async_client):
    async def answer(number: int) -> tuple[str, str | None]:
        completion = await async_client.chat.completions.create(model=MODEL, messages=[user(f"echo no. {number}")])
        return completion.id, completion.choices[0].message.content

    answers = await asyncio.gather(*(answer(number) for number in range(20)))
    assert [text for _, text in answers] == [f"no. {number}" for number in range(20)]
    assert len({id for id, _ in answers}) == 20


def test_raw_response_shows_headers_and_parses(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("echo raw")])
    assert raw.status_code == 200
    assert raw.headers["content-type"].startswith("application/json")
    assert raw.request_id == raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == "raw"


def test_streaming_response_of_a_whole_answer(client):
    call = client.chat.completions.with_streaming_response
    with call.create(model=MODEL, messages=[user("echo slowly read")]) as response:
        completion = response.parse()
    assert isinstance(completion, ChatCompletion)
    assert completion.choices[0].message.content == "slowly read"


def test_request_ids_are_exposed_and_unique(ask):
    first, second = ask("echo one"), ask("echo two")
    assert first._request_id and second._request_id
    assert first._request_id != second._request_id


def test_a_single_user_message_reaches_fal_unchanged(ask, emulator, marker):
    prompt = f"  echo {marker}\n\n(nothing may be trimmed)  "
    ask(prompt)
    sent = emulator.only_call(marker)
    assert sent.prompt == prompt
    assert not sent.system_prompt


def test_leading_instructions_become_fal_s_system_prompt(client, emulator, marker):
    client.chat.completions.create(
        model=MODEL, messages=[system(f"Be brief. {marker}"), developer("Be kind."), user("echo hi")]
    )
    sent = emulator.only_call(marker)
    assert sent.prompt == "echo hi"
    assert sent.system_prompt == f"Be brief. {marker}\n\nBe kind."


def test_every_turn_of_a_conversation_reaches_fal_in_order(client, emulator, marker):
    turns = [
        user(f"My name is Ada. {marker}"),
        assistant("Hello Ada, how can I help?"),
        user("What did I tell you?"),
        assistant("Your name."),
        user("echo remembered"),
    ]
    completion = client.chat.completions.create(model=MODEL, messages=turns)
    assert completion.choices[0].message.content == "remembered"
    prompt = emulator.only_call(marker).prompt
    positions = [prompt.find(turn["content"]) for turn in turns]
    assert -1 not in positions
    assert positions == sorted(positions)


def test_instructions_keep_their_place_in_the_conversation(client, emulator, marker):
    client.chat.completions.create(
        model=MODEL,
        messages=[
            system(f"Leading. {marker}"),
            user("first"),
            assistant("second"),
            developer("Late instruction."),
            user("echo last"),
        ],
    )
    sent = emulator.only_call(marker)
    assert sent.system_prompt.startswith(f"Leading. {marker}")
    assert "Late instruction." not in sent.system_prompt
    places = [sent.prompt.find(text) for text in ("first", "second", "Late instruction.", "echo last")]
    assert -1 not in places
    assert places == sorted(places)


def test_names_of_speakers_reach_fal(client, emulator, marker):
    client.chat.completions.create(
        model=MODEL,
        messages=[user(f"Tea, please. {marker}", name="bob"), user("Coffee for me.", name="alice"), user("Who wants tea?")],
    )
    prompt = emulator.only_call(marker).prompt
    places = [prompt.find(text) for text in ("bob", "Tea, please.", "alice", "Coffee for me.", "Who wants tea?")]
    assert -1 not in places
    assert places == sorted(places)


def test_text_parts_are_lines_of_one_text(client, emulator, marker):
    parts = [{"type": "text", "text": f"echo {marker}"}, {"type": "text", "text": "second part"}]
    completion = client.chat.completions.create(model=MODEL, messages=[user(parts)])
    assert completion.choices[0].message.content == f"{marker}\nsecond part"
    assert emulator.only_call(marker).prompt == f"echo {marker}\nsecond part"


@pytest.mark.parametrize("content", [None, "", []], ids=["null", "empty", "no parts"])
def test_an_assistant_turn_without_text_is_accepted(client, content):
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[
            user("What time is it?"),
            assistant(content, tool_calls=[call]),
            {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
            user("echo noon"),
        ],
    )
    assert completion.choices[0].message.content == "noon"


def test_an_empty_system_message_is_accepted(client):
    completion = client.chat.completions.create(model=MODEL, messages=[system(""), user("echo fine")])
    assert completion.choices[0].message.content == "fine"


def test_usage_adds_up_and_says_where_it_comes_from(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("echo one two three four")])
    usage = raw.parse().usage
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert raw.headers["x-gateway-usage"] in ("estimated", "exact")


def test_usage_grows_with_the_text(ask):
    short, long = ask("echo a"), ask("echo " + "many words " * 50)
    assert long.usage.prompt_tokens > short.usage.prompt_tokens
    assert long.usage.completion_tokens > short.usage.completion_tokens


def described(completion: ChatCompletion) -> dict:
    """The input that the emulator was sent, from its answer to the prompt `describe`."""
    return json.loads(completion.choices[0].message.content)


def test_sampling_parameters_reach_fal(ask):
    sent = described(ask("describe", temperature=0.25, max_tokens=321))
    assert sent["temperature"] == 0.25
    assert sent["max_tokens"] == 321
    assert sent["model"] == MODEL


def test_parameters_that_were_not_given_are_not_sent(ask):
    sent = described(ask("describe"))
    assert sent.get("temperature") is None
    assert sent.get("max_tokens") is None
    assert not sent.get("reasoning")


def test_max_completion_tokens_wins_over_max_tokens(ask):
    assert described(ask("describe", max_tokens=100, max_completion_tokens=200))["max_tokens"] == 200


def test_explicit_nulls_mean_absent(ask):
    completion = ask(
        "echo null", temperature=None, max_tokens=None, tools=None, stop=None, stream_options=None, response_format=None
    )
    assert completion.choices[0].message.content == "null"


def test_unknown_fields_are_accepted(ask):
    completion = ask("echo extra", extra_body={"top_k": 40, "cache_control": {"type": "ephemeral"}})
    assert completion.choices[0].message.content == "extra"


@pytest.mark.any_llm
def test_ignored_parameters_are_named_in_a_header(client):
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[user("echo hi")], top_p=0.5, seed=7, temperature=1
    )
    ignored = {name.strip() for name in raw.headers["x-gateway-ignored"].split(",")}
    assert ignored == {"top_p", "seed"}


def test_stop_sequence_cuts_the_answer(ask):
    completion = ask("echo one two STOP three", stop=["STOP"])
    assert completion.choices[0].message.content == "one two "
    assert completion.choices[0].finish_reason == "stop"


def test_several_choices_are_several_calls(client, emulator, marker):
    completion = client.chat.completions.create(model=MODEL, messages=[system(marker), user("echo again")], n=2)
    assert [choice.index for choice in completion.choices] == [0, 1]
    assert [choice.message.content for choice in completion.choices] == ["again", "again"]
    assert len(emulator.calls(marker)) == 2


def test_reasoning_comes_under_both_names_when_asked_for(ask):
    message = ask("reason", model=SEES, reasoning_effort="high").choices[0].message
    assert message.reasoning_content.strip()
    assert message.reasoning == message.reasoning_content
    assert message.content.strip()
    assert message.reasoning_content not in message.content


@pytest.mark.parametrize("parameters", [{}, {"reasoning_effort": "none"}], ids=["not asked", "none"])
def test_no_reasoning_unless_asked_for(ask, parameters):
    message = ask("reason", model=SEES, **parameters).choices[0].message
    assert "reasoning_content" not in message.model_extra
    assert "reasoning" not in message.model_extra


@pytest.mark.native
def test_the_tokens_spell_the_text(ask):
    completion = ask("echo Zoë 🦀 and more", logprobs=True, top_logprobs=2)
    [choice] = completion.choices
    tokens = choice.logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == choice.message.content
    assert all(len(token.top_logprobs) == 2 for token in tokens)


@pytest.mark.native
def test_the_tokens_of_a_stream_spell_each_piece(client):
    stream = client.chat.completions.create(
        model=MODEL, messages=[user("echo one two three")], logprobs=True, stream=True
    )
    said = [chunk.choices[0] for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    for choice in said:
        spelt = b"".join(bytes(token.bytes) for token in choice.logprobs.content)
        assert spelt.decode() == choice.delta.content
    assert "".join(choice.delta.content for choice in said) == "one two three"
