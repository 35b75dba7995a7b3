"""Every client program that is tested, and how a person would start it against a gateway.

Each run gets an empty home and work folder, so nobody's settings change what is tested. No program may speak to
anybody but the gateway: all are told to send no reports and to look for no updates, and the proxy that they would have
to go through for it does not exist.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
MODEL = "openai/gpt-4o-mini"
KEY = "demo"

# What is installed where; `tests/run` says it.
NODE = os.environ["NODE"]
AIDER = os.environ["AIDER"]
PYTHON = os.environ["PYTHON"]

QUIET = {
    "AIDER_ANALYTICS_DISABLE": "true",
    "AI_SDK_LOG_WARNINGS": "false",
    # Otherwise it starts a server that outlives it and that all runs share.
    "CLINE_SESSION_BACKEND_MODE": "local",
    "CLINE_TELEMETRY_DISABLED": "1",
    "CONTINUE_TELEMETRY_ENABLED": "0",
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MASTRA_TELEMETRY_DISABLED": "1",
    "NO_COLOR": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "TERM": "dumb",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}


@dataclass(frozen=True)
class Asked:
    """What a program is asked to do, and where."""

    base_url: str
    mode: str
    prompt: str
    home: Path
    work: Path


@dataclass(frozen=True)
class Program:
    """A client. `command` writes the settings it needs and says how it is started."""

    name: str
    command: Callable[[Asked], list[str]]

    def run(self, asked: Asked, timeout_s: float, enough: Callable[[], bool]) -> Run:
        """Runs it until it ends, `enough` is true, or the time is up."""
        return run(self.command(asked), asked, timeout_s, enough)


@dataclass(frozen=True)
class Run:
    """One run of a program. There is no status if it did not end by itself."""

    status: int | None
    output: str


def run(command: list[str], asked: Asked, timeout_s: float, enough: Callable[[], bool]) -> Run:
    end = time.monotonic() + timeout_s
    log = asked.home / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=asked.work,
            env=environment(asked),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        status = None
        while status is None and time.monotonic() < end and not enough():
            try:
                status = process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        end_all_of(process)
    return Run(status, log.read_text(errors="replace"))


def end_all_of(process: subprocess.Popen) -> None:
    """Ends a process together with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def environment(asked: Asked) -> dict[str, str]:
    home = asked.home
    return {
        **QUIET,
        "HOME": str(home),
        "PATH": f"{Path(NODE).parent}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENAI_API_KEY": KEY,
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
    }


# --- agents ---


def aider(asked: Asked) -> list[str]:
    return [
        *[AIDER, "--openai-api-base", asked.base_url, "--model", MODEL, "--no-show-model-warnings"],
        *["--yes-always", "--no-git", "--no-check-update", "--no-show-release-notes", "--no-pretty"],
        *["--no-detect-urls", "--no-suggest-shell-commands", "--message", asked.prompt],
        *sorted(path.name for path in asked.work.iterdir()),
    ]


def opencode(asked: Asked) -> list[str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "fal",
        "options": {"baseURL": asked.base_url, "apiKey": KEY},
        "models": {MODEL: {"name": "gpt-4o-mini"}},
    }
    settings = {"provider": {"fal": provider}, "model": f"fal/{MODEL}", "share": "disabled"}
    write(asked.home / ".config/opencode/opencode.json", settings)
    # With a title of its own it does not ask the model for one, which would be a second conversation. It takes words,
    # and would put quotation marks around a text.
    return [agent("opencode-linux-x64/bin/opencode"), "run", "--auto", "--title", "test", *asked.prompt.split(" ")]


def qwen_code(asked: Asked) -> list[str]:
    settings = {
        "security": {"auth": {"selectedType": "openai"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False},
    }
    write(asked.home / ".qwen/settings.json", settings)
    return [
        *[NODE, agent("@qwen-code/qwen-code/cli-entry.js"), "--yolo"],
        *["--openai-base-url", asked.base_url, "--openai-api-key", KEY, "--model", MODEL, asked.prompt],
    ]


def cline(asked: Asked) -> list[str]:
    program = agent("@cline/cli-linux-x64/bin/cline")
    login = [program, "auth", "-p", "openai-compatible", "-k", KEY, "-m", MODEL, "-b", asked.base_url]
    told = run(login, asked, 60, enough=lambda: False)
    assert told.status == 0, told.output
    return [program, "-P", "openai-compatible", "-m", MODEL, asked.prompt]


def continue_cli(asked: Asked) -> list[str]:
    model = {"name": "fal", "provider": "openai", "model": MODEL, "apiBase": asked.base_url, "apiKey": KEY}
    settings = {"name": "fal", "version": "0.0.1", "schema": "v1", "models": [model | {"roles": ["chat", "edit"]}]}
    # JSON is YAML.
    file = write(asked.home / "fal.yaml", settings)
    return [NODE, agent("@continuedev/cli/dist/cn.js"), "--config", str(file), "--auto", "-p", asked.prompt]


def codex(asked: Asked) -> list[str]:
    """It speaks the Responses API alone, and always streams. The container or the empty folder is sandbox enough."""
    provider = {"name": "fal", "base_url": asked.base_url, "env_key": "OPENAI_API_KEY", "wire_api": "responses"}
    settings = {
        "model": MODEL if asked.mode == "agent" else asked.mode,
        "model_provider": "fal",
        "model_providers": {"fal": provider},
        "approval_policy": "never",
        "sandbox_mode": "danger-full-access",
        "analytics": {"enabled": False},
        "check_for_update_on_startup": False,
    }
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={toml(value)}")]
    program = agent("@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex")
    return [program, "exec", "--skip-git-repo-check", *options, asked.prompt]


def toml(value: object) -> str:
    """A value as TOML has it: as JSON does, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(member)}" for name, member in value.items()) + "}"
    return json.dumps(value)


def agent(path: str) -> str:
    return str(FOLDER / "agents/node_modules" / path)


def write(path: Path, settings: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))
    return path


CODEX = Program("codex", codex)
AGENTS = [
    Program("aider", aider),
    Program("opencode", opencode),
    Program("qwen-code", qwen_code),
    Program("cline", cline),
    Program("continue", continue_cli),
    CODEX,
]


# --- libraries ---


def javascript(name: str) -> Program:
    program = FOLDER / "libraries" / f"{name}.mjs"
    return Program(name, lambda asked: [NODE, str(program), asked.base_url, asked.mode, asked.prompt])


def python(name: str) -> Program:
    program = FOLDER / "python" / f"ask_{name}.py"
    return Program(name, lambda asked: [PYTHON, str(program), asked.base_url, asked.mode, asked.prompt])


MASTRA = javascript("mastra")
DSPY = python("dspy")
LIGHTRAG = python("lightrag")
#: All take the modes `whole`, `stream`, `tool` and `schema`; LightRAG, which has no tools or schemas, the first two.
LIBRARIES = [
    javascript("langchain"),
    javascript("langchain-responses"),
    javascript("ai-sdk-openai"),
    javascript("ai-sdk-compatible"),
    MASTRA,
    python("llamaindex"),
    DSPY,
    python("smolagents"),
    LIGHTRAG,
]
