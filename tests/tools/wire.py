"""Judges what the gateway puts on the wire.

SDKs forgive much: an unknown field, a missing one, a number for a string. This module does not. The suites record
every exchange that their clients have with the gateway and ask here for its faults; a test that had any fails, even
if all it asserted came true.

Three sources, in growing strictness:

* the rules of Server-Sent Events and of OpenAI's chunk order, written down below;
* the SDK's own pydantic models, validated strictly and with every unknown field reported;
* OpenAI's JSON Schemas and stream checker, where `OPENAI_SCHEMAS` names the folder that holds them.

As a program it reads exchanges, one JSON object a line, and answers each with a line: the list of its faults. That is
how the Node suites ask.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from openai.types import Completion, Model
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionDeleted,
    ChatCompletionMessage,
)
from openai.types.chat.chat_completion import Choice
from openai.types.completion_choice import CompletionChoice
from openai.types.conversations import Conversation, ConversationDeletedResource, Message
from openai.types.responses import (
    Response,
    ResponseFunctionToolCallItem,
    ResponseFunctionToolCallOutputItem,
    ResponseStreamEvent,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

# Fields that OpenAI does not have and that clients read from us all the same: the reasoning text, under both names,
# what an answer cost, and what is known of its usage only at its end.
OUR_FIELDS = {"reasoning_content", "reasoning", "cost", "gateway"}

# Fields that OpenAI's description requires although the SDK's models let them be absent.
REQUIRED_FIELDS = {
    Choice: {"logprobs", "finish_reason"},
    ChatCompletionMessage: {"role", "content", "refusal"},
    CompletionChoice: {"logprobs", "finish_reason"},
}

# What the SDKs' models of a response do not know, and OpenAI's description or that of Open Responses does.
NEWER_FIELDS = {"cache_write_tokens", "frequency_penalty", "name", "namespace", "presence_penalty", "status", "store"}

# What a response repeats of its request: those fields are the caller's own.
REPEATED_FIELDS = {"tools", "tool_choice", "text", "metadata"}

# The description says of these objects that nothing in them is null, and OpenAI's own are: the usage until the end, the
# user always. The patched schemas know that.
PATCHED_SCHEMAS = {"responses.response", "responses.stream-event"}

ERROR_KEYS = {"message", "type", "param", "code"}
REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")


@dataclass
class Exchange:
    """One request and what came back, as far as it came. Header names are in lower case."""

    method: str
    url: str
    status: int
    headers: dict[str, str]
    body: bytes = b""
    ended: bool = False
    request_headers: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all of it was read. Some clients hang up on the terminator, having seen the whole stream."""
        return self.ended or self.body.endswith(b"data: [DONE]\n\n")

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").lower()

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"


def faults(exchange: Exchange) -> list[str]:
    """Everything that is wrong with an exchange; an empty list when nothing is."""
    found = header_faults(exchange)
    if exchange.content_type.startswith("text/event-stream"):
        found += stream_faults(exchange)
    elif exchange.complete:
        found += body_faults(exchange)
    return [f"{exchange}: {fault}" for fault in found]


# --- headers ---


def header_faults(exchange: Exchange) -> list[str]:
    found = []
    request_id = exchange.headers.get("x-request-id", "")
    if not REQUEST_ID.fullmatch(request_id):
        found.append(f"x-request-id is {request_id!r}, not req_ and 32 hex digits")
    if "content-encoding" in exchange.headers:
        found.append("the answer is compressed, which delays streams")
    key = exchange.request_headers.get("authorization", "").removeprefix("Bearer ")
    if key.startswith("sk-") and key.encode() in exchange.body:
        found.append("the answer repeats the caller's key")
    return found


# --- what operators are told ---


def organization_faults(document) -> list[str]:
    # Not every suite has an openai-python that knows these.
    from openai.types.admin import organization
    from openai.types.admin.organization import projects

    models = {
        "organization.project": organization.Project,
        "organization.project.api_key": projects.ProjectAPIKey,
        "organization.project.api_key.deleted": projects.APIKeyDeleteResponse,
        "organization.project.service_account": projects.ProjectServiceAccount,
        "project.spend_limit": projects.ProjectSpendLimit,
        "project.spend_limit.deleted": projects.ProjectSpendLimitDeleted,
    }
    kind = document.get("object")
    if kind == "list":
        return [fault for item in document["data"] for fault in organization_faults(item)]
    # Limits that are not set are null here; what pages of usage hold, their tests look at.
    if kind in ("page", "project.rate_limit"):
        return []
    if kind not in models:
        return [f"no rule for the object {kind!r}; add one"]
    return model_faults(models[kind], json.dumps(document).encode(), any_extra=True)


