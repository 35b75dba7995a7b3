"""Calls, streams and the queue, as fal's Python client makes them."""

import http.server
import json
import queue
import threading

import fal_client
import pytest

from conftest import APP


def test_run_returns_the_whole_output(client):
    answer = client.run(APP, arguments={"prompt": "echo hello wörld 👍"})
    assert answer == {"output": "hello wörld 👍", "reasoning": None, "partial": False, "error": None}


def test_stream_grows_repeats_and_ends_with_partial_false(client):
    events = list(client.stream(APP, arguments={"prompt": "echo one two three four"}))
    texts = [event["output"] for event in events]
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:]))
    assert [event["partial"] for event in events] == [True] * (len(events) - 1) + [False]
    assert events[-2]["output"] == events[-1]["output"] == "one two three four"


def test_stream_survives_pings_and_split_characters(client):
    marker = "\n/emulate split:3 ping:5ms gap:20ms"
    events = list(client.stream(APP, arguments={"prompt": "echo 日本語 👍" + marker}))
    assert events[-1]["output"] == "日本語 👍"


def test_vision_takes_image_urls(client):
    answer = client.run(f"{APP}/vision", arguments={
        "prompt": "describe",
        "image_urls": ["data:image/png;base64,aGVsbG8=", "https://example.com/cat.jpg"],
    })
    seen = json.loads(answer["output"])
    assert seen["images"][0] == {"source": "data", "type": "image/png", "bytes": 5}
    assert seen["image_count"] == 2


def test_subscribe_meets_every_state_and_its_logs(client):
    updates = []
    answer = client.subscribe(
        APP, arguments={"prompt": "echo queued"}, with_logs=True, on_queue_update=updates.append
    )
    assert answer["output"] == "queued"
    kinds = [type(update) for update in updates]
    assert kinds[0] is fal_client.Queued
    assert fal_client.InProgress in kinds
    assert kinds[-1] is fal_client.Completed
    logs = [log["message"] for update in updates if isinstance(update, fal_client.InProgress) for log in update.logs]
    assert logs


def test_a_handle_follows_its_request_to_the_result(client):
    handle = client.submit(f"{APP}/enterprise", arguments={"prompt": "echo later"})
    assert isinstance(handle.status(), fal_client.Queued)
    states = [type(event) for event in handle.iter_events(with_logs=True)]
    assert states[-1] is fal_client.Completed
    assert handle.get()["output"] == "later"
    # The client builds these addresses itself, without the sub-path.
    assert client.result(f"{APP}/enterprise", handle.request_id)["output"] == "later"
    assert isinstance(client.status(APP, handle.request_id, with_logs=True), fal_client.Completed)


def test_a_cancelled_request_ends_in_an_error(client):
    handle = client.submit(APP, arguments={"prompt": "hi /emulate hang"})
    client.cancel(APP, handle.request_id)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 499
    assert caught.value.error_type == "client_cancelled"
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.cancel()
    assert caught.value.status_code == 400


def test_a_queued_failure_is_raised_by_its_result(client):
    handle = client.submit(APP, arguments={"prompt": "hi", "model": "nobody/knows"})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 422


def test_a_webhook_is_told_the_result(client):
    received = queue.Queue()

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put((dict(self.headers.items()), json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/hook?a=b&c"
        handle = client.submit(APP, arguments={"prompt": "echo told"}, webhook_url=url)
        headers, notice = received.get(timeout=10)
    finally:
        server.shutdown()
    assert notice["request_id"] == handle.request_id
    assert (notice["status"], notice["payload"]["output"]) == ("OK", "told")
    names = {name.lower() for name in headers}
    assert {"x-fal-webhook-signature", "x-fal-webhook-timestamp", "x-fal-webhook-user-id"} <= names


def test_a_malformed_key_is_refused():
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        fal_client.SyncClient(key="nocolon").run(APP, arguments={"prompt": "hi"})
    assert caught.value.status_code == 401
    assert "Invalid Key Authorization header format" in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ({}, 422, "Field required"),
        ({"prompt": "hi", "temperature": 3}, 422, "less than or equal to 2"),
        ({"prompt": "hi /emulate error:no_balance"}, 403, "Exhausted balance"),
        ({"prompt": "hi /emulate error:model_gone"}, 400, "No endpoints found"),
        ({"prompt": "hi /emulate error:crash_500"}, 500, "Internal Server Error"),
        # A request id tells the client that the error is the app's own: it does not try again.
        ({"prompt": "hi /emulate error:runner_503"}, 503, "runner"),
    ],
)
def test_errors_carry_status_and_detail(client, arguments, status, text):
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        client.run(APP, arguments=arguments)
    assert caught.value.status_code == status
    assert text in str(caught.value.message)


async def test_the_async_client_does_the_same(async_client):
    answer = await async_client.run(APP, arguments={"prompt": "echo async"})
    assert answer["output"] == "async"
    events = [event async for event in async_client.stream(APP, arguments={"prompt": "echo streamed"})]
    assert events[-1]["output"] == "streamed" and events[-1]["partial"] is False
    answer = await async_client.subscribe(APP, arguments={"prompt": "echo queued"}, with_logs=True)
    assert answer["output"] == "queued"
