"""Two answers, streamed side by side. Start the gateway with `cargo run --release -- demo`, then:

pip install openai && python examples/python/stream_async.py
"""

import asyncio
import os

from openai import AsyncOpenAI


async def poem(client: AsyncOpenAI, subject: str) -> str:
    stream = await client.chat.completions.create(
        model="google/gemini-2.5-flash-lite",
        messages=[{"role": "user", "content": f"Write a haiku about {subject}."}],
        stream=True,
    )
    lines = ""
    async for chunk in stream:
        piece = chunk.choices[0].delta.content or ""
        print(piece, end="", flush=True)
        lines += piece
    return lines


async def main() -> None:
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:3250/v1")
    async with AsyncOpenAI(base_url=base_url, api_key="demo") as client:
        poems = await asyncio.gather(poem(client, "rivers"), poem(client, "gates"))
    print("\n\nUntangled:", *poems, sep="\n\n")


asyncio.run(main())
