"""The test's view of the other side: what the gateway asked of fal's stand-in.

The emulator keeps a record of each request under `/_emulator/requests`. A test finds its own by a marker that it put
into the conversation, so tests need neither an order nor an emulator of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any
from urllib.request import urlopen


# Stands among texts where an image is.
IMAGE = object()


@dataclass
class Call:
    """One request that reached fal's stand-in, through whichever upstream.

    What was said is told in one way for all of them: a conversation in messages reads as its texts one after another.
    """

    id: int
    path: str
    body: Any
    outcome: str

    @property
    def system_prompt(self) -> str | None:
        """The instructions before the conversation; `None` where there are none."""
        if "messages" not in self.body:
            return self.body.get("system_prompt")
        return "\n\n".join(text for message in self._leading() for text in texts_of(message)) or None

    @property
    def prompt(self) -> str:
        """The conversation."""
        if "messages" not in self.body:
            return self.body["prompt"]
        said = self.body["messages"][len(self._leading()) :]
        texts = [text for message in said for text in texts_of(message)]
        marks = (f"[image {number}]" for number in count(1))
        return "\n".join(next(marks) if text is IMAGE else text for text in texts)

    @property
    def image_urls(self) -> list[str]:
        """The images, in the order in which the model sees them."""
        parts = [part for message in self.body.get("messages", []) for part in parts_of(message)]
        shown = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        return self.body.get("image_urls", shown)

    @property
    def streams(self) -> bool:
        """Whether fal was asked for a stream."""
        return self.path.endswith("/stream") or self.body.get("stream") is True

    @property
    def reasoning(self) -> bool | None:
        """Whether the model is told to think, or not to."""
        wish = self.body.get("reasoning")
        if not isinstance(wish, dict):
            return wish
        return wish.get("enabled", wish.get("effort") != "none") is not False

    def _leading(self) -> list[dict]:
        messages = self.body["messages"]
        return list(takewhile(lambda message: message["role"] in ("system", "developer"), messages))


def parts_of(message: dict) -> list[dict]:
    content = message.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def texts_of(message: dict) -> list:
    """What a message says: who speaks, calls and what they are about included, and `IMAGE` for each image."""
    calls = [call["function"] | {"id": call["id"]} for call in message.get("tool_calls", [])]
    return [
        *(message[field] for field in ("name", "tool_call_id") if field in message),
        *(part["text"] if part["type"] == "text" else IMAGE for part in parts_of(message)),
        *(text for call in calls for text in (call["name"], call["arguments"], call["id"])),
    ]


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
