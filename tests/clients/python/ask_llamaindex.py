"""LlamaIndex, with its defaults."""

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from program import BASE_URL, KEY, MODEL, PROMPT, Person, get_weather, run

llm = OpenAILike(
    model=MODEL,
    api_base=BASE_URL,
    api_key=KEY,
    is_chat_model=True,
    is_function_calling_model=True,
    should_use_structured_outputs=True,
    context_window=128_000,
)
messages = [ChatMessage(role="user", content=PROMPT)]


def tool() -> object:
    tools = [FunctionTool.from_defaults(get_weather)]
    return llm.get_tool_calls_from_response(llm.chat_with_tools(tools, chat_history=messages, tool_required=True))


run(
    whole=lambda: llm.chat(messages).message.content,
    stream=lambda: "".join(chunk.delta or "" for chunk in llm.stream_chat(messages)),
    tool=tool,
    schema=lambda: llm.as_structured_llm(Person).chat(messages).raw,
)
