"""smolagents' model, with its defaults: it repeats what it takes for a rate limit by an error's text."""

from smolagents import OpenAIModel, tool
from smolagents.models import ChatMessage

from program import BASE_URL, KEY, MODEL, PERSON, PROMPT, get_weather, run

model = OpenAIModel(model_id=MODEL, api_base=BASE_URL, api_key=KEY)
messages = [ChatMessage(role="user", content=[{"type": "text", "text": PROMPT}])]

run(
    whole=lambda: model.generate(messages).content,
    stream=lambda: "".join(delta.content or "" for delta in model.generate_stream(messages)),
    tool=lambda: model.generate(messages, tools_to_call_from=[tool(get_weather)]).tool_calls,
    schema=lambda: model.generate(messages, response_format=PERSON).content,
)
