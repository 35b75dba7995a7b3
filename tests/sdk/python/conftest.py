"""Clients, the emulator, and the judge that watches all traffic. `tests/run` starts the servers and sets the URLs."""

from __future__ import annotations

import os
import uuid

import pytest
from openai import AsyncOpenAI, OpenAI

import wire
from conversation import MODEL, user
from emulator import Emulator
from recorder import Recorder

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
def traffic(request, monkeypatch):
    """Every exchange of the test, each judged when the test is over."""
    recorder = Recorder()
    recorder.install(monkeypatch)
    yield recorder.exchanges
    found = [fault for exchange in recorder.exchanges for fault in wire.faults(exchange)]
    assert not found, "\n".join(found)
    if {"client", "async_client", "chat_model"} & set(request.fixturenames):
        assert recorder.requests, "the client's traffic went past the recorder, so nothing was judged"


@pytest.fixture
def client(traffic, gateway_url):
    """openai-python as a user makes it: no setting but the base URL and a key."""
    with OpenAI(base_url=gateway_url, api_key="demo") as client:
        yield client


@pytest.fixture
async def async_client(traffic, gateway_url):
    async with AsyncOpenAI(base_url=gateway_url, api_key="demo") as client:
        yield client


@pytest.fixture
def ask(client):
    """Asks one user message and returns the completion."""

    def ask(prompt: str, **parameters):
        parameters.setdefault("model", MODEL)
        return client.chat.completions.create(messages=[user(prompt)], **parameters)

    return ask


@pytest.fixture
def stream(client):
    """Asks one user message and returns the stream of chunks."""

    def stream(prompt: str, **parameters):
        parameters.setdefault("model", MODEL)
        return client.chat.completions.create(messages=[user(prompt)], stream=True, **parameters)

    return stream
