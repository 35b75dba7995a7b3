"""What README.md and docs/ show that can be run, and places to run it in."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GATEWAY_BINARY", ROOT / "target/debug/fal-gateway"))
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "deploy").glob("**/*.md")),
]
ADMIN_KEY = "sk-admin-of-the-snippets"
SERVERS = ("serve", "demo", "emulator")

@dataclass
class Snippet:
    page: Path
    language: str
    text: str

    @property
    def first_line(self) -> str:
        return self.text.splitlines()[0].removeprefix("$ ")

    def commands(self) -> list[str]:
        """The commands of a session, without what they print; or of a script, whole lines each."""
        lines = re.findall(r"^(?:.*\\\n)*.*$", self.text, re.MULTILINE)
        if self.language == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip()]


def snippets() -> list[Snippet]:
    """Everything on the pages that can be run."""
    return [
        Snippet(page, language, text)
        for page in PAGES
        for language, text in re.findall(r"^```(console|sh|python|js)\n(.*?)^```$", page.read_text(), re.M | re.S)
    ]


def pytest_configure(config):
    config.addinivalue_line("markers", "snippet(first_line): the test is given the snippet that begins so, and runs it")


@pytest.fixture
def snippet(request):
    """The snippet that the test runs."""
    first_line = request.node.get_closest_marker("snippet").args[0]
    (found,) = [one for one in snippets() if one.first_line == first_line]
    return found


# --- running them ---


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Place:
    """A folder, an environment and ports of its own, in which commands are run."""

    def __init__(self, folder: Path, **settings: str):
        self.folder = folder
        self.ports = {shown: free_port() for shown in (3250, 3251, 3252)}
        self.running: list[subprocess.Popen] = []
        self.url = f"http://127.0.0.1:{self.ports[3250]}"
        self.environment = {
            "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "FAL_GATEWAY__ADMIN__LISTEN": f"127.0.0.1:{self.ports[3252]}",
            "OPENAI_API_KEY": "demo",
            **settings,
        }

    def here(self, text: str) -> str:
        """The text with the ports of this place in it."""
        for port, own in self.ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}")
        return text

    def run(self, *command: str, expected: int = 0) -> str:
        """Runs a program to its end; gives what it printed."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        assert done.returncode == expected, f"{command}\n{done.stdout}"
        return done.stdout

    def shell(self, command: str, expected: int = 0) -> str:
        """Runs a command as a shell does. A server runs on, until the end of the test."""
        command = self.here(command)
        command = command.replace("fal-gateway chat ", f"fal-gateway chat --url {self.url}/v1 ")
        words = re.search(r"fal-gateway (\w+)", command)
        if not words or words[1] not in SERVERS:
            return self.run("sh", "-c", command, expected=expected)
        address = self.ports[3251 if words[1] == "emulator" else 3250]
        command += f" --listen 127.0.0.1:{address}"
        log = self.folder / f"{words[1]}.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                ["sh", "-c", f"exec env {command}"], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )
        self.running.append(server)
        health = "_emulator/help" if words[1] == "emulator" else "readyz"
        wait_until_answered(f"http://127.0.0.1:{address}/{health}", server, log)
        return ""

    def stop(self) -> None:
        for server in self.running:
            server.terminate()
        for server in self.running:
            server.wait(timeout=60)


def wait_until_answered(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"{url} did not answer: {log.read_text()}")


@contextmanager
def place(folder: Path, **settings: str):
    made = Place(folder, **settings)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def demo(tmp_path):
    with place(tmp_path) as made:
        made.shell("fal-gateway demo")
        yield made


@pytest.fixture
def office(tmp_path):
    """A gateway with a store, whose operators have a key, in front of the emulator. It has a local model's name too."""
    (tmp_path / "fal-gateway.toml").write_text('[models.aliases]\n"llama3.2" = "openai/gpt-4o-mini"\n')
    emulator = free_port()
    settings = {
        "FAL_KEY": "any:key",
        "FAL_GATEWAY__FAL__URL": f"http://127.0.0.1:{emulator}",
        "FAL_GATEWAY__STORE__PATH": str(tmp_path / "store.db"),
        "FAL_GATEWAY__AUTH__ADMIN_KEY": f"sha256:{hashlib.sha256(ADMIN_KEY.encode()).hexdigest()}",
        "ADMIN_KEY": ADMIN_KEY,
    }
    with place(tmp_path, **settings) as made:
        made.ports[3251] = emulator
        made.shell("fal-gateway emulator")
        made.shell("fal-gateway serve")
        yield made
