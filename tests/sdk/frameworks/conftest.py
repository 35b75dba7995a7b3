"""The frameworks' side of the suite. Servers, judge and the rest come from the Python suite."""

from __future__ import annotations

import os

# LiteLLM would fetch its list of prices from the internet when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import httpx
import pytest
from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport

from emulator import Emulator

pytest_plugins = ["servers"]

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


@pytest.fixture(autouse=True)
def everything_is_seen(served):
    """No test here may do without the gateway."""


@pytest.fixture(autouse=True)
def litellm_is_seen(traffic, monkeypatch):
    """LiteLLM's async calls go through a transport of its own."""
    traffic.wrap_async(monkeypatch, httpx, LiteLLMAiohttpTransport)


@pytest.fixture
def sent(emulator: Emulator, marker: str):
    """What reached fal in the one call that the test has caused."""
    return lambda: emulator.only_call(marker)
