"""DSPy, with its defaults but for the cache of answers."""

import dspy

from program import BASE_URL, KEY, MODEL, PERSON, PROMPT, WEATHER, run

lm = dspy.LM(f"openai/{MODEL}", api_base=BASE_URL, api_key=KEY, cache=False)
dspy.configure(lm=lm)


def stream() -> str:
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    predict = dspy.Predict("question -> answer")
    pieces = dspy.streamify(predict, stream_listeners=[listener], async_streaming=False)(question=PROMPT)
    return "".join(piece.chunk for piece in pieces if isinstance(piece, dspy.streaming.StreamResponse))


run(
    whole=lambda: lm(PROMPT)[0],
    stream=stream,
    tool=lambda: lm(PROMPT, tools=[WEATHER], tool_choice="required"),
    schema=lambda: lm(PROMPT, response_format=PERSON)[0],
)
