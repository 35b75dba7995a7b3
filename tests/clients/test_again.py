"""A failure that is worth another try is still repeated by the programs that do so."""

from __future__ import annotations

import pytest

from programs import AGENTS, CODEX, LIBRARIES, MASTRA
from runs import Case, Outcome

# Mastra repeats nothing unless it is told to, and Codex no 429.
CASES = [
    Case(program, mode, "is-busy", "Say hello in one sentence. {marker}", enough=2)
    for programs, mode in ((AGENTS, "agent"), (LIBRARIES, "whole"))
    for program in programs
    if program not in (CODEX, MASTRA)
]


@pytest.mark.parametrize("case", CASES)
def test_a_rate_limit_is_waited_for(case: Case, outcome: Outcome) -> None:
    assert [exchange.status for exchange in outcome.exchanges[:1]] == [429], outcome
    assert outcome.exchanges[0].headers["retry-after"] == "1"
    assert len(outcome.exchanges) == 2, f"it was not repeated: {outcome}"
