"""Refusals and upstream failures, as the SDK's exception classes show them."""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI

from conversation import MODEL, system, user
from servers import required_url


def test_the_request_id_is_on_the_exception(ask):
    with pytest.raises(openai.BadRequestError) as caught:
        ask("hello", temperature=7)
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": 7}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"n": 129}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [str(number) for number in range(17)]}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "narrator", "content": "Once upon a time"}]}, "messages[0].role"),
        ({"messages": "hello"}, "messages"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_values_are_refused_by_name(client, parameters, param):
    request = {"model": MODEL, "messages": [user("hello")], **parameters}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.code == "invalid_value"
    assert caught.value.param == param


def test_more_choices_than_the_gateway_pays_for_are_refused(client, emulator, marker):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user(marker)], n=5)
    assert caught.value.param == "n"
    assert emulator.calls(marker) == []


@pytest.mark.parametrize(
    "parameters",
    [pytest.param({"logprobs": True}, marks=pytest.mark.any_llm), {"logit_bias": {"50256": -100}}],
    ids=str,
)
def test_what_would_change_the_meaning_is_refused(ask, parameters):
    with pytest.raises(openai.BadRequestError) as caught:
        ask("hello", **parameters)
    assert caught.value.code == "unsupported_parameter"
    assert caught.value.param in parameters


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_refused_request_never_reaches_fal(client, emulator, marker, stream):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=MODEL, messages=[user(marker)], temperature=7, stream=stream)
    assert emulator.calls(marker) == []


def test_an_unknown_bare_name_is_not_found(client, emulator, marker):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4oo", messages=[user(marker)])
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "gpt-4o" in caught.value.message
    assert emulator.calls(marker) == []


def test_an_unknown_model_cannot_be_retrieved(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody/nothing")
    assert caught.value.code == "model_not_found"


def test_an_unknown_path_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.post("/nowhere", body={}, cast_to=object)
    assert caught.value.code == "unknown_url"


# --- client keys ---


@pytest.fixture
def keyed(served):
    """Makes clients of the gateway that asks its callers for a key."""
    url = required_url("GATEWAY_KEYED_URL")
    clients = []

    def keyed(key: str) -> OpenAI:
        clients.append(OpenAI(base_url=url, api_key=key))
        return clients[-1]

    yield keyed
    for client in clients:
        client.close()


def test_the_right_key_is_let_in(keyed):
    client = keyed(required_url("GATEWAY_KEYED_KEY"))
    completion = client.chat.completions.create(model=MODEL, messages=[user("echo welcome")])
    assert completion.choices[0].message.content == "welcome"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_wrong_key_is_kept_out(keyed, emulator, marker, stream):
    with pytest.raises(openai.AuthenticationError) as caught:
        keyed("sk-wrong-0123456789abcdef").chat.completions.create(
            model=MODEL, messages=[user(marker)], stream=stream
        )
    assert caught.value.code == "invalid_api_key"
    assert "sk-wrong-0123456789abcdef" not in str(caught.value)
    assert emulator.calls(marker) == []


def test_the_model_list_needs_the_key_too(keyed):
    with pytest.raises(openai.AuthenticationError):
        keyed("sk-wrong-0123456789abcdef").models.list()


# --- failures of fal ---

FAILURES = [
    ("error:rate_limit", openai.RateLimitError, "rate_limit_exceeded"),
    ("error:no_balance", openai.RateLimitError, "insufficient_quota"),
    ("error:crash_500", openai.InternalServerError, "upstream_error"),
    ("html", openai.InternalServerError, "upstream_error"),
    ("error200", openai.BadRequestError, "upstream_error"),
    ("error:html_200", openai.BadRequestError, "upstream_invalid_response"),
    pytest.param("null_output", openai.BadRequestError, "upstream_invalid_response", marks=pytest.mark.any_llm),
    ("drop:0", openai.BadRequestError, "upstream_disconnected"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("fault", "exception", "code"), FAILURES)
def test_fal_s_failures_have_the_sdk_s_classes(client, fault, exception, code, stream):
    """Before the first text a stream fails as a whole answer does: with a status."""
    with client.with_options(max_retries=0) as impatient, pytest.raises(exception) as caught:
        impatient.chat.completions.create(
            model=MODEL, messages=[user(f"echo never seen /emulate {fault}")], stream=stream
        )
    assert caught.value.code == code
    assert caught.value.request_id


@pytest.mark.parametrize("fault", ["error:no_balance", "error200", "error:html_200", "drop:0"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_that_may_have_been_paid_is_not_repeated(client, emulator, marker, fault, stream):
    """No client repeats a 400, and the SDK obeys `x-should-retry: false` besides: fal is asked exactly once."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(
            model=MODEL, messages=[system(marker), user(f"echo once /emulate {fault}")], stream=stream
        )
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(emulator.calls(marker)) == 1


@pytest.mark.parametrize("fault", ["error:rate_limit", "error:crash_500", "html"])
def test_a_failure_that_cost_nothing_may_be_repeated(client, emulator, marker, fault):
    """The counterpart: fal bills no error status, so the SDK may retry twice, and the gateway adds nothing to that."""
    with pytest.raises((openai.RateLimitError, openai.InternalServerError)) as caught:
        client.chat.completions.create(model=MODEL, messages=[system(marker), user(f"echo thrice /emulate {fault}")])
    assert caught.value.response.headers.get("x-should-retry") != "false"
    assert len(emulator.calls(marker)) == 3
