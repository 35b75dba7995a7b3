"""A failure that was paid for, or that no other try can cure, causes one request, whoever the client is.

Agents and frameworks know nothing of `x-should-retry`. Each goes by the status, the type or even the words of an
error, so only the programs themselves can show what they make of it.
"""

from __future__ import annotations

import json

import pytest

from programs import AGENTS, LIBRARIES, LIGHTRAG, Program
from runs import Case, Outcome

HELLO = "Say hello in one sentence. {marker}"
READ = "Please read the file notes.txt. {marker}"
AIDER, *AGENTS_WITH_TOOLS = AGENTS
LIBRARIES_WITH_TOOLS = [library for library in LIBRARIES if library is not LIGHTRAG]


def cases(programs: list[Program], modes: str, upstream: str, prompt: str) -> list[Case]:
    # A second request is one too many, and ends the run.
    return [Case(program, mode, upstream, prompt, enough=2) for program in programs for mode in modes.split()]


REFUSED = cases(AGENTS, "agent", "refuses-key", HELLO) + cases(LIBRARIES, "whole stream", "refuses-key", HELLO)
NEVER_MENDED = [
    *cases(AGENTS_WITH_TOOLS, "agent", "calls-unknown", READ),
    *cases(LIBRARIES_WITH_TOOLS, "tool", "never-calls", HELLO),
    *cases(LIBRARIES_WITH_TOOLS, "schema", "never-fits", HELLO),
]
FAILED = cases(LIBRARIES, "whole", "fails", HELLO)
BROKEN_OFF = cases(AGENTS, "agent", "breaks-off", HELLO) + cases(LIBRARIES, "stream", "breaks-off", HELLO)


@pytest.mark.parametrize("case", REFUSED)
def test_a_fal_key_that_is_refused(case: Case, outcome: Outcome) -> None:
    asked_once(case, outcome, calls=1)
    assert error_of(outcome)["code"] == "upstream_auth_failed"
    # The person before the screen learns what to do.
    assert "rejected the gateway's own key" in " ".join(outcome.run.output.split()), outcome


@pytest.mark.parametrize("case", NEVER_MENDED)
def test_a_model_that_never_mends(case: Case, outcome: Outcome) -> None:
    asked_once(case, outcome, calls=2)
    wanted = {"agent": "tool_call_invalid", "tool": "tool_choice_not_met", "schema": "json_schema_not_met"}
    assert error_of(outcome)["code"] == wanted[case.mode]


@pytest.mark.parametrize("case", FAILED)
def test_a_model_that_fails(case: Case, outcome: Outcome) -> None:
    asked_once(case, outcome, calls=1)
    assert error_of(outcome)["code"] == "upstream_error"


@pytest.mark.parametrize("case", BROKEN_OFF)
def test_an_answer_that_breaks_off(case: Case, outcome: Outcome) -> None:
    asked_once(case, outcome, calls=1)
    assert outcome.exchanges[0].status == 200, "nothing was streamed before the error"
    assert error_of(outcome)["code"] == "upstream_error"


def asked_once(case: Case, outcome: Outcome, calls: int) -> None:
    assert len(outcome.exchanges) == 1, f"asked {len(outcome.exchanges)} times: {outcome}"
    assert len(outcome.calls) == calls, f"{len(outcome.calls)} calls reached fal: {outcome}"
    assert outcome.run.status is not None, f"it did not end: {outcome}"
    # aider shows the error and ends with 0, as after an answer.
    assert outcome.run.status != 0 or case.program is AIDER, f"nobody learns of the failure: {outcome}"


def error_of(outcome: Outcome) -> dict:
    """The error in the first answer: its body, or the frame that says it."""
    text = outcome.exchanges[0].body.decode()
    if outcome.exchanges[0].status == 200:
        frames = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
        (text,) = [frame for frame in frames if "error" in json.loads(frame)]
    return json.loads(text)["error"]
