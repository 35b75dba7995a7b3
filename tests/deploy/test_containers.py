"""The Dockerfile, and what runs more than one container."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import compose_spec
import pytest
import yaml

from conftest import ROOT, ask, free_port, wait_for

COMPOSE = ["docker-compose.yml", "deploy/compose/compose.yaml"]
GATEWAY = os.environ["GATEWAY_BINARY"]


def test_the_dockerfile_has_no_fault_that_hadolint_knows():
    done = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", COMPOSE)
def test_compose_files_fit_the_specification(path):
    compose_spec.PyCompose.from_yaml((ROOT / path).read_text()).validate()


@pytest.mark.parametrize("path", COMPOSE)
def test_no_service_has_more_rights_than_it_needs(path):
    for name, service in yaml.safe_load((ROOT / path).read_text())["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service, name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        # A database writes, and begins as root.
        if name != "postgres":
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name


def test_the_program_runs_as_nobody_in_a_root_that_cannot_be_written(tmp_path):
    done = subprocess.run(
        [Path(__file__).parent / "isolated.sh", GATEWAY, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nready\n" in done.stdout
    assert 'You said: "Say hello."' in done.stdout
    assert "stopped with 0" in done.stdout
    status = dict(re.findall(r"^(\w+):\t(.*)$", done.stdout, re.MULTILINE))
    assert status["Uid"].split() == status["Gid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    # The base image has these libraries and no others.
    linked = {name.split(".")[0] for name in re.findall(r"^\S+\.so\S*$", done.stdout, re.MULTILINE)}
    assert {re.sub("-.*", "", name) for name in linked} <= {"ld", "libc", "libgcc_s", "libm", "libdl", "libpthread", "librt"}


def test_an_address_that_is_trusted_is_given_to_nobody_else():
    compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
    (network,) = compose["networks"]["inside"]["ipam"]["config"]
    given = ipaddress.ip_network(network["ip_range"])
    assert given.subnet_of(ipaddress.ip_network(network["subnet"]))
    address = compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    assert ipaddress.ip_address(address) not in given
    environment = compose["services"]["gateway-1"]["environment"]
    assert environment["FAL_GATEWAY__SERVER__TRUSTED_PROXIES"] == address


def test_secrets_come_from_outside():
    text = (ROOT / "deploy/compose/compose.yaml").read_text()
    for line in text.splitlines():
        if re.search(r"(KEY|KEYS|PASSWORD): ", line):
            assert ":?" in line, line


def test_the_proxy_passes_events_on_as_they_come_and_goes_past_a_dead_gateway(start, tmp_path):
    alive, dead, proxy = free_port(), free_port(), free_port()
    text = (ROOT / "deploy/compose/nginx.conf").read_text()
    text = text.replace("gateway-1:3250", f"127.0.0.1:{alive}").replace("gateway-2:3250", f"127.0.0.1:{dead}")
    text = text.replace("listen 3250", f"listen 127.0.0.1:{proxy}").replace("/tmp/", f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(text)
    gateway = start(GATEWAY, "demo", "--listen", f"127.0.0.1:{alive}", cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for(f"http://127.0.0.1:{alive}/readyz", gateway)
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    front = start(nginx, "-c", tmp_path / "nginx.conf", "-e", "stderr", "-g", "daemon off;")
    url = f"http://127.0.0.1:{proxy}"
    wait_for(f"{url}/readyz", front)
    for _ in range(4):
        with ask(url, "Hello!") as answer:
            assert answer.read().endswith(b"data: [DONE]\n\n")
    # A proxy that keeps events back shows the first of them when the stream is over.
    with ask(url, "count 100 /emulate gap:100ms") as answer:
        answer.read1(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{alive}/metrics", timeout=5) as metrics:
            assert b"\nfal_gateway_open_streams 1\n" in metrics.read()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/metrics", timeout=5)
