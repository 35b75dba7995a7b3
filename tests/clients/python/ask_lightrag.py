"""LightRAG's calls of a model, with its defaults."""

import asyncio

from lightrag.llm.openai import openai_complete_if_cache

from program import BASE_URL, KEY, MODEL, PROMPT, run


async def whole() -> str:
    return await openai_complete_if_cache(MODEL, PROMPT, base_url=BASE_URL, api_key=KEY)


async def stream() -> str:
    pieces = await openai_complete_if_cache(MODEL, PROMPT, base_url=BASE_URL, api_key=KEY, stream=True)
    return "".join([piece async for piece in pieces])


run(whole=lambda: asyncio.run(whole()), stream=lambda: asyncio.run(stream()))
