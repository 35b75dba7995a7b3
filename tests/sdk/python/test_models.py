"""The model list, and the names under which a model can be asked for."""

from __future__ import annotations

from urllib.request import urlopen

import pytest

from conversation import MODEL, system, user


def test_the_list_has_fal_s_models(client):
    ids = [model.id for model in client.models.list()]
    assert MODEL in ids
    assert len(ids) == len(set(ids))


def test_models_say_who_made_them(client):
    for model in client.models.list():
        assert model.object == "model"
        assert model.created > 0
        if "/" in model.id:
            assert model.owned_by == model.id.split("/")[0]


async def test_async_list(async_client):
    assert MODEL in [model.id async for model in async_client.models.list()]


def test_retrieve_escapes_the_slash(client, traffic):
    """The SDK writes the slash as `%2F`."""
    assert client.models.retrieve(MODEL).id == MODEL
    assert "%2F" in traffic.exchanges[-1].url


def test_retrieve_with_a_bare_slash(gateway_url):
    """A person with curl writes the slash as it is."""
    with urlopen(f"{gateway_url}/models/{MODEL}", timeout=10) as response:
        assert f'"{MODEL}"'.encode() in response.read()


def test_every_listed_model_can_be_retrieved(client):
    for model in client.models.list():
        assert client.models.retrieve(model.id) == model


def test_listing_does_not_call_fal(client, emulator):
    # Compared by number: a call of an earlier test may still be ending.
    before = [call.id for call in emulator.all_calls()]
    client.models.list()
    client.models.retrieve(MODEL)
    assert [call.id for call in emulator.all_calls()] == before


def test_a_bare_name_stands_for_the_catalogue_s_model(ask):
    assert ask("echo alias", model="gpt-4o").model == "openai/gpt-4o"


def test_the_alias_is_resolved_before_fal_is_asked(client, emulator, marker):
    client.chat.completions.create(model="gpt-4o", messages=[system(marker), user("echo hi")])
    assert emulator.only_call(marker).body["model"] == "openai/gpt-4o"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_without_a_model_the_default_answers(client, stream):
    """The SDK demands a model, so the default is asked for with null, which means absent."""
    answer = client.chat.completions.create(model=None, messages=[user("echo default")], stream=stream)
    model = next(iter(answer)).model if stream else answer.model
    assert "/" in model
    assert model in [listed.id for listed in client.models.list()]
