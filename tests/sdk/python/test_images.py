"""Images, which fal takes as a list of addresses beside the text."""

from __future__ import annotations

import json

import openai
import pytest

from conversation import MODEL, SEES, assistant, system, user

BLIND = "deepseek/deepseek-r1"
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

URL = "https://example.com/cat.png?size=large&lang=日本"
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJg"
    "gg=="
)
JPEG = "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////2Q=="
WEBP = "data:image/webp;base64,UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="
GIF = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
RECORDING = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def image(url: str, **fields) -> dict:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


@pytest.fixture
def show(client):
    def show(messages: list, stream: bool = False, model: str = SEES):
        answer = client.chat.completions.create(model=model, messages=messages, stream=stream)
        return list(answer) if stream else answer

    return show


@BOTH_WAYS
@pytest.mark.parametrize("url", [URL, PNG, JPEG, WEBP, GIF], ids=["https", "png", "jpeg", "webp", "gif"])
def test_an_image_reaches_fal_as_it_was_sent(show, emulator, marker, url, stream):
    show([user([text(f"echo {marker}"), image(url, detail="low")])], stream)
    call = emulator.only_call(marker)
    assert call.streams == stream
    assert (call.body["model"], call.prompt, call.image_urls) == (SEES, f"echo {marker}\n[image 1]", [url])


@BOTH_WAYS
def test_a_stop_sequence_and_several_choices_go_with_images(client, emulator, marker, stream):
    answer = client.chat.completions.create(
        model=SEES, messages=[user([text(f"echo {marker}|rest"), image(PNG)])], stop="|", n=2, stream=stream
    )
    list(answer)
    assert len(emulator.calls(marker)) == 2
    assert all(call.image_urls == [PNG] for call in emulator.calls(marker))


@BOTH_WAYS
def test_images_of_several_turns_are_numbered_in_order(show, emulator, marker, stream):
    show(
        [
            system(f"Look closely. {marker}"),
            user([text("A cat:"), image(URL), text("and a dog:"), image(PNG)]),
            assistant("Lovely."),
            user([image(JPEG), text("And this?")]),
            assistant("A bird."),
            user([text("Compare"), image(GIF)]),
        ],
        stream,
    )
    sent = emulator.only_call(marker)
    assert sent.image_urls == [URL, PNG, JPEG, GIF]
    pieces = ["A cat:\n[image 1]\nand a dog:\n[image 2]", "Lovely.", "[image 3]\nAnd this?", "A bird.", "Compare\n[image 4]"]
    places = [sent.prompt.find(piece) for piece in pieces]
    assert -1 not in places
    assert places == sorted(places)


def test_the_same_image_twice_is_two_images(show, emulator, marker):
    show([user([text(marker), image(PNG), image(PNG)])])
    assert emulator.only_call(marker).image_urls == [PNG, PNG]


def test_an_image_alone_is_a_message(show, emulator, marker):
    show([system(marker), user([image(URL)])])
    sent = emulator.only_call(marker)
    assert sent.prompt == "[image 1]"
    assert sent.image_urls == [URL]


@pytest.mark.any_llm
def test_words_that_look_like_a_place_mark_cannot_be_taken_for_one(show, emulator, marker):
    show([user([text(f"I wrote [image 1] myself. {marker}"), image(URL)])])
    prompt = emulator.only_call(marker).prompt
    assert prompt.count("[image 1]") == 1
    assert prompt.startswith(f"I wrote [image 1] myself. {marker}\n[image")
    assert prompt.endswith(" 1]")


def test_as_many_images_as_the_gateway_takes(show, emulator, marker):
    show([user([text(marker), *(image(f"https://example.com/{number}.png") for number in range(16))])])
    sent = emulator.only_call(marker)
    assert sent.image_urls == [f"https://example.com/{number}.png" for number in range(16)]
    assert "[image 16]" in sent.prompt