# --- whole bodies ---


def body_faults(exchange: Exchange) -> list[str]:
    if not exchange.content_type.startswith("application/json"):
        return [f"content type {exchange.content_type!r} instead of application/json"]
    try:
        document = json.loads(exchange.body)
    except ValueError as error:
        return [f"the body is not JSON: {error}"]
    if exchange.status >= 400:
        return error_faults(document)
    if "/conversations" in exchange.path or is_stored_chat(exchange):
        return kept_faults(exchange, document)
    if "/organization/" in exchange.path:
        return organization_faults(document)
    if exchange.path.endswith("/chat/completions"):
        found = model_faults(ChatCompletion, exchange.body) + schema_faults("chat-completion.response", document)
        return found + message_faults(document)
    if exchange.path.endswith("/completions"):
        return model_faults(Completion, exchange.body) + schema_faults("completion.response", document)
    if exchange.path.endswith("/responses") or "/responses/" in exchange.path:
        return response_faults(document)
    if exchange.path.endswith("/models"):
        return list_faults(document)
    if "/models/" in exchange.path:
        return model_faults(Model, exchange.body, any_extra=True) + schema_faults("model", document)
    return ["no rule for this path; add one"]


def is_stored_chat(exchange: Exchange) -> bool:
    """Whether it is about completions that are kept."""
    return "/chat/completions/" in exchange.path or (
        exchange.method == "GET" and exchange.path.endswith("/chat/completions")
    )


def kept_faults(exchange: Exchange, document: dict) -> list[str]:
    """What is kept comes as single objects, and in lists of these."""
    kinds = {
        "conversation": Conversation,
        "conversation.deleted": ConversationDeletedResource,
        "chat.completion.deleted": ChatCompletionDeleted,
    }
    if document.get("object") in kinds:
        return model_faults(kinds[document["object"]], exchange.body)
    items = document["data"] if document.get("object") == "list" else [document]
    found = []
    if document.get("object") == "list" and set(document) != {"object", "data", "first_id", "last_id", "has_more"}:
        found.append(f"a list has the members {sorted(document)}")
    for item in items:
        if exchange.path.endswith("/messages"):
            # The SDK's type has the role of answers alone.
            found += [] if {"id", "role", "content", "content_parts"} <= set(item) else [f"a message is {sorted(item)}"]
        elif is_stored_chat(exchange):
            found += model_faults(ChatCompletion, dumped(item), any_extra=True) + message_faults(item)
        elif item["type"] in ITEM_KINDS:
            found += model_faults(ITEM_KINDS[item["type"]], dumped(item))
    return found


ITEM_KINDS = {
    "message": Message,
    "function_call": ResponseFunctionToolCallItem,
    "function_call_output": ResponseFunctionToolCallOutputItem,
}


def response_faults(response: dict) -> list[str]:
    """A response in itself: its shape, and items that are fit to be sent back."""
    found = model_faults(Response, dumped(response)) + schema_faults("responses.response", response)
    items = response.get("output", [])
    identities = [item["id"] for item in items]
    if len(identities) != len(set(identities)):
        found.append(f"two items have one id: {identities}")
    for item in items:
        found += item_faults(item)
    usage = response.get("usage")
    if usage and usage["total_tokens"] != usage["input_tokens"] + usage["output_tokens"]:
        found.append(f"the tokens do not add up: {usage}")
    ended = response["status"] == "completed"
    if ended != isinstance(response.get("completed_at"), (int, float)):
        found.append(f"{response['status']}, and completed_at is {response.get('completed_at')!r}")
    if (response["status"] == "failed") != bool(response.get("error")):
        found.append(f"{response['status']}, and the error is {response.get('error')!r}")
    if response["status"] in ("completed", "incomplete") and not (items and usage):
        found.append(f"{response['status']} without output or usage")
    return found


#: What an item's id begins with. Clients tell the kinds of items by it.
ITEM_PREFIXES = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_", "custom_tool_call": "ctc_"}


