"""Chat completions that are kept, and requests that are repeated under one key, through openai-python."""

from __future__ import annotations

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionDeleted, ChatCompletionStoreMessage

from conversation import MODEL, user


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_stored_completion(client, marker, stream):
    request = {"model": MODEL, "messages": [user("echo hello")], "store": True, "metadata": {"mark": marker}}
    if stream:
        made = list(client.chat.completions.create(**request, stream=True))[-1].id
    else:
        made = client.chat.completions.create(**request).id
    kept = client.chat.completions.retrieve(made)
    assert isinstance(kept, ChatCompletion)
    assert kept.choices[0].message.content == "hello"
    listed = list(client.chat.completions.list(metadata={"mark": marker}, model=kept.model))
    assert [completion.id for completion in listed] == [made]
    messages = list(client.chat.completions.messages.list(made))
    assert all(isinstance(message, ChatCompletionStoreMessage) for message in messages)
    assert [(message.role, message.content) for message in messages] == [("user", "echo hello")]
    assert client.chat.completions.update(made, metadata={"mark": "other"}).id == made
    assert list(client.chat.completions.list(metadata={"mark": marker})) == []
    deleted = client.chat.completions.delete(made)
    assert isinstance(deleted, ChatCompletionDeleted) and deleted.deleted
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(made)


def test_completions_are_listed_in_pages(client, marker):
    for number in range(3):
        client.chat.completions.create(
            model=MODEL, messages=[user(f"echo {number}")], store=True, metadata={"mark": marker}
        )
    pages = client.chat.completions.list(metadata={"mark": marker}, limit=1)
    assert len(pages.data) == 1
    assert len(list(pages)) == 3


def test_a_key_makes_a_request_one(client, emulator, marker):
    request = {"model": MODEL, "messages": [user(f"echo {marker}")], "extra_headers": {"Idempotency-Key": marker}}
    first = client.chat.completions.create(**request)
    assert client.chat.completions.create(**request) == first
    assert emulator.only_call(marker)
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(**{**request, "messages": [user("echo other")]})
