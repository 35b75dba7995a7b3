"""The servers, and the runs of every test that was chosen."""

from __future__ import annotations

import pytest

from runs import Case, Runs
from upstreams import Upstream

#: The emulator's arguments for each way in which fal behaves.
UPSTREAMS = {
    "answers": [],
    # Another key than the gateway's.
    "refuses-key": ["--key", "another-id:another-secret"],
    # Neither when asked for a call nor when asked for its arguments alone.
    "never-calls": ["--behave", "tool:none json:refuse stubborn"],
    "never-fits": ["--behave", "json:wrong stubborn"],
    "calls-unknown": ["--behave", "tool:unknown stubborn"],
    "fails": ["--behave", "error200"],
    "breaks-off": ["--behave", "size:8 error_event:12"],
    "is-busy": ["--behave", "error:rate_limit retry_after:1"],
}


def pytest_make_parametrize_id(val):
    return str(val) if isinstance(val, Case) else None


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    cases = [item.callspec.params["case"] for item in request.session.items]
    upstreams: dict[str, Upstream] = {}
    started = None
    try:
        for name in {case.upstream: None for case in cases}:
            upstreams[name] = Upstream(folder / name, "--no-tag", *UPSTREAMS[name])
        started = Runs(cases, upstreams, folder / "runs")
        yield started
    finally:
        if started:
            started.close()
        for upstream in upstreams.values():
            upstream.close()


@pytest.fixture
def outcome(case: Case, runs: Runs):
    return runs.outcome(case)
