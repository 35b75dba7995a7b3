"""The programs at work: answers as text, calls of tools, objects, and agents that edit a file."""

from __future__ import annotations

import json

import pytest

from programs import AGENTS, CODEX, DSPY, LIBRARIES, LIGHTRAG
from runs import Case, Outcome

# More than any of these takes: an agent that loops is ended.
ROUNDS = 8


def case(program, mode: str, prompt: str) -> Case:
    return Case(program, mode, "answers", prompt, enough=ROUNDS)


# DSPy looks for marks of its own in what is streamed, and the emulator does not write them.
STREAMED = [case(program, "stream", "echo Hello, {marker}!") for program in LIBRARIES if program is not DSPY]
CALLED = [
    case(program, "tool", 'call get_weather {"city": "Paris"} {marker}')
    for program in LIBRARIES
    if program is not LIGHTRAG
]
SHAPED = [case(program, "schema", "Invent a person. {marker}") for program in LIBRARIES if program is not LIGHTRAG]


@pytest.mark.parametrize("case", STREAMED)
def test_a_streamed_answer(case: Case, outcome: Outcome) -> None:
    succeeded(outcome, requests=1)
    assert f"Hello, marker-{case}!" in outcome.run.output


@pytest.mark.parametrize("case", CALLED)
def test_a_call_that_is_required(outcome: Outcome) -> None:
    succeeded(outcome, requests=1)
    assert "get_weather" in outcome.run.output and "Paris" in outcome.run.output


@pytest.mark.parametrize("case", SHAPED)
def test_an_object(outcome: Outcome) -> None:
    succeeded(outcome, requests=1)
    assert "name" in outcome.run.output and "age" in outcome.run.output


def steps(*repeated: tuple[str, dict], **calls: dict) -> str:
    """A message that has the emulator make these calls, one after the other."""
    all_calls = [*repeated, *calls.items()]
    said = [f"call {tool} {json.dumps(arguments, separators=(',', ':'))}" for tool, arguments in all_calls]
    return " then ".join(said) + " {marker}"


PATCH = "*** Begin Patch\n*** Update File: {note}\n@@\n-The colour is red.\n+The colour is blue.\n*** End Patch"
TASKS = {
    # It has no tools: the model writes the file into its answer.
    "aider": "echo notes.txt\n```\nThe colour is blue. {marker}\n```",
    "opencode": steps(
        read={"filePath": "{note}"}, edit={"filePath": "{note}", "oldString": "red", "newString": "blue"}
    ),
    "qwen-code": steps(
        read_file={"file_path": "{note}"}, edit={"file_path": "{note}", "old_string": "red", "new_string": "blue"}
    ),
    "cline": steps(read_files={"files": [{"path": "{note}"}]}, apply_patch={"input": PATCH}),
    "continue": steps(
        Read={"filepath": "{note}"},
        MultiEdit={"file_path": "{note}", "edits": [{"old_string": "red", "new_string": "blue"}]},
    ),
    # To a model that it does not know it offers functions alone, and edits by its shell.
    "codex": steps(
        *[("exec_command", {"cmd": f"{command} notes.txt"}) for command in ("cat", "sed -i s/red/blue/", "grep blue")]
    ),
}
EDITS = [case(program, "agent", TASKS[program.name]) for program in AGENTS]
# To one that it knows it offers a tool that takes a patch as it is.
PATCHED = [case(CODEX, "gpt-5.5", steps(apply_patch={"input": PATCH}, exec_command={"cmd": "grep blue notes.txt"}))]


@pytest.mark.parametrize("case", EDITS)
def test_an_agent_edits_a_file(case: Case, outcome: Outcome) -> None:
    succeeded(outcome, requests={"aider": 1, "codex": 4}.get(case.program.name, 3))
    assert outcome.note.startswith("The colour is blue."), outcome


@pytest.mark.parametrize("case", PATCHED)
def test_codex_applies_a_patch_and_tests_it(case: Case, outcome: Outcome) -> None:
    succeeded(outcome, requests=3)
    assert outcome.note == "The colour is blue.\n", outcome


def succeeded(outcome: Outcome, requests: int) -> None:
    assert outcome.run.status == 0, outcome
    assert [exchange.status for exchange in outcome.exchanges] == [200] * requests, outcome
    assert len(outcome.calls) == requests, outcome
