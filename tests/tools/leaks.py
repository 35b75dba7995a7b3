"""Looks in everything the gateways have written for what they were told in confidence.

    leaks.py LOG...

What was said is taken from the emulator's record, which has the prompts of all suites so far, and
from requests of its own, so that there is something to find even when this runs alone. Secrets
come in PLANTED_SECRETS, one a line; gateways in GATEWAYS as lines `address key`, with the key of
an operator behind it where the counters ask for one; the emulator in EMULATOR_URL.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PLANTED = "planted words that nobody else says"
SCRIPTS = ["", "/emulate status:500\n", "/emulate drop:1\n", "/emulate garbage:1\n", "/emulate error_event:1\n"]
# Shorter lines, and single words, could stand in a log for another reason.
SHORTEST = 12
PATIENCE_S = 30


def main() -> int:
    logs = [Path(name) for name in sys.argv[1:]]
    gateways = [line.split() for line in os.environ["GATEWAYS"].splitlines()]
    emulator = os.environ["EMULATOR_URL"]
    ids = [id for gateway, key, *_ in gateways for id in plant(gateway, key)]
    until_logged(ids, logs)
    secrets = os.environ["PLANTED_SECRETS"].split()
    said = words_of(json.loads(get(f"{emulator}/_emulator/requests"))) | answers(emulator)
    written = {log.name: log.read_text(errors="replace") for log in logs}
    written |= {f"{gateway}/metrics": get(f"{gateway}/metrics", *admin) for gateway, _, *admin in gateways}
    found = [
        f"{place} holds {needle!r}"
        for place, text in written.items()
        for needle in [*secrets, *said]
        if needle in text or json.dumps(needle)[1:-1] in text
    ]
    sizes = ", ".join(f"{place} ({len(text)})" for place, text in written.items())
    print(f"{len(secrets)} secrets and {len(said)} sentences looked for in {sizes}")
    print("\n".join(found[:50]))
    assert len(secrets) >= 2 and PLANTED in said, "there was nothing to look for"
    assert all(written.values()), "there was nothing to look in"
    return 1 if found else 0


def plant(gateway: str, key: str) -> list[str]:
    """Says the planted words in every way that ends differently; the ids of the requests."""
    ids = []
    for script in SCRIPTS:
        for stream in (False, True):
            id = f"leaks-{len(ids)}-{gateway.rpartition(':')[2]}"
            content = f"{script}echo {PLANTED}"
            body = {"model": "openai/gpt-4o-mini", "stream": stream, "messages": [{"role": "user", "content": content}]}
            headers = {"x-request-id": id, "content-type": "application/json", "authorization": f"Bearer {key}"}
            request = urllib.request.Request(f"{gateway}/v1/chat/completions", json.dumps(body).encode(), headers)
            try:
                urllib.request.urlopen(request, timeout=PATIENCE_S).read()
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                assert PLANTED not in text, f"an error repeats the prompt: {text}"
            ids.append(id)
    return ids


def until_logged(ids: list[str], logs: list[Path]) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        text = "".join(log.read_text(errors="replace") for log in logs)
        missing = [id for id in ids if f'"{id}"' not in text]
        if not missing:
            return
        time.sleep(0.1)
    raise AssertionError(f"not in any log: {missing}")


def words_of(requests: list | dict) -> set[str]:
    """Every line of every prompt, and what an `echo` in it was answered with."""
    records = requests if isinstance(requests, list) else requests["requests"]
    said = set()
    for record in records:
        body = record["body"] if isinstance(record["body"], dict) else {}
        texts = [body.get("prompt"), body.get("system_prompt"), *(body.get("image_urls") or [])]
        lines = [line.strip() for text in texts if isinstance(text, str) for line in text.splitlines()]
        said |= {line for line in lines if is_telling(line)}
        said |= {line[5:] for line in lines if line.startswith("echo ") and is_telling(line[5:])}
    return said


def answers(emulator: str) -> set[str]:
    """Sentences that the emulator answers with when it is not told what to say."""
    body = json.dumps({"model": "openai/gpt-4o-mini", "prompt": "Hello there"}).encode()
    headers = {"content-type": "application/json", "authorization": "Key any:key"}
    request = urllib.request.Request(f"{emulator}/fal-ai/any-llm", body, headers)
    output = json.load(urllib.request.urlopen(request, timeout=PATIENCE_S))["output"]
    return {sentence.strip() for sentence in output.split(".") if is_telling(sentence.strip())}


def is_telling(line: str) -> bool:
    return len(line) >= SHORTEST and (" " in line or line.startswith("data:"))


def get(url: str, key: str = "") -> str:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.read().decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