def item_faults(item: dict) -> list[str]:
    kind = item["type"]
    found = []
    if not item["id"].startswith(ITEM_PREFIXES.get(kind, "?")):
        found.append(f"the id of a {kind} is {item['id']!r}")
    if kind == "function_call" and item["status"] == "completed":
        found += call_faults(kind, item.get("name"), item.get("arguments"))
    if kind == "custom_tool_call" and not isinstance(item.get("input"), str):
        found.append(f"a custom tool is called with {item.get('input')!r}")
    return found


def message_faults(completion: dict) -> list[str]:
    """What the shape alone allows: calls that nobody can carry out, and an ending that does not fit its message."""
    found = []
    identities = []
    for choice in completion.get("choices", []):
        message, where = choice["message"], f"choice {choice['index']}"
        calls = message.get("tool_calls", [])
        identities += [call["id"] for call in calls]
        functions = [call["function"] for call in calls]
        if "tool_calls" in message and not calls:
            found.append(f"{where}: an empty list of calls")
        if "function_call" in message:
            functions.append(message["function_call"])
        found += ending_faults(where, choice["finish_reason"], bool(calls), "function_call" in message)
        for function in functions:
            found += call_faults(where, function.get("name"), function.get("arguments"))
        if message.get("content") is None and not functions and not message.get("refusal"):
            found.append(f"{where}: a message without content, call or refusal")
    if len(identities) != len(set(identities)):
        found.append(f"two calls have one id: {identities}")
    return found


def call_faults(where: str, name: object, arguments: object) -> list[str]:
    """Arguments are JSON objects, always: programs parse them and pass them on."""
    found = [] if isinstance(name, str) and re.fullmatch(r"[\w.-]{1,128}", name) else [f"{where}: calls {name!r}"]
    try:
        value = json.loads(arguments)
    except (TypeError, ValueError):
        return [*found, f"{where}: the arguments are not JSON: {arguments!r}"]
    return found if isinstance(value, dict) else [*found, f"{where}: the arguments are no object: {arguments!r}"]


def ending_faults(where: str, reason: str, calls: bool, function_call: bool) -> list[str]:
    """An agent goes on by the finish reason, so it must say a call when there is one, and none when there is not."""
    wanted = "tool_calls" if calls else "function_call" if function_call else None
    said = reason if reason in ("tool_calls", "function_call") else None
    return [] if wanted == said else [f"{where}: finished with {reason!r}, with {wanted or 'no call'} in it"]


def error_faults(document: object) -> list[str]:
    """OpenAI's envelope, with all four keys and nothing else in it."""
    if not (isinstance(document, dict) and set(document) == {"error"} and isinstance(document["error"], dict)):
        return [f"not an error envelope: {document!r}"]
    error = document["error"]
    found = []
    if set(error) != ERROR_KEYS:
        found.append(f"the error's keys are {sorted(error)}, not {sorted(ERROR_KEYS)}")
    for key in ("message", "type"):
        if not (isinstance(error.get(key), str) and error[key].strip()):
            found.append(f"error.{key} is {error.get(key)!r}")
    for key in ("param", "code"):
        if not (error.get(key) is None or isinstance(error[key], str)):
            found.append(f"error.{key} is {error[key]!r}, neither a string nor null")
    if re.search(r"<\s*(html|body|!doctype)", str(error.get("message")), re.IGNORECASE):
        found.append("error.message carries the upstream's HTML")
    return found + schema_faults("error", document)


def list_faults(document: object) -> list[str]:
    if not (isinstance(document, dict) and document.get("object") == "list" and isinstance(document.get("data"), list)):
        return ["not a list object"]
    found = schema_faults("models.list", document)
    for entry in document["data"]:
        found += model_faults(Model, json.dumps(entry).encode(), any_extra=True)
    return found


# --- streams ---


def stream_faults(exchange: Exchange) -> list[str]:
    found = []
    for name, wanted in (("cache-control", "no-cache"), ("x-accel-buffering", "no")):
        if wanted not in exchange.headers.get(name, ""):
            found.append(f"{name} is {exchange.headers.get(name)!r}; proxies will hold the stream back")
    if re.search(r"/responses(/[^/]+)?$", exchange.path):
        events, framing = named_events(exchange.body, exchange.complete)
        stream = ResponseStream(events, exchange.complete, starting_after(exchange))
        found += framing + stream.faults
        return found if stream.is_resumed or stream.is_cancelled else found + response_checker_faults(exchange)
    events, framing = sse_events(exchange.body, exchange.complete)
    found += framing
    if exchange.path.endswith("/chat/completions"):
        found += ChatStream(events, exchange.complete).faults
        if exchange.complete:
            found += checker_faults(exchange.body)
        return found
    if exchange.path.endswith("/completions"):
        return found + CompletionStream(events, exchange.complete).faults
    return found + ["no rule for streams of this path; add one"]


