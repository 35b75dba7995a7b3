"""openai-python's admin client, against a gateway of its own with a store and an admin key."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time

import pytest
from openai import ConflictError, NotFoundError, OpenAI

from conversation import MODEL, user
from servers import required_url

ADMIN_KEY = "sk-admin-of-the-tests"


@pytest.fixture
def operated(tmp_path, emulator):
    """The base URLs for clients and for operators."""
    fal = required_url("EMULATOR_URL")
    digest = hashlib.sha256(ADMIN_KEY.encode()).hexdigest()
    environment = {
        "PATH": os.environ["PATH"],
        "FAL_KEY": "id:secret",
        "FAL_GATEWAY__FAL__URL": fal,
        "FAL_GATEWAY__FAL__REST_URL": f"{fal}/rest",
        "FAL_GATEWAY__STORE__PATH": str(tmp_path / "store.db"),
        "FAL_GATEWAY__AUTH__ADMIN_KEY": f"sha256:{digest}",
        "FAL_GATEWAY__ADMIN__LISTEN": "127.0.0.1:0",
        "FAL_GATEWAY__LOG__FORMAT": "json",
    }
    command = [required_url("GATEWAY_BINARY"), "serve", "--listen", "127.0.0.1:0"]
    gateway = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    lines = iter(gateway.stderr.readline, "")
    serving = next(line for line in lines if '"message":"serving"' in line)
    api, admin = (re.search(rf'"{name}":"([^"]+)"', serving)[1] for name in ("api", "admin"))
    yield api, admin.replace("/admin/v1", "/v1")
    gateway.terminate()
    gateway.communicate(timeout=20)


@pytest.fixture
def organization(operated):
    with OpenAI(base_url=operated[1], admin_api_key=ADMIN_KEY, api_key="none") as client:
        yield client.admin.organization


def test_the_admin_client_administers(operated, organization):
    projects = organization.projects
    web = projects.create(name="web")
    assert (web.id, web.status, web.object) == ("web", "active", "organization.project")
    bot = projects.service_accounts.create("web", name="bot")
    assert bot.role == "member" and bot.api_key.value.startswith("sk-fg-")
    with pytest.raises(ConflictError):
        projects.service_accounts.create("web", name="bot")

    with OpenAI(base_url=operated[0], api_key=bot.api_key.value) as client:
        client.chat.completions.create(model=MODEL, messages=[user("hi")])

    (key,) = projects.api_keys.list("web")
    assert (key.id, key.owner.service_account.name) == ("bot", "bot")
    assert key.redacted_value.endswith(bot.api_key.value[-4:])
    assert [account.name for account in projects.service_accounts.list("web")] == ["bot"]

    limits = projects.rate_limits.update_rate_limit("rl-all", project_id="web", max_requests_per_1_minute=90)
    assert limits.max_requests_per_1_minute == 90
    (listed,) = projects.rate_limits.list_rate_limits("web")
    assert listed.max_requests_per_1_minute == 90

    limit = projects.spend_limit.update("web", threshold_amount=2500, currency="USD", interval="month")
    assert (limit.threshold_amount, limit.enforcement.status) == (2500, "inactive")
    assert projects.spend_limit.retrieve("web").threshold_amount == 2500
    assert projects.spend_limit.delete("web").deleted
    with pytest.raises(NotFoundError):
        projects.spend_limit.retrieve("web")

    assert projects.api_keys.delete("bot", project_id="web").deleted
    assert projects.archive("web").status == "archived"


def test_usage_and_costs_are_read(operated, organization):
    bot = organization.projects.service_accounts.create("default", name="bot")
    with OpenAI(base_url=operated[0], api_key=bot.api_key.value) as client:
        client.chat.completions.create(model=MODEL, messages=[user("hi")])
    since = int(time.time()) - 3600
    deadline = time.monotonic() + 20
    results = []
    while not results and time.monotonic() < deadline:
        usage = organization.usage.completions(start_time=since, group_by=["api_key_id", "model"])
        results = [result for bucket in usage.data for result in bucket.results]
    (result,) = results
    assert (result.api_key_id, result.model, result.num_model_requests) == ("bot", MODEL, 1)
    assert result.input_tokens > 0 and result.output_tokens > 0
    costs = organization.usage.costs(start_time=since)
    (cost,) = [result for bucket in costs.data for result in bucket.results]
    assert cost.amount.currency == "usd" and cost.quantity_unit == "fal_units"
