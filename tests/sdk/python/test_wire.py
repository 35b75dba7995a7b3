"""The judge itself: it passes what is right and names what is wrong. Needs no server."""

from __future__ import annotations

import json

import pytest

import wire

COMPLETION = {
    "id": "chatcmpl-0123456789abcdef0123456789abcdef",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "openai/gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
ERROR = {"message": "No.", "type": "server_error", "param": None, "code": "upstream_error"}
MODEL = {"id": "openai/gpt-4o-mini", "object": "model", "created": 1764000000, "owned_by": "openai"}


def judged(body, path="/v1/chat/completions", status=200, content_type="application/json", ended=True, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"x-request-id": f"req_{'0' * 32}", "content-type": content_type} | headers
    return wire.faults(wire.Exchange("POST", f"http://gateway{path}", status, headers, body, ended))


def changed(document, path: str, value=None, remove=False):
    """A copy of the document with one place, written as `choices.0.index`, set or removed."""
    copy = json.loads(json.dumps(document))
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = copy
    for step in parents:
        place = place[step]
    if remove:
        del place[last]
    else:
        place[last] = value
    return copy


def test_a_right_completion_passes():
    assert judged(COMPLETION) == []


def test_reasoning_under_either_name_passes():
    assert judged(changed(COMPLETION, "choices.0.message.reasoning_content", "hm")) == []
    assert judged(changed(COMPLETION, "choices.0.message.reasoning", "hm")) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("created", "1764000000"),
        ("created", 1764000000.5),
        ("object", "chat.completion.chunk"),
        ("choices.0.finish_reason", "error"),
        ("choices.0.finish_reason", None),
        ("choices.0.message.role", "system"),
        ("choices.0.message.invented", 1),
        ("choices.0.index", "0"),
        ("usage.total_tokens", "3"),
        ("usage.estimated", True),
        ("x_gateway", {}),
    ],
)
def test_a_wrong_value_in_a_completion_is_named(path, value):
    found = judged(changed(COMPLETION, path, value))
    assert any(path.split(".")[-1] in fault for fault in found)


@pytest.mark.parametrize(
    "path", ["id", "created", "model", "choices.0.logprobs", "choices.0.message.refusal", "choices.0.message.content"]
)
def test_a_missing_field_of_a_completion_is_named(path):
    assert any(path.split(".")[-1] in fault for fault in judged(changed(COMPLETION, path, remove=True)))


def test_a_right_error_passes():
    assert judged({"error": ERROR}, status=502) == []


@pytest.mark.parametrize(
    "error",
    [
        changed(ERROR, "param", remove=True),
        changed(ERROR, "code", 502),
        changed(ERROR, "message", ""),
        changed(ERROR, "message", "<html><body>502 Bad Gateway</body></html>"),
        changed(ERROR, "status", 502),
        "No.",
    ],
    ids=["key missing", "numeric code", "no message", "html", "extra key", "string"],
)
def test_a_wrong_error_is_a_fault(error):
    assert judged({"error": error}, status=502)


def test_models_may_have_extra_fields_but_not_wrong_ones():
    assert judged(MODEL | {"context_length": 1000}, path="/v1/models/openai%2Fgpt-4o-mini") == []
    assert judged({"object": "list", "data": [MODEL]}, path="/v1/models") == []
    assert judged({"object": "list", "data": [MODEL | {"created": "today"}]}, path="/v1/models")


def test_headers_are_judged():
    assert any("x-request-id" in fault for fault in judged(COMPLETION, **{"x-request-id": "1"}))
    assert any("text/plain" in fault for fault in judged(COMPLETION, content_type="text/plain"))
    assert any("compressed" in fault for fault in judged(COMPLETION, **{"content-encoding": "gzip"}))


def test_a_repeated_key_is_a_fault():
    exchange = wire.Exchange(
        "POST",
        "http://gateway/v1/chat/completions",
        401,
        {"x-request-id": f"req_{'0' * 32}", "content-type": "application/json"},
        json.dumps({"error": ERROR | {"message": "sk-secret is wrong"}}).encode(),
        ended=True,
        request_headers={"authorization": "Bearer sk-secret"},
    )
    assert any("key" in fault for fault in wire.faults(exchange))


# --- streams ---


def chunk(delta=None, finish_reason=None, **fields) -> dict:
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "openai/gpt-4o-mini",
        "choices": [choice],
    } | fields


def sse(*events) -> bytes:
    return b"".join(
        b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n" for event in events
    )


ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
TEXT = chunk({"content": "Hi."})
FINISH = chunk(finish_reason="stop")
FAILURE = {"error": ERROR}
USAGE = chunk(choices=[], usage=COMPLETION["usage"])


def stream_judged(body: bytes, ended=True) -> list[str]:
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return judged(body, content_type="text/event-stream; charset=utf-8", ended=ended, **headers)


