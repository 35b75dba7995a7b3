"""The test's view of the other side: what the gateway asked of fal's stand-in.

The emulator keeps a record of each request under `/_emulator/requests`. A test finds its own by a marker that it put
into the conversation, so tests need neither an order nor an emulator of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen


@dataclass
class Call:
    """One request that reached fal's stand-in."""

    id: int
    path: str
    body: Any
    outcome: str


class Emulator:
    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def calls(self, marker: str) -> list[Call]:
        """The requests whose body holds the marker, oldest first."""
        return [call for call in self.all_calls() if marker in json.dumps(call.body)]

    def all_calls(self) -> list[Call]:
        """Every request still on record, oldest first. The emulator's own pages are not recorded."""
        return [call(record) for record in self._get("/_emulator/requests")]

    def only_call(self, marker: str) -> Call:
        """The one request with the marker: more would have been paid twice, none would be a cached answer."""
        found = self.calls(marker)
        assert len(found) == 1, f"{len(found)} calls reached fal, expected 1"
        return found[0]

    def ended(self, request: Call) -> Call:
        """The same request once it has ended, however it did."""
        return call(self._get(f"/_emulator/requests/{request.id}?wait=ended"))

    def _get(self, path: str) -> Any:
        with urlopen(self._url + path, timeout=10) as response:
            return json.load(response)


def call(record: dict[str, Any]) -> Call:
    return Call(id=record["id"], path=record["path"], body=record["body"], outcome=record["outcome"])
