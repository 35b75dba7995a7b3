"""Tools and forms of answers that the suites ask with, and what a valid answer to them is."""

from __future__ import annotations

import json
from typing import Any, Literal

from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict


def function(name: str, properties: dict[str, Any], **fields) -> dict:
    """A tool as the API takes it. Every property is required and no other is allowed, as strict tools have it."""
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    description = f"Answers what {name} is for."
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters} | fields}


WEATHER = function("get_weather", {"city": {"type": "string"}})
TIME = function("get_time", {"zone": {"type": "string"}})
# One argument of each kind, so that a number written as a string is wrong.
BOOK = function(
    "book_room",
    {
        "hotel": {"type": "string"},
        "nights": {"type": "integer"},
        "breakfast": {"type": "boolean"},
        "floors": {"type": "array", "items": {"type": "integer"}},
        "view": {"type": "string", "enum": ["sea", "hills"]},
    },
)
TOOLS = [WEATHER, TIME, BOOK]
STRICT_TOOLS = [{**tool, "function": tool["function"] | {"strict": True}} for tool in TOOLS]


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str
    minutes: int


class Recipe(BaseModel):
    """A form with nesting, a list, a choice and something that may be null."""

    model_config = ConfigDict(extra="forbid")
    title: str
    servings: int
    vegan: bool
    difficulty: Literal["easy", "hard"]
    note: str | None
    steps: list[Step]


def faults_of_call(name: str, arguments: str) -> list[str]:
    """What is wrong with a call, by its tool's own schema."""
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
    if name not in schemas:
        return [f"{name!r} was not offered"]
    errors = Draft202012Validator(schemas[name]).iter_errors(json.loads(arguments))
    return [f"{name}: {error.json_path}: {error.message}" for error in errors]