@pytest.mark.parametrize(
    "body",
    [
        sse(ROLE, TEXT, FINISH, "[DONE]"),
        b": keep-alive\n\n" + sse(ROLE, FINISH, "[DONE]"),
        sse(ROLE, TEXT, FAILURE),
        sse(*({**event, "usage": None} for event in (ROLE, TEXT, FINISH)), USAGE, "[DONE]"),
    ],
    ids=["whole", "heartbeat", "failed", "usage"],
)
def test_a_right_stream_passes(body):
    assert stream_judged(body) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (sse(ROLE, TEXT), "ended silently"),
        (sse(ROLE, TEXT, "[DONE]"), "finished"),
        (sse(TEXT, FINISH, "[DONE]"), "role"),
        (sse(ROLE, ROLE, FINISH, "[DONE]"), "role twice"),
        (sse(ROLE, FINISH, TEXT, "[DONE]"), "after its finish"),
        (sse(ROLE, FINISH, "[DONE]", TEXT), "after [DONE]"),
        (sse(ROLE, FAILURE, "[DONE]"), "after the error"),
        (sse(ROLE, FINISH | {"id": "chatcmpl-2"}, "[DONE]"), "change"),
        (sse(ROLE, chunk({"content": "Hi."}, "stop"), "[DONE]"), "finishes with a delta"),
        (sse(ROLE, USAGE, FINISH, "[DONE]"), "usage"),
        (sse(ROLE | {"usage": None}, FINISH | {"usage": None}, "[DONE]"), "never came"),
        (sse(ROLE, chunk({"content": 1}), FINISH, "[DONE]"), "content"),
        (sse(ROLE, chunk({"text": "Hi."}), FINISH, "[DONE]"), "text"),
        (sse(ROLE, "{not json", FINISH, "[DONE]"), "not JSON"),
        (sse(ROLE, FINISH) + b"id: 7\ndata: [DONE]\n\n", "data: "),
        (sse(ROLE, FINISH) + b"retry: 3000\n\n" + sse("[DONE]"), "data: "),
        (sse(ROLE, FINISH) + b"data: [DONE]", "inside an event"),
        (sse(ROLE) + b"data: \xff\n\n" + sse(FINISH, "[DONE]"), "UTF-8"),
    ],
)
def test_a_wrong_stream_is_named(body, complaint):
    assert any(complaint in fault for fault in stream_judged(body))


# --- streams of the legacy API ---


def completion_chunk(text="", finish_reason=None, **fields) -> dict:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1764000000,
        "model": "openai/gpt-4o-mini",
        "choices": [choice],
    } | fields


SAID = completion_chunk("Hi.")
END = completion_chunk(finish_reason="stop")


def completion_stream_judged(body: bytes) -> list[str]:
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return judged(body, path="/v1/completions", content_type="text/event-stream; charset=utf-8", **headers)


@pytest.mark.parametrize(
    "body",
    [
        sse(SAID, END, "[DONE]"),
        sse(END, "[DONE]"),
        sse(SAID, FAILURE),
        sse(
            *({**event, "usage": None} for event in (SAID, END)),
            completion_chunk(choices=[], usage=COMPLETION["usage"]),
            "[DONE]",
        ),
    ],
    ids=["whole", "empty", "failed", "usage"],
)
def test_a_right_completion_stream_passes(body):
    assert completion_stream_judged(body) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (sse(SAID), "ended silently"),
        (sse(SAID, "[DONE]"), "finished"),
        (sse(SAID, END, SAID, "[DONE]"), "after its finish"),
        (sse(SAID, FAILURE, "[DONE]"), "after the error"),
        (sse(completion_chunk(), END, "[DONE]"), "says nothing"),
        (sse(completion_chunk("Hi.", "stop"), "[DONE]"), "finishes with a text"),
        (sse(SAID, END | {"id": "cmpl-2"}, "[DONE]"), "change"),
        (sse(completion_chunk("Hi.", "done"), "[DONE]"), "finish_reason"),
        (sse(SAID | {"object": "chat.completion.chunk"}, END, "[DONE]"), "object"),
        (sse(changed(SAID, "choices.0.logprobs", remove=True), END, "[DONE]"), "logprobs"),
        (sse(changed(SAID, "choices.0.reasoning_text", "hm"), END, "[DONE]"), "reasoning_text"),
    ],
)
def test_a_wrong_completion_stream_is_named(body, complaint):
    assert any(complaint in fault for fault in completion_stream_judged(body))


def test_a_stream_that_the_client_left_is_judged_as_far_as_it_went():
    assert stream_judged(sse(ROLE, TEXT) + b'data: {"id"', ended=False) == []
    assert stream_judged(sse(TEXT), ended=False)


def test_a_stream_that_proxies_would_hold_back_is_a_fault():
    found = judged(sse(ROLE, FINISH, "[DONE]"), content_type="text/event-stream")
    assert any("cache-control" in fault for fault in found)
    assert any("x-accel-buffering" in fault for fault in found)


def test_what_no_rule_covers_does_not_pass():
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no", "content_type": "text/event-stream"}
    assert judged(sse("[DONE]"), path="/v1/elsewhere", **headers)
    assert judged({}, path="/v1/elsewhere")
