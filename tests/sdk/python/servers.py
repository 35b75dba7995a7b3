"""Fixtures of every Python suite: the servers, and the judge that watches all traffic with them."""

from __future__ import annotations

import os
import uuid

import pytest

import wire
from emulator import Emulator
from recorder import Recorder


def pytest_collection_modifyitems(config, items):
    """What is marked as the other kind of upstream's own is left out, and pytest says how much."""
    is_any_llm = os.environ.get("GATEWAY_UPSTREAM", "any-llm") == "any-llm"
    others = "native" if is_any_llm else "any_llm"
    left_out = [item for item in items if item.get_closest_marker(others)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def required_url(name: str) -> str:
    """The variable's value. Without a server there is nothing to test, and a skip would read as success."""
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"{name} is not set; run this suite through tests/run", pytrace=False)
    return value


@pytest.fixture(scope="session")
def gateway_url() -> str:
    """The gateway's OpenAI base URL, `/v1` included."""
    return required_url("GATEWAY_URL")


@pytest.fixture(scope="session")
def emulator() -> Emulator:
    return Emulator(required_url("EMULATOR_URL"))


@pytest.fixture
def marker() -> str:
    """A word that no other test and no earlier run has put into a conversation."""
    return f"marker-{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def traffic(monkeypatch):
    """Every exchange of the test, each judged when the test is over."""
    recorder = Recorder()
    recorder.install(monkeypatch)
    yield recorder
    found = [fault for exchange in recorder.exchanges for fault in wire.faults(exchange)]
    assert not found, "\n".join(found)


@pytest.fixture
def served(traffic):
    """For a client that asks the gateway: its traffic must have been seen, or nothing was judged."""
    yield
    assert traffic.requests, "the client's traffic went past the recorder, so nothing was judged"
