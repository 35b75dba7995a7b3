"""The router's prompt faces, as fal's Python client calls them."""

import fal_client
import pytest

APP = "openrouter/router"
MODEL = "google/gemini-2.5-flash"

FACES = {
    "": {},
    "/enterprise": {},
    "/vision": {"image_urls": ["data:image/png;base64,aGVsbG8="]},
    "/audio": {"audio_url": "https://example.com/a.mp3"},
    "/video": {"video_urls": ["https://example.com/a.mp4"]},
    "/video/enterprise": {"video_urls": ["https://example.com/a.mp4"]},
}


def arguments(face, prompt, **more):
    return {"prompt": prompt, "model": MODEL} | FACES[face] | more


@pytest.mark.parametrize("face", FACES)
def test_run_tells_usage_and_cost(client, face):
    answer = client.run(APP + face, arguments=arguments(face, "echo hello wörld"))
    assert answer["output"] == "hello wörld"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert usage["cost"] == pytest.approx(usage["prompt_tokens"] * 0.3e-6 + usage["completion_tokens"] * 2.5e-6)


@pytest.mark.parametrize("face", FACES)
def test_streams_grow_and_end_with_usage(client, face):
    events = list(client.stream(APP + face, arguments=arguments(face, "echo one two three four")))
    texts = [event["output"] for event in events]
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:]))
    assert texts[-1] == "one two three four"
    assert [event["usage"] is None for event in events] == [True] * (len(events) - 1) + [False]
    if face in ("", "/enterprise"):
        assert [event["partial"] for event in events] == [True] * (len(events) - 1) + [False]
    else:
        assert all("partial" not in event for event in events)


def test_the_queue_ends_in_the_same_answer(client):
    answer = client.subscribe(f"{APP}/vision", arguments=arguments("/vision", "echo queued"))
    assert answer["output"] == "queued" and answer["usage"]["cost"] > 0


@pytest.mark.parametrize(
    ("face", "more", "status", "text"),
    [
        ("", {"model": "nobody/knows"}, 400, "is not a valid model ID"),
        ("", {"model": "openai/gpt-oss-120b"}, 400, "Reasoning is mandatory"),
        ("", {"model": None}, 422, "valid string"),
        ("/audio", {"model": "openai/gpt-4o-mini"}, 404, "input audio"),
        ("/vision", {"image_urls": ["https://example.com/a.png"] * 7}, 400, "Provider returned error"),
    ],
)
def test_refusals_carry_openrouters_words(client, face, more, status, text):
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        client.run(APP + face, arguments=arguments(face, "hi") | more)
    assert caught.value.status_code == status
    assert text in str(caught.value.message)


async def test_the_async_client_does_the_same(async_client):
    events = [event async for event in async_client.stream(APP, arguments=arguments("", "echo async"))]
    assert events[-1]["output"] == "async" and events[-1]["usage"]["cost"] > 0
