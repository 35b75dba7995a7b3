"""Gateways, each in front of an emulator of fal that misbehaves in one way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

BINARY = os.environ["GATEWAY_BINARY"]
FAL_KEY = "the-id:the-secret"
PATIENCE_S = 30
# A name that Codex knows.
SETTINGS = '[models.aliases]\n"gpt-5.5" = "openai/gpt-4o-mini"\n'


class Upstream:
    """An emulator and the gateway in front of it."""

    def __init__(self, folder: Path, *emulator_arguments: str) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen] = []
        self.emulator = self._start("emulator", "/_emulator/requests", *emulator_arguments)
        fal = f"http://{self.emulator}"
        settings = folder / "fal-gateway.toml"
        settings.write_text(SETTINGS)
        hosts = ["--fal-url", fal, "--fal-queue-url", f"{fal}/queue", "--fal-rest-url", f"{fal}/rest"]
        self.gateway = self._start("serve", "/readyz", "--config", str(settings), *hosts)

    def calls(self, marker: str) -> list[dict]:
        """The calls with that word in them that have reached fal's stand-in."""
        with urllib.request.urlopen(f"http://{self.emulator}/_emulator/requests", timeout=PATIENCE_S) as response:
            return [call for call in json.load(response) if marker in json.dumps(call["body"])]

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(PATIENCE_S)

    def _start(self, command: str, ready: str, *arguments: str) -> str:
        address = f"127.0.0.1:{free_port()}"
        home = self._folder / command
        home.mkdir(parents=True)
        # An environment of its own, where no variable and no file of ours can configure it.
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "FAL_KEY": FAL_KEY}
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [BINARY, command, "--listen", address, *arguments],
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        wait_until_ready(process, f"http://{address}{ready}", home / "log")
        return address


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until_ready(process: subprocess.Popen, url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise AssertionError(f"nothing answers at {url}:\n{log.read_text()}")
