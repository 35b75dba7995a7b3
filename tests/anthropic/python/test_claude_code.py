"""Claude Code in print mode, at a task of a few steps. It speaks to nobody but the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
import uuid
from pathlib import Path

import pytest

URL = os.environ["GATEWAY_URL"].removesuffix("/v1")
QUIET = {
    "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_COLOR": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "TERM": "dumb",
    # It works in a folder of the test's own, and asks nobody whether it may.
    "IS_SANDBOX": "1",
}


def said_to_fal(word: str) -> int:
    """How many calls of fal's had this word in them."""
    with urllib.request.urlopen(os.environ["EMULATOR_URL"] + "/_emulator/requests") as answer:
        return sum(word in json.dumps(request) for request in json.load(answer))


@pytest.fixture
def run(tmp_path: Path):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()

    def run(prompt: str, *arguments: str) -> dict:
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "ANTHROPIC_BASE_URL": URL}
        environment |= {"ANTHROPIC_AUTH_TOKEN": "demo", "ANTHROPIC_MODEL": "openai/gpt-4o-mini"} | QUIET
        command = [os.environ["CLAUDE"], "-p", prompt, "--output-format", "json", *arguments]
        done = subprocess.run(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    return run


def test_it_reads_edits_runs_and_finishes(run, tmp_path):
    marker = f"marker-{uuid.uuid4().hex}"
    note = tmp_path / "work" / "notes.txt"
    note.write_text("The colour is red.\n")
    calls = [
        ("Read", {"file_path": str(note)}),
        ("Edit", {"file_path": str(note), "old_string": "red", "new_string": "blue"}),
        ("Bash", {"command": "cat notes.txt", "description": "Show the file"}),
    ]
    steps = " then ".join(f"call {tool} {json.dumps(said, separators=(',', ':'))}" for tool, said in calls)
    outcome = run(f"{steps} {marker}", "--tools", "Bash,Read,Edit", "--permission-mode", "bypassPermissions")
    assert not outcome["is_error"], outcome
    assert note.read_text() == "The colour is blue.\n"
    assert outcome["result"] == "Bash says: The colour is blue."
    assert outcome["num_turns"] == 4 == said_to_fal(marker)


def test_all_its_tools_and_the_names_of_claudes_are_taken(run):
    """What the emulator makes of two dozen tools is its own affair; that they are taken is not."""
    outcome = run("echo Hello there", "--model", "opus")
    assert (outcome["is_error"], outcome["subtype"]) == (False, "success"), outcome


def test_the_context_is_shown_without_a_call(run):
    """It counts every part of its context, and buys an answer for each where nobody counts."""
    before = said_to_fal("")
    outcome = run("/context")
    assert not outcome["is_error"], outcome
    assert said_to_fal("") == before
