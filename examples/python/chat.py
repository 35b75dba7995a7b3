"""A conversation of two turns. Start the gateway with `cargo run --release -- demo`, then:

pip install openai && python examples/python/chat.py
"""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:3250/v1"), api_key="demo")

messages = [
    {"role": "system", "content": "You are a friendly guide."},
    {"role": "user", "content": "Hello! My name is Ada."},
]
first = client.chat.completions.create(model="openai/gpt-4o-mini", messages=messages)
print(first.choices[0].message.content)

# The gateway keeps nothing between calls: the conversation so far is sent along each time.
messages += [
    {"role": "assistant", "content": first.choices[0].message.content},
    {"role": "user", "content": "What is my name?"},
]
second = client.chat.completions.create(model="openai/gpt-4o-mini", messages=messages)
print(second.choices[0].message.content)
