"""The commands and programs that README.md and docs/ show, run as they stand there.

Only the addresses are others, so that the tests can run beside anything. The pages of docs/clients are run by
tests/recipes/run.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request

import pytest
from conftest import place, snippets

# What is run by another test, by its first line.
ELSEWHERE = {
    "git clone <this repository> fal-gateway && cd fal-gateway": "the_demo_answers_as_the_readme_shows",
    "docker compose up": "tests/deploy",
    "deploy/packages/build": "the stage `packages`",
    "uvx fal-gateway demo": "the stage `packages`",
    "npx fal-gateway demo": "the stage `packages`",
    "tests/run                     # everything: what CI runs": "whoever runs this",
    "fal-gateway keys new --name bob": "the_page_for_a_team_is_right",
    "fal-gateway usage --config team.toml --by key --since 7d": "the_page_for_a_team_is_right",
    "fal-gateway store --config service.toml migrate": "the_page_for_a_service_is_right",
    "fal-gateway eval": "the_table_of_the_evaluation_is_up_to_date",
    "export ANTHROPIC_BASE_URL=http://127.0.0.1:3250 ANTHROPIC_AUTH_TOKEN=demo": "tests/recipes, as claude-code",
    "kubectl create secret generic fal-gateway \\": "tests/deploy",
    "cd deploy/kubernetes/overlays/team": "tests/deploy",
}



def test_every_snippet_is_run(request):
    marks = (item.get_closest_marker("snippet") for item in request.session.items)
    here = {mark.args[0] for mark in marks if mark}
    assert {snippet.first_line for snippet in snippets()} == here | set(ELSEWHERE)


@pytest.mark.snippet("curl http://127.0.0.1:3250/v1/chat/completions -H 'Content-Type: application/json' \\")
def test_curl(demo, snippet):
    (command,) = snippet.commands()
    answer = json.loads(demo.shell(command.replace("curl ", "curl -sS ", 1)))
    assert answer["choices"][0]["message"]["content"]


@pytest.mark.snippet("# pip install openai")
def test_python(demo, snippet):
    assert "emulator" in demo.run(sys.executable, "-c", demo.here(snippet.text))


@pytest.mark.snippet("// npm install openai")
def test_node(demo, snippet):
    # Modules are looked for beside the program.
    (demo.folder / "node_modules").symlink_to(os.environ["NODE_MODULES"])
    (demo.folder / "snippet.mjs").write_text(demo.here(snippet.text))
    assert "emulator" in demo.run(os.environ.get("NODE", "node"), "snippet.mjs")


@pytest.mark.snippet("cargo install --profile dist --path .")
def test_with_a_key(office, snippet):
    # The program is there already, and so is a gateway with a key.
    install, export, serve, chat = snippet.commands()
    assert install.startswith("cargo install") and export.startswith("export FAL_KEY=")
    assert serve == "fal-gateway serve"
    assert "sky" in office.shell(chat)


@pytest.mark.snippet("fal-gateway emulator")
def test_the_emulator(tmp_path, snippet):
    with place(tmp_path) as made:
        for command in snippet.commands():
            made.shell(command)
        assert "emulator" in made.shell("fal-gateway chat 'Say hello.'")


@pytest.mark.snippet("fal-gateway chat 'Tell me more. /emulate slow:200ms'")
def test_words_for_the_emulator(demo, snippet):
    slow, limited, dropped = snippet.commands()
    assert "Tell me more" in demo.shell(slow)
    assert "as many requests as it accepts" in demo.shell(limited, expected=1)
    assert "before its answer was complete" in demo.shell(dropped, expected=1)


@pytest.mark.snippet("fal-gateway emulator --relay http://127.0.0.1:11434/v1 --relay-model llama3.2")
def test_a_local_model(office, tmp_path_factory, snippet):
    # A gateway stands for the server with the model.
    with place(tmp_path_factory.mktemp("relay"), FAL_KEY="any:key") as made:
        made.ports[11434] = office.ports[3250]
        for command in snippet.commands():
            made.shell(command)
        made.shell(f"fal-gateway serve --fal-url http://127.0.0.1:{made.ports[3251]}")
        assert "Why me?" in made.shell("fal-gateway chat 'Why me?'")


@pytest.mark.snippet(
    "FAL_KEY=... fal-gateway eval -m openai/gpt-4o-mini -m meta-llama/llama-3.1-8b-instruct --output models.toml"
)
def test_your_model(office, snippet):
    fal, relay, gateway = snippet.commands()
    office.ports[11434] = office.ports[3250]
    assert "openai/gpt-4o-mini" in office.shell(fal)
    assert (office.folder / "models.toml").exists()
    assert "llama-3.2-3b-instruct" in office.shell(relay)
    assert "openai/gpt-4o-mini" in office.shell(gateway.replace("https://llm.example.com", office.url))


@pytest.mark.snippet("fal-gateway projects new web --rpm 600")
def test_keys_in_the_store(office, snippet):
    printed = [office.shell(command) for command in snippet.commands()]
    assert "\nsk-" in printed[1]
    assert "ci" in printed[2]


def make_project(office, name):
    """Makes a project that the gateway knows at once."""
    body = json.dumps({"name": name}).encode()
    headers = {"authorization": f"Bearer {office.environment['ADMIN_KEY']}", "content-type": "application/json"}
    url = office.here("http://127.0.0.1:3252/admin/v1/projects")
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30):
        pass


@pytest.mark.snippet('curl http://127.0.0.1:3252/admin/v1/keys -H "Authorization: Bearer $ADMIN_KEY" \\')
def test_keys_over_http(office, snippet):
    make_project(office, "web")
    (command,) = snippet.commands()
    made = json.loads(office.shell(command.replace("curl ", "curl -sS ", 1)))
    assert made["name"] == "ci"


@pytest.mark.snippet("from openai import OpenAI")
def test_openais_organisation_api(office, snippet):
    make_project(office, "web")
    program = f"ADMIN_KEY = {office.environment['ADMIN_KEY']!r}\n{office.here(snippet.text)}print(bot.api_key.value)\n"
    assert office.run(sys.executable, "-c", program).startswith("sk-")