def sse_events(body: bytes, complete: bool) -> tuple[list[str], list[str]]:
    """The data of each event, and faults of the framing. An unfinished tail is one only in a complete stream."""
    found = []
    *blocks, tail = body.split(b"\n\n")
    if tail and complete:
        found.append(f"the stream ends inside an event: {tail[:80]!r}")
    events = []
    for block in blocks:
        if block.startswith(b":") and b"\n" not in block:
            continue
        if not block.startswith(b"data: ") or b"\n" in block:
            found.append(f"an event other than one `data: ` line: {block[:80]!r}")
            continue
        try:
            events.append(block.removeprefix(b"data: ").decode())
        except UnicodeDecodeError as error:
            found.append(f"an event is not UTF-8: {error}")
    return events, found


def named_events(body: bytes, complete: bool) -> tuple[list[tuple[str, str]], list[str]]:
    """The name and the data of each event of a response. Only the last, `[DONE]`, has no name."""
    found = []
    *blocks, tail = body.decode(errors="replace").split("\n\n")
    if tail and complete:
        found.append(f"the stream ends inside an event: {tail[:80]!r}")
    events = []
    for block in blocks:
        if block.startswith(":") and "\n" not in block:
            continue
        event = re.fullmatch(r"(?:event: ([a-z_.]+)\n)?data: ([^\n]*)", block)
        if event:
            events.append((event[1] or "", event[2]))
        else:
            found.append(f"an event other than a name and one `data: ` line: {block[:80]!r}")
    return events, found


def starting_after(exchange: Exchange) -> int | None:
    """The number of the last event that the client has had, where it goes on behind that."""
    numbers = parse_qs(urlsplit(exchange.url).query).get("starting_after")
    return int(numbers[0]) if numbers else None


