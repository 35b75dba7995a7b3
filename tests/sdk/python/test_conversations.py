"""Conversations that are kept by the gateway, through openai-python and the Agents SDK's sessions."""

from __future__ import annotations

import openai
import pytest
from agents import Agent, OpenAIConversationsSession, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai.types.conversations import Conversation, ConversationDeletedResource, Message

from conversation import MODEL, user

set_tracing_disabled(True)


@function_tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


def texts(items) -> list[str]:
    return [item.content[0].text for item in items if item.type == "message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_responses_in_a_conversation(client, emulator, marker, stream):
    conversation = client.conversations.create(items=[user(f"My name is Ada. {marker}")], metadata={"topic": "names"})
    assert isinstance(conversation, Conversation)
    assert conversation.metadata == {"topic": "names"}
    request = {"model": MODEL, "input": "echo hello", "conversation": conversation.id}
    if stream:
        with client.responses.stream(**request) as events:
            response = events.get_final_response()
    else:
        response = client.responses.create(**request)
    assert response.output_text == "hello"
    assert response.conversation.id == conversation.id
    assert marker in emulator.only_call(marker).prompt
    items = list(client.conversations.items.list(conversation.id, order="asc", limit=2))
    assert texts(items) == [f"My name is Ada. {marker}", "echo hello", "hello"]
    assert all(isinstance(item, Message) for item in items)
    assert client.conversations.items.retrieve(items[2].id, conversation_id=conversation.id).id == items[2].id
    client.conversations.items.delete(items[1].id, conversation_id=conversation.id)
    assert len(client.conversations.items.list(conversation.id).data) == 2
    changed = client.conversations.update(conversation.id, metadata={})
    assert changed.metadata == {}
    deleted = client.conversations.delete(conversation.id)
    assert isinstance(deleted, ConversationDeletedResource)
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(conversation.id)
    assert client.responses.retrieve(response.id).output_text == "hello"


def test_items_are_added(client):
    conversation = client.conversations.create()
    added = client.conversations.items.create(conversation.id, items=[user("one"), user("two")])
    assert texts(added.data) == ["one", "two"]
    newest = client.conversations.items.list(conversation.id).data
    assert texts(newest) == ["two", "one"]


async def test_a_session_remembers(async_client, emulator, marker):
    model = OpenAIResponsesModel(model=MODEL, openai_client=async_client)
    agent = Agent(name="helper", instructions=f"Help. {marker}", model=model, tools=[get_weather])
    session = OpenAIConversationsSession(openai_client=async_client)
    first = await Runner.run(agent, 'call get_weather {"city": "Paris"}', session=session)
    assert "sunny in Paris" in first.final_output
    second = await Runner.run(agent, "echo hello again", session=session)
    assert second.final_output == "hello again"
    prompt = emulator.calls(marker)[-1].prompt
    assert "sunny in Paris" in prompt
    kinds = [item["type"] for item in await session.get_items()]
    assert kinds[0] == "message" and {"function_call", "function_call_output"} <= set(kinds)
    last = await session.pop_item()
    assert last["role"] == "assistant"
    await session.clear_session()


async def test_a_run_goes_on_in_a_conversation(async_client, emulator, marker):
    model = OpenAIResponsesModel(model=MODEL, openai_client=async_client)
    agent = Agent(name="helper", instructions=f"Help. {marker}", model=model)
    conversation = await async_client.conversations.create()
    await Runner.run(agent, "My name is Ada.", conversation_id=conversation.id)
    await Runner.run(agent, "echo hello", conversation_id=conversation.id)
    assert "My name is Ada." in emulator.calls(marker)[-1].prompt
    items = await async_client.conversations.items.list(conversation.id)
    assert len(items.data) == 4
