"""langchain-anthropic, which still sends what the newer version of the API has dropped."""

from __future__ import annotations

import os

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

URL = os.environ["GATEWAY_URL"].removesuffix("/v1")


@pytest.fixture
def model():
    return ChatAnthropic(model="openai/gpt-4o-mini", base_url=URL, api_key="demo", temperature=0.5, top_k=5)


def test_an_answer_and_its_usage(model):
    message = model.invoke("echo Hello there")
    assert message.content == "Hello there"
    assert message.usage_metadata["input_tokens"] > 0


def test_a_stream_and_its_usage(model):
    chunks = list(model.stream("echo one two three"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.text == "one two three"
    assert whole.usage_metadata["input_tokens"] > 0 and whole.usage_metadata["output_tokens"] > 0


def test_a_tool(model):
    class Weather(BaseModel):
        """The weather of a city."""

        city: str

    bound = model.bind_tools([Weather])
    assert bound.invoke('call Weather {"city":"Paris"}').tool_calls[0]["args"] == {"city": "Paris"}


def test_an_object(model):
    class Person(BaseModel):
        """A person."""

        name: str
        age: int

    for method in ["function_calling", "json_schema"]:
        person = model.with_structured_output(Person, method=method).invoke("Invent a person.")
        assert person.name, method


def test_tokens_are_counted(model):
    assert model.get_num_tokens_from_messages([HumanMessage("Hello there")]) > 0