class ResponseStream:
    """A response that comes to be: numbered events, items that are opened, filled and closed one after the other, and
    at the end all of it once more; or an error, and then the response that has failed. One that is made in the
    background waits first; called off, it ends with the error. Where a client goes on, it has the events before that
    from elsewhere, and only what each event says by itself can be judged."""

    ENDINGS = {"response.completed", "response.incomplete", "response.failed"}
    #: The events that fill an item, and the member of the closed item that they add up to.
    DELTAS = {
        "response.output_text.delta": "text",
        "response.refusal.delta": "refusal",
        "response.reasoning_summary_text.delta": "text",
        "response.function_call_arguments.delta": "arguments",
        "response.custom_tool_call_input.delta": "input",
    }

    def __init__(self, events: list[tuple[str, str]], complete: bool, after: int | None = None) -> None:
        self.faults: list[str] = []
        self.identities: set[tuple] = set()
        self.is_resumed = after is not None
        self.names: list[str] = []
        self.items: list[dict] = []
        self.open: dict | None = None
        self.said = ""
        self.error: dict | None = None
        self.ending: str | None = None
        self.count = 0 if after is None else after + 1
        for name, data in events:
            self._read(name, data)
        begin = [name for name in self.names[:3] if name != "response.queued"][:2]
        if not self.is_resumed and begin != ["response.created", "response.in_progress"][: len(begin)]:
            if not self.error:
                self._fault(f"the first events are {self.names[:3]}")
        if complete and self.ending != "[DONE]":
            self._fault("the stream ended without [DONE]")

    @property
    def is_cancelled(self) -> bool:
        return bool(self.error) and self.error.get("code") == "cancelled"

    def _fault(self, text: str) -> None:
        self.faults.append(text)

    def _read(self, name: str, data: str) -> None:
        if data == "[DONE]":
            if self.ending not in self.ENDINGS and not self.is_cancelled:
                self._fault(f"[DONE] after {self.ending}")
            self.ending = "[DONE]"
            return
        if self.ending:
            self._fault(f"{name} after {self.ending}")
        event = json.loads(data)
        if event.get("type") != name:
            self._fault(f"the event {name!r} says that it is {event.get('type')!r}")
        number = event.get("sequence_number")
        # Whoever calls a response off does not know which events are on their way.
        if number != self.count and not (event.get("code") == "cancelled" and number > self.count):
            self._fault(f"number {number} in the place of {self.count}")
        self.names.append(name)
        self.count += 1
        self.faults += event_faults(event)
        if "response" in event:
            self._response(name, event["response"])
        elif name == "error":
            self.error = event
        elif self.is_resumed:
            return
        elif name == "response.output_item.added":
            self._added(event)
        elif name == "response.output_item.done":
            self._done(event)
        else:
            self._filled(name, event)

    def _response(self, name: str, response: dict) -> None:
        self.identities.add((response["id"], response["created_at"], response["model"]))
        if len(self.identities) > 1:
            self._fault(f"id, created_at or model change within the stream: {sorted(self.identities, key=str)}")
        if name not in self.ENDINGS:
            return
        self.ending = name
        if f"response.{response['status']}" != name:
            self._fault(f"{name} with the status {response['status']}")
        self.faults += response_faults(response)
        if name == "response.failed":
            if not self.error:
                self._fault("response.failed without an error before it")
        elif not self.is_resumed and (self.open or response["output"] != self.items):
            self._fault("the output is not what was closed item by item")

    def _added(self, event: dict) -> None:
        item = event["item"]
        if self.open:
            self._fault(f"{item['id']} begins before {self.open['id']} is closed")
        if event["output_index"] != len(self.items):
            self._fault(f"item {len(self.items)} comes as number {event['output_index']}")
        for member, nothing in {"content": [], "summary": [], "arguments": "", "input": ""}.items():
            if item.get(member, nothing) != nothing:
                self._fault(f"a new item has {member} already")
        self.open, self.said = item, ""

    def _filled(self, name: str, event: dict) -> None:
        if not self.open or event.get("item_id") != self.open["id"] or event["output_index"] != len(self.items):
            self._fault(f"{name} of an item that is not open")
        if name in self.DELTAS:
            self.said += event["delta"]
        elif name.endswith("text.done") and event["text"] != self.said:
            self._fault(f"the deltas of {event['item_id']} do not add up to its text")

    def _done(self, event: dict) -> None:
        item, begun = event["item"], self.open or {}
        for member in ("id", "type", "call_id", "name", "namespace"):
            if item.get(member) != begun.get(member):
                self._fault(f"an item's {member} changes from {begun.get(member)!r} to {item.get(member)!r}")
        parts = [part for list_ in ("content", "summary") for part in item.get(list_, [])]
        texts = [part.get("text", part.get("refusal")) for part in parts] or [item.get("arguments", item.get("input"))]
        if "".join(text or "" for text in texts) != self.said:
            self._fault(f"the deltas of {item['id']} do not add up to it")
        self.items.append(item)
        self.open = None


@cache
def event_model() -> TypeAdapter:
    return TypeAdapter(ResponseStreamEvent)


def event_faults(event: dict) -> list[str]:
    found = schema_faults("responses.stream-event", event)
    if event["type"] == "error":
        # It is OpenAI's event, and its error envelope as well, for clients that know only one of them.
        return found + error_faults({"error": event.get("error")})
    try:
        parsed = event_model().validate_json(dumped(event), strict=True)
    except ValidationError as error:
        return found + [f"{event['type']}: {e['loc']}: {e['msg']}" for e in error.errors()][:4]
    return found + list(field_faults(parsed, False))


