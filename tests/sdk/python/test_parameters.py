"""Every row of the gateway's table of request fields, with openai-python: what fal was sent and what the headers say.

The cases are in ../parameters.json, which the Node suite reads as well. A case has

* `request`: what is sent beside model and message; `$prompt` in it stands for the message's text;
* `sent`: what this adds to, or changes in, fal's input; everything else stays as it is without the field;
* `tells`: words that the gateway's own instructions, which come as fal's system prompt, must hold;
* `neutral`: a value of the field that says nothing, and of which therefore nothing is said;
* where they are not the usual ones: `asks` (the verb before the marker), `text` (the answer's; "" where it is a call),
  `header` (whether a header names the field), `headers` (all the names there), `path`, `calls`, `code`.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import openai
import pytest
from openai.resources.chat.completions import Completions

from conversation import MODEL, user

ROOT = Path(__file__).resolve().parents[3]
CASES = json.loads((ROOT / "tests/sdk/parameters.json").read_text())
TABLE = ROOT / "src/translate/face/chat/parameters.rs"

# What the SDK takes as an argument. All other fields travel in `extra_body`.
ARGUMENTS = inspect.signature(Completions.create).parameters


def cases(*fates: str, having: str = "field") -> list:
    return [pytest.param(case, id=case["field"]) for case in CASES if case["fate"] in fates and having in case]


def both_ways(cases: list) -> list:
    """Each case whole and as a stream, unless it is about one of the two."""
    return [
        pytest.param(case.values[0], streaming, id=f"{case.id}-{way}")
        for case in cases
        for way, streaming in (("whole", False), ("stream", True))
        if case.values[0].get("only", way) == way
    ]


@pytest.fixture
def send(client):
    """Sends fields beside a model and a message; returns the response's headers and its text."""

    def send(fields: dict, prompt: str, stream: bool = False, headers: dict | None = None):
        fields = {"model": MODEL, "messages": [user(prompt)], **filled_in(fields, prompt)}
        known = {name: value for name, value in fields.items() if name in ARGUMENTS}
        extra = {name: value for name, value in fields.items() if name not in ARGUMENTS}
        if stream or "stream" not in fields:
            known["stream"] = stream
        raw = client.chat.completions.with_raw_response.create(**known, extra_body=extra, extra_headers=headers)
        answer = raw.parse()
        if not stream:
            return raw.headers, answer.choices[0].message.content or ""
        first_choice = ([choice for choice in chunk.choices if choice.index == 0] for chunk in answer)
        return raw.headers, "".join(choice.delta.content or "" for choices in first_choice for choice in choices)

    return send


def filled_in(fields: dict, prompt: str) -> dict:
    return json.loads(json.dumps(fields).replace('"$prompt"', json.dumps(prompt)))


def asked(case: dict, marker: str) -> str:
    return f"{case.get('asks', 'echo')} {marker}"


def answered(case: dict, marker: str) -> str:
    return case.get("text", "$marker").replace("$marker", marker)


def named(headers, header: str) -> list[str]:
    return [name for name in headers.get(header, "").split(", ") if name]


def assert_only_reached(emulator, marker: str, case: dict, stream: bool) -> None:
    """fal was sent the message, what the case says of it, and nothing else."""
    calls = emulator.calls(marker)
    assert len(calls) == case.get("calls", 1)
    for call in calls:
        if "tells" in case:
            instructions = call.body.pop("system_prompt")
            assert [words for words in case["tells"] if words not in instructions] == []
        assert call.body == {"model": MODEL, "prompt": asked(case, marker)} | case.get("sent", {})
        assert call.path == "/fal-ai/any-llm" + case.get("path", "/stream" if stream else "")


def test_every_row_of_the_gateway_s_table_has_a_case():
    rows = re.findall(r'^\s*row\("(\w+)", (\w+),', TABLE.read_text(), re.MULTILINE)
    assert rows, f"no row found in {TABLE}"
    assert [(name, fate.lower()) for name, fate in rows] == [(case["field"], case["fate"]) for case in CASES]


