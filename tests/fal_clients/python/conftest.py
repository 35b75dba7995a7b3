"""fal's own Python client, unmodified, pointed at the emulator named by EMULATOR_URL.

The client reads its addresses from four module constants when a request is made; its environment
variables work only over TLS.
"""

import os

import fal_client
import fal_client.client as constants
import pytest

BASE = os.environ.get("EMULATOR_URL", "").rstrip("/")
KEY = os.environ.get("EMULATOR_KEY", "kid:ksecret")

APP = "fal-ai/any-llm"


def pytest_configure(config):
    if not BASE:
        raise pytest.UsageError("set EMULATOR_URL to the base URL of a running emulator")
    constants.RUN_URL_FORMAT = BASE + "/"
    constants.QUEUE_URL_FORMAT = BASE + "/queue/"
    constants.REST_URL = BASE + "/rest"
    constants.CDN_URL = BASE


@pytest.fixture
def base():
    return BASE


@pytest.fixture
def client():
    return fal_client.SyncClient(key=KEY)


@pytest.fixture
def async_client():
    return fal_client.AsyncClient(key=KEY)