class ChunkStream:
    """What the streams of both completion APIs have in common: choices that open and finish, perhaps usage, `[DONE]`;
    or an error, last."""

    def __init__(self, events: list[str], complete: bool) -> None:
        self.faults: list[str] = []
        self.identities: set[tuple] = set()
        self.opened: set[int] = set()
        self.finished: set[int] = set()
        self.usage_keys: list[bool] = []
        self.usage_seen = False
        self.ending: str | None = None
        for event in events:
            self._read(event)
        if complete:
            self._end()

    def _fault(self, text: str) -> None:
        self.faults.append(text)

    def _read(self, event: str) -> None:
        if self.ending:
            self._fault(f"an event after {self.ending}: {event[:80]}")
        if event == "[DONE]":
            self.ending = "[DONE]"
            return
        try:
            document = json.loads(event)
        except ValueError as error:
            self._fault(f"an event is not JSON: {error}: {event[:80]}")
            return
        if "error" in document:
            self.ending = "the error"
            self.faults += error_faults(document)
            return
        self.faults += self._shape_faults(document)
        self._chunk(document)

    def _chunk(self, chunk: dict) -> None:
        self.identities.add((chunk.get("id"), chunk.get("created"), chunk.get("model")))
        self.usage_keys.append("usage" in chunk)
        if self.usage_seen:
            self._fault("a chunk after the usage chunk")
        choices = chunk.get("choices", [])
        if not choices:
            self.usage_seen = bool(chunk.get("usage"))
            if not self.usage_seen:
                self._fault("a chunk with neither choices nor usage")
            if self.opened != self.finished:
                self._fault("usage before every choice has finished")
        elif chunk.get("usage"):
            self._fault("usage on a chunk that has choices")
        for choice in choices:
            index, finishes = choice["index"], bool(choice.get("finish_reason"))
            if index in self.finished:
                self._fault(f"choice {index} goes on after its finish")
            self._choice(index, choice, finishes)
            self.opened.add(index)
            if finishes:
                self.finished.add(index)

    def _shape_faults(self, document: dict) -> list[str]:
        """What is wrong with a chunk by itself."""
        raise NotImplementedError

    def _choice(self, index: int, choice: dict, finishes: bool) -> None:
        """Looks for faults of a choice in its place; `opened` and `finished` are as they were before it."""
        raise NotImplementedError

    def _end(self) -> None:
        if self.ending is None:
            self._fault("the stream ended silently: no [DONE] and no error")
        if len(self.identities) > 1:
            self._fault(f"id, created or model change within the stream: {sorted(self.identities, key=str)}")
        if len(set(self.usage_keys)) > 1:
            self._fault("some chunks have a usage key and some have none")
        if self.ending == "[DONE]":
            if not self.finished or self.finished != self.opened:
                self._fault(f"choices {sorted(self.opened)} began, {sorted(self.finished)} finished")
            if any(self.usage_keys) and not self.usage_seen:
                self._fault("usage: null announced a usage chunk that never came")


class ChatStream(ChunkStream):
    """Each choice: a role, deltas, an empty delta with the finish. Each call: its name, then its arguments, and then the
    next one's."""

    def __init__(self, events: list[str], complete: bool) -> None:
        self.calls: dict[int, dict[int, dict]] = {}
        self.functions: dict[int, dict] = {}
        super().__init__(events, complete)

    def _shape_faults(self, document: dict) -> list[str]:
        return model_faults(ChatCompletionChunk, dumped(document)) + schema_faults("chat-completion.chunk", document)

    def _choice(self, index: int, choice: dict, finishes: bool) -> None:
        delta = choice["delta"]
        if index in self.opened and "role" in delta:
            self._fault(f"choice {index} names its role twice")
        if index not in self.opened and delta.get("role") != "assistant":
            self._fault(f"choice {index} begins without its role")
        if finishes and delta:
            self._fault(f"choice {index} finishes with a delta: {delta!r}")
        for piece in delta.get("tool_calls", []):
            self._call(index, piece)
        if "function_call" in delta:
            self._add(index, self.functions.setdefault(index, {}), delta["function_call"])
        if finishes:
            self._finish(index, choice["finish_reason"])

    def _call(self, choice: int, piece: dict) -> None:
        calls = self.calls.setdefault(choice, {})
        index = piece["index"]
        if index in calls:
            if index != max(calls):
                self._fault(f"choice {choice} goes back to call {index}")
            if {"id", "type"} & piece.keys():
                self._fault(f"choice {choice} names call {index} twice: {piece!r}")
        else:
            if index != len(calls):
                self._fault(f"choice {choice}: call {index} comes as number {len(calls)}")
            if not piece.get("id") or piece.get("type") != "function":
                self._fault(f"choice {choice}: call {index} begins without id or type: {piece!r}")
            elif any(piece["id"] == call["id"] for others in self.calls.values() for call in others.values()):
                self._fault(f"two calls have the id {piece['id']}")
        self._add(choice, calls.setdefault(index, {"id": piece.get("id")}), piece.get("function", {}))

    def _add(self, choice: int, function: dict, piece: dict) -> None:
        if ("name" in piece) == ("name" in function):
            self._fault(f"choice {choice}: a call's name is missing or comes twice: {piece!r}")
        function.setdefault("name", piece.get("name"))
        function["arguments"] = function.get("arguments", "") + piece.get("arguments", "")

    def _finish(self, index: int, reason: str) -> None:
        calls, function = self.calls.get(index, {}), self.functions.get(index)
        self.faults += ending_faults(f"choice {index}", reason, bool(calls), function is not None)
        for call in [*calls.values(), *([function] if function else [])]:
            self.faults += call_faults(f"choice {index}", call["name"], call["arguments"])


