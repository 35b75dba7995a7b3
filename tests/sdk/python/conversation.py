"""Short ways to write a conversation and to read a stream."""

from __future__ import annotations

from collections.abc import Iterable

from openai.types.chat import ChatCompletionChunk

MODEL = "openai/gpt-4o-mini"
# Reads images and thinks when it is told to, which the one above does not.
SEES = "google/gemini-2.5-flash"


def user(content, **fields) -> dict:
    return {"role": "user", "content": content, **fields}


def assistant(content, **fields) -> dict:
    return {"role": "assistant", "content": content, **fields}


def system(content) -> dict:
    return {"role": "system", "content": content}


def developer(content) -> dict:
    return {"role": "developer", "content": content}


def text_of(chunks: Iterable[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def reasoning_of(chunks: Iterable[ChatCompletionChunk], name: str = "reasoning_content") -> str:
    """The reasoning text, which the SDK hands on as an attribute that its types do not know."""
    return "".join(getattr(choice.delta, name, None) or "" for chunk in chunks for choice in chunk.choices)


def finish_reasons(chunks: Iterable[ChatCompletionChunk]) -> list[str]:
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
