"""Runs of programs, several at a time: most of a run is the program's own start."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import wire
from programs import Asked, Program, Run
from proxy import Proxy
from upstreams import Upstream
from wire import Exchange

# Long enough for a slow start on a busy machine. Only a program that repeats a request would take longer.
TIMEOUT_S = 90
NOTE = "notes.txt"
NOTE_TEXT = "The colour is red.\n"


@dataclass(frozen=True)
class Case:
    """A program, what it is asked, and how fal behaves meanwhile.

    `{marker}` in the prompt is a word that is in no other run's prompt, `{note}` the path of a file to work on.
    """

    program: Program
    mode: str
    upstream: str
    prompt: str
    #: The run is ended when so many requests were made: more are no news.
    enough: int

    def __str__(self) -> str:
        return f"{self.program.name}-{self.mode}-{self.upstream}"


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    run: Run
    #: What the program asked of the gateway.
    exchanges: list[Exchange]
    #: What the gateway asked of fal.
    calls: list[dict]
    #: The file's text afterwards.
    note: str

    def __str__(self) -> str:
        statuses = [exchange.status for exchange in self.exchanges]
        return f"answers {statuses}, {len(self.calls)} calls, status {self.run.status}, said:\n{self.run.output}"


class Runs:
    """Starts all the cases, and has their outcomes ready when they are asked for."""

    def __init__(self, cases: list[Case], upstreams: dict[str, Upstream], folder: Path) -> None:
        self._proxy = Proxy()
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._outcomes: dict[Case, Future[Outcome]] = {
            case: self._pool.submit(self._run, case, upstreams[case.upstream], folder / str(case)) for case in cases
        }

    def outcome(self, case: Case) -> Outcome:
        """How the run ended; every answer that it got is judged."""
        outcome = self._outcomes[case].result()
        answered = [exchange for exchange in outcome.exchanges if exchange.status]
        found = [fault for exchange in answered for fault in wire.faults(exchange)]
        assert not found, "\n".join(found)
        return outcome

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._proxy.close()

    def _run(self, case: Case, upstream: Upstream, folder: Path) -> Outcome:
        home, work = folder / "home", folder / "work"
        home.mkdir(parents=True)
        work.mkdir()
        note = work / NOTE
        note.write_text(NOTE_TEXT)
        marker = f"marker-{case}"
        base_url, route = self._proxy.route(str(case), upstream.gateway)
        prompt = case.prompt.replace("{marker}", marker).replace("{note}", str(note))
        asked = Asked(base_url, case.mode, prompt, home, work)
        run = case.program.run(asked, TIMEOUT_S, enough=lambda: len(route.exchanges) >= case.enough)
        return Outcome(run, route.exchanges, upstream.calls(marker), note.read_text())