@pytest.mark.any_llm
@pytest.mark.parametrize(("case", "stream"), both_ways(cases("forwarded", "emulated", "ignored")))
def test_a_field_that_is_taken(send, emulator, marker, case, stream):
    headers, text = send(case["request"], asked(case, marker), stream)
    assert text == answered(case, marker)
    noted = case.get("headers", [case["field"]] if case.get("header", True) else [])
    # In the order of the request, which is the SDK's affair.
    assert sorted(named(headers, "x-gateway-emulated")) == sorted(noted if case["fate"] == "emulated" else [])
    assert named(headers, "x-gateway-ignored") == (noted if case["fate"] == "ignored" else [])
    assert_only_reached(emulator, marker, case, stream)


@pytest.mark.any_llm
@pytest.mark.parametrize(("case", "stream"), both_ways(cases("refused")))
def test_a_field_that_is_refused(send, emulator, marker, case, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        send(case["request"], f"echo {marker}", stream)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.code == case.get("code", "unsupported_parameter")
    assert caught.value.param == case["field"]
    assert emulator.calls(marker) == []


@pytest.mark.any_llm
@pytest.mark.parametrize(
    ("case", "stream"), both_ways(cases("forwarded", "emulated", "ignored", "refused", having="neutral"))
)
def test_a_value_that_says_nothing_is_neither_refused_nor_noted(send, emulator, marker, case, stream):
    headers, text = send({case["field"]: case["neutral"]}, f"echo {marker}", stream)
    assert text == marker
    assert "x-gateway-emulated" not in headers
    assert "x-gateway-ignored" not in headers
    assert_only_reached(emulator, marker, {}, stream)


@pytest.mark.any_llm
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_null_means_absent_in_every_field(send, emulator, marker, stream):
    nulls = {case["field"]: None for case in CASES if case["field"] not in ("messages", "model", "stream")}
    headers, text = send(nulls, f"echo {marker}", stream)
    assert text == marker
    assert "x-gateway-emulated" not in headers
    assert "x-gateway-ignored" not in headers
    assert_only_reached(emulator, marker, {}, stream)


def test_a_null_stream_is_no_stream(client):
    completion = client.chat.completions.create(model=MODEL, messages=[user("echo whole")], stream=None)
    assert completion.choices[0].message.content == "whole"


def test_null_messages_are_missing(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=None)
    assert caught.value.code == "missing_required_parameter"
    assert caught.value.param == "messages"


@pytest.mark.any_llm
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_unknown_fields_are_noted_under_their_own_names(send, emulator, marker, stream):
    fields = {"mirostat": 2, "cache_control": {"type": "ephemeral"}, "x-odd": [1]}
    headers, text = send(fields, f"echo {marker}", stream)
    assert text == marker
    assert named(headers, "x-gateway-ignored") == list(fields)
    assert_only_reached(emulator, marker, {}, stream)


def test_unknown_names_that_no_header_can_carry_are_made_plain(send):
    headers, _ = send({"größe": 1, "a,b": 2, "two words": 3, "new\nline": 4, "🦀": 5}, "echo odd names")
    assert len(named(headers, "x-gateway-ignored")) == 5
    assert headers["x-gateway-ignored"].isascii()


def test_a_long_list_of_unknown_fields_is_cut_with_its_length(send):
    headers, _ = send({f"extra_{number}": number for number in range(100)}, "echo many")
    assert "extra_0" in named(headers, "x-gateway-ignored")
    assert headers["x-gateway-ignored"].endswith("and 68 more")
    assert len(headers["x-gateway-ignored"]) < 4096


@pytest.mark.any_llm
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fields_of_all_kinds_at_once(send, emulator, marker, stream):
    fields = {
        "temperature": 0,
        "max_completion_tokens": 500,
        "stop": ["<END>"],
        "reasoning_effort": "medium",
        "service_tier": "priority",
        "top_p": 0.9,
        "seed": 1,
        "user": "ada",
        "tools": [],
        "logprobs": False,
        "response_format": {"type": "text"},
    }
    headers, text = send(fields, f"echo {marker}", stream)
    assert text == marker
    assert set(named(headers, "x-gateway-emulated")) == {"stop", "reasoning_effort", "service_tier"}
    assert set(named(headers, "x-gateway-ignored")) == {"top_p", "seed", "user"}
    sent = {"temperature": 0, "max_tokens": 500, "reasoning": True, "priority": "latency"}
    assert_only_reached(emulator, marker, {"sent": sent, "path": "/stream"}, stream)


# --- strict mode, asked for by header ---

NOTED_WHEN_IGNORED = [case for case in cases("ignored") if case.values[0].get("header", True)]


@pytest.mark.any_llm
@pytest.mark.parametrize(("case", "stream"), both_ways(NOTED_WHEN_IGNORED))
def test_strict_mode_refuses_what_would_be_ignored(send, emulator, marker, case, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        send(case["request"], f"echo {marker}", stream, headers={"x-gateway-strict": "true"})
    assert caught.value.code == "unsupported_parameter"
    assert caught.value.param == case["field"]
    assert emulator.calls(marker) == []


def test_strict_mode_refuses_unknown_fields(send, emulator, marker):
    with pytest.raises(openai.BadRequestError) as caught:
        send({"mirostat": 2}, f"echo {marker}", headers={"x-gateway-strict": "true"})
    assert caught.value.param == "mirostat"
    assert emulator.calls(marker) == []


@pytest.mark.any_llm
@pytest.mark.parametrize(("case", "stream"), both_ways(cases("forwarded", "emulated")))
def test_strict_mode_leaves_fields_alone_that_are_kept(send, marker, case, stream):
    _, text = send(case["request"], asked(case, marker), stream, headers={"x-gateway-strict": "true"})
    assert text == answered(case, marker)


@pytest.mark.parametrize("case", cases("ignored", "refused", having="neutral"))
def test_strict_mode_leaves_values_alone_that_say_nothing(send, marker, case):
    headers = {"x-gateway-strict": "true"}
    assert send({case["field"]: case["neutral"]}, f"echo {marker}", headers=headers)[1] == marker


@pytest.mark.any_llm
def test_strict_mode_can_be_declined(send):
    headers, text = send({"top_p": 0.5}, "echo lenient", headers={"x-gateway-strict": "false"})
    assert text == "lenient"
    assert named(headers, "x-gateway-ignored") == ["top_p"]


@pytest.mark.any_llm
@pytest.mark.parametrize("value", ["TRUE", "1", "yes", "maybe"])
def test_strict_mode_is_never_switched_off_by_a_word_that_is_not_false(send, emulator, marker, value):
    """Who asks for strictness in other words must not get leniency; as with fal's priority, the header is refused."""
    with pytest.raises(openai.BadRequestError):
        send({"top_p": 0.5}, f"echo {marker}", headers={"x-gateway-strict": value})
    assert emulator.calls(marker) == []


def test_usage_in_a_stream_is_not_called_emulated_where_there_is_no_stream(send):
    headers, _ = send({"stream_options": {"include_usage": True}}, "echo whole")
    assert "x-gateway-emulated" not in headers


# --- fal's priority ---


@pytest.mark.any_llm
@pytest.mark.parametrize("priority", ["latency", "throughput"])
def test_the_priority_header_reaches_fal(send, emulator, marker, priority):
    send({}, f"echo {marker}", headers={"x-fal-priority": priority})
    assert emulator.only_call(marker).body["priority"] == priority


@pytest.mark.any_llm
@pytest.mark.parametrize(
    ("tier", "priority"), [("flex", "throughput"), ("priority", "latency"), ("fast", "latency"), ("default", None)]
)
def test_service_tiers_are_fal_s_priorities(send, emulator, marker, tier, priority):
    send({"service_tier": tier}, f"echo {marker}")
    assert emulator.only_call(marker).body.get("priority") == priority


@pytest.mark.any_llm
def test_the_header_wins_over_the_body_and_fal_s_own_word_over_the_tier(send, emulator, marker):
    fields = {"priority": "throughput", "service_tier": "priority"}
    send(fields, f"echo {marker} first")
    send(fields, f"echo {marker} second", headers={"x-fal-priority": "latency"})
    assert [call.body["priority"] for call in emulator.calls(marker)] == ["throughput", "latency"]


@pytest.mark.parametrize("priority", ["fast", "", "LATENCY"])
def test_an_unknown_priority_is_refused(send, emulator, marker, priority):
    with pytest.raises(openai.BadRequestError):
        send({}, f"echo {marker}", headers={"x-fal-priority": priority})
    assert emulator.calls(marker) == []