@BOTH_WAYS
def test_a_model_that_cannot_see_is_not_asked(show, emulator, marker, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        show([user([text(marker), image(PNG)])], stream, model=BLIND)
    assert caught.value.code == "unsupported_value"
    assert caught.value.param == "messages[0].content[1]"
    assert BLIND in caught.value.message
    assert emulator.calls(marker) == []


def test_the_scheme_and_the_type_of_a_data_uri_may_be_in_capitals(show, emulator, marker):
    """fal's own parser takes the small letters only, so that is what it must be sent."""
    show([user([text(marker), image(PNG.replace("data:image/png", "DATA:IMAGE/PNG"))])])
    assert emulator.only_call(marker).image_urls == [PNG]


# --- what is not passed on ---

BAD_DATA = [
    "data:image/png;base64,",
    "data:image/png;base64,@@@@",
    "data:image/png,iVBORw0KGgo",
    "data:image/png;base64",
    "data:",
]
WRONG_TYPES = [
    "data:application/pdf;base64,JVBERi0xLjQ=",
    "data:image/svg+xml;base64,PHN2Zy8+",
    "data:image/bmp;base64,Qk0=",
    "data:text/html;base64,PGh0bWw+",
]
PRIVATE = [
    "https://localhost/a.png",
    "https://LOCALHOST./a.png",
    "https://printer.local/a.png",
    "https://metadata.google.internal/a.png",
    "https://127.0.0.1/a.png",
    "https://127.1/a.png",
    "https://2130706433/a.png",
    "https://0x7f.0.0.1/a.png",
    "https://0177.0.0.1/a.png",
    "https://0.0.0.0/a.png",
    "https://10.1.2.3/a.png",
    "https://172.16.0.1/a.png",
    "https://192.168.0.1/a.png",
    "https://100.64.0.1/a.png",
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/a.png",
    "https://[::]/a.png",
    "https://[fd00::1]/a.png",
    "https://[fe80::1]/a.png",
    "https://[::ffff:10.0.0.1]/a.png",
    "https://[::ffff:7f00:1]/a.png",
    "https://[64:ff9b::a00:1]/a.png",
    # The deprecated forms: an IPv4 address without a prefix, and site-local addresses.
    "https://[::127.0.0.1]/a.png",
    "https://[::a00:1]/a.png",
    "https://[fec0::1]/a.png",
    # Networks for benchmarks and for IETF protocols.
    "https://198.18.0.1/a.png",
    "https://192.0.0.8/a.png",
    "https://１２７.0.0.1/a.png",
]
NOT_FOR_FAL = [
    "http://example.com/a.png",
    "file:///etc/passwd",
    "ftp://example.com/a.png",
    "javascript:alert(1)",
    "//example.com/a.png",
    "cat.png",
    "",
    " https://example.com/a.png",
    "https://example.com/a b.png",
    "https://example.com\\@127.0.0.1/a.png",
    "https://ada:secret@example.com/a.png",
    "https://example.com/" + "a" * 9000,
]


@pytest.mark.parametrize("url", BAD_DATA + WRONG_TYPES + PRIVATE + NOT_FOR_FAL, ids=lambda url: url[:40] or "empty")
def test_an_address_that_fal_shall_not_be_given_is_refused_with_its_place(show, emulator, marker, url):
    messages = [user(f"First. {marker}"), assistant("Yes?"), user([text("Look:"), image(URL), image(url)])]
    with pytest.raises(openai.BadRequestError) as caught:
        show(messages)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.code == "invalid_image_url"
    assert caught.value.param == "messages[2].content[2]"
    assert len(url) < 25 or url not in caught.value.message
    assert emulator.calls(marker) == []


@BOTH_WAYS
def test_too_many_images_are_refused_with_the_place_of_the_first_too_many(show, emulator, marker, stream):
    many = [image(f"https://example.com/{number}.png") for number in range(20)]
    with pytest.raises(openai.BadRequestError) as caught:
        show([user("Look:"), assistant("At what?"), user([text(marker), *many])], stream)
    assert caught.value.param == "messages[2].content[17]"
    assert "16" in caught.value.message
    assert emulator.calls(marker) == []


def test_an_image_that_is_too_large_is_refused_with_its_place(show, emulator, marker):
    with pytest.raises(openai.BadRequestError) as caught:
        show([user([text(marker), image("data:image/png;base64," + "A" * (15 << 20))])])
    assert caught.value.param == "messages[0].content[1]"
    assert emulator.calls(marker) == []


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(RECORDING, marks=pytest.mark.any_llm),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    ],
    ids=["input_audio", "file"],
)
def test_parts_that_fal_has_no_place_for_are_refused_with_theirs(show, emulator, marker, part):
    with pytest.raises(openai.BadRequestError) as caught:
        show([user(marker), user([text("Listen:"), part])])
    assert caught.value.code == "unsupported_value"
    assert caught.value.param.startswith("messages[1].content[1]")
    assert emulator.calls(marker) == []


@pytest.mark.native
def test_a_recording_goes_where_it_is_heard(show, emulator, marker):
    show([user([text(marker), RECORDING])])
    assert RECORDING["input_audio"]["data"] in json.dumps(emulator.only_call(marker).body)


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url"}, "messages[0].content[1].image_url"),
        ({"type": "text"}, "messages[0].content[1].text"),
        ({"type": "hologram"}, "messages[0].content[1].type"),
        ({}, "messages[0].content[1]"),
        ({"type": "image_url", "image_url": {}}, "messages[0].content[1].image_url"),
        ({"type": "image_url", "image_url": {"url": 1}}, "messages[0].content[1].image_url"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_malformed_parts_are_refused_with_their_place(show, emulator, marker, part, param):
    with pytest.raises(openai.BadRequestError) as caught:
        show([user([text(marker), part])])
    assert caught.value.param.startswith(param)
    assert emulator.calls(marker) == []


def test_instructions_cannot_hold_images(show, emulator, marker):
    with pytest.raises(openai.BadRequestError) as caught:
        show([{"role": "system", "content": [text("Like this:"), image(PNG)]}, user(marker)])
    assert caught.value.param.startswith("messages[0].content")
    assert emulator.calls(marker) == []


def test_the_images_of_an_assistant_are_history_too(show, emulator, marker):
    """Clients that keep generated pictures put them into the assistant's turn."""
    show([user(f"Draw a cat. {marker}"), assistant([text("Here:"), image(PNG)]), user("Who drew it?")])
    assert emulator.only_call(marker).image_urls == [PNG]


@pytest.mark.any_llm
def test_text_parts_alone_do_not_ask_for_vision(show, emulator, marker):
    show([user([text(marker), text("no picture")])], model=MODEL)
    assert emulator.only_call(marker).path == "/fal-ai/any-llm"