class CompletionStream(ChunkStream):
    """Each choice: texts, none of them empty, and an empty text with the finish."""

    def _shape_faults(self, document: dict) -> list[str]:
        # OpenAI's description, and with it the SDK's model, wants a finish_reason of every object. On the wire it is
        # null until the last, which the patched schema knows.
        finished = json.loads(json.dumps(document))
        for choice in finished.get("choices", []):
            if choice.get("finish_reason", "absent") is None:
                choice["finish_reason"] = "stop"
        return model_faults(Completion, dumped(finished)) + schema_faults("completion.chunk", document)

    def _choice(self, index: int, choice: dict, finishes: bool) -> None:
        text = choice.get("text")
        if finishes and text:
            self._fault(f"choice {index} finishes with a text: {text!r}")
        if not finishes and not text:
            self._fault(f"choice {index} says nothing")


def dumped(document: object) -> bytes:
    return json.dumps(document).encode()


# --- the SDK's models ---


def model_faults(model: type[BaseModel], body: bytes, any_extra: bool = False) -> list[str]:
    """What the SDK's model says in strict mode, where 1 is no string and an unknown finish_reason no finish_reason."""
    try:
        parsed = model.model_validate_json(body, strict=True)
    except ValidationError as error:
        return [f"{model.__name__}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return list(field_faults(parsed, any_extra))


def field_faults(value: object, any_extra: bool):
    """Unknown and missing fields, at every depth."""
    if isinstance(value, list):
        for item in value:
            yield from field_faults(item, any_extra)
    if not isinstance(value, BaseModel):
        return
    kind = type(value)
    if not any_extra:
        for extra in set(value.model_extra or {}) - OUR_FIELDS - NEWER_FIELDS:
            yield f"{kind.__name__}: unknown field {extra!r}"
    for missing in REQUIRED_FIELDS.get(kind, set()) - value.model_fields_set:
        yield f"{kind.__name__}: {missing!r} is absent"
    for key in kind.model_fields:
        if not (kind is Response and key in REPEATED_FIELDS):
            yield from field_faults(getattr(value, key), any_extra)


# --- OpenAI's schemas ---


def schemas_folder() -> Path | None:
    folder = os.environ.get("OPENAI_SCHEMAS")
    return Path(folder) if folder else None


@cache
def schema_validator(name: str):
    from jsonschema import Draft202012Validator

    # What the description gets wrong about the wire has a patched schema, and no strict one.
    strict = schemas_folder() / "strict" / f"{name}.json"
    file = strict if strict.exists() and name not in PATCHED_SCHEMAS else schemas_folder() / f"{name}.json"
    return Draft202012Validator(json.loads(file.read_text()))


def schema_faults(name: str, document: object) -> list[str]:
    if not schemas_folder():
        return []
    return [f"schema {name}: {e.json_path}: {e.message[:200]}" for e in schema_validator(name).iter_errors(document)]


@cache
def stream_checker():
    """The checker that lies with the schemas, as a module: a process for every stream would take most of a run."""
    spec = importlib.util.spec_from_file_location("openai_stream_checker", schemas_folder() / "verify.py")
    checker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checker)
    return checker


def checker_faults(body: bytes) -> list[str]:
    """What that checker says of a whole stream."""
    if not schemas_folder():
        return []
    try:
        complaints = stream_checker().check_chat(body.decode())
    except ValueError as error:
        return [f"stream checker: it could not read the stream: {error}"]
    # The gateway ends a failed stream with the error itself: a client that skips unknown events must not meet [DONE]
    # and take the fragment for the answer.
    if b'data: {"error"' in body:
        complaints = [complaint for complaint in complaints if complaint != "no [DONE]"]
    return [f"stream checker: {complaint}" for complaint in complaints]


def response_checker_faults(exchange: Exchange) -> list[str]:
    """The same of the stream of a response."""
    if not schemas_folder() or not exchange.complete:
        return []
    return [f"stream checker: {complaint}" for complaint in stream_checker().check_responses(exchange.body.decode())]


def serve_lines() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        message["body"] = base64.b64decode(message["body"])
        print(json.dumps(faults(Exchange(**message))), flush=True)


if __name__ == "__main__":
    serve_lines()
