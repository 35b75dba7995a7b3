"""A LangChain chain, whole and streamed. Start the gateway with `cargo run --release -- demo`, then:

pip install langchain-openai && python examples/python/langchain_chat.py
"""

import os

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="openai/gpt-4o-mini",
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:3250/v1"),
    api_key="demo",
)
prompt = ChatPromptTemplate.from_messages([("system", "Answer as a {profession}."), ("human", "{question}")])
chain = prompt | model | StrOutputParser()

print(chain.invoke({"profession": "gardener", "question": "What makes a good day?"}))

for piece in chain.stream({"profession": "sailor", "question": "What makes a good day?"}):
    print(piece, end="", flush=True)
print()
