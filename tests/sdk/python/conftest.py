"""Clients of the gateway, as users make them. `tests/run` starts the servers and sets the URLs."""

from __future__ import annotations

import pytest
from openai import AsyncOpenAI, OpenAI

from conversation import MODEL, user

pytest_plugins = ["servers"]


@pytest.fixture
def client(served, gateway_url):
    """openai-python as a user makes it: no setting but the base URL and a key."""
    with OpenAI(base_url=gateway_url, api_key="demo") as client:
        yield client


@pytest.fixture
async def async_client(served, gateway_url):
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
