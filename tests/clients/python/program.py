"""What the programs of this folder share. Each is run as `python ask_NAME.py BASE_URL MODE PROMPT`, does one thing as a
user of the library would write it, prints what came, and exits with 1 if an error came instead."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pydantic import BaseModel

BASE_URL, MODE, PROMPT = sys.argv[1:]
KEY = "demo"
MODEL = "openai/gpt-4o-mini"


class Person(BaseModel):
    """A schema to ask for."""

    name: str
    age: int


#: The same schema as OpenAI's `response_format`, strict.
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}


def get_weather(city: str) -> str:
    """Tells the weather of a city.

    Args:
        city: The city's name.
    """
    return f"It is sunny in {city}."


#: The same tool as OpenAI takes it.
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def run(**modes: Callable[[], object]) -> None:
    """Asks in the mode that the command line names; there is a function for each."""
    try:
        print(modes[MODE]())
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
