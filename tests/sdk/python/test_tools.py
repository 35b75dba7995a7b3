"""Tools, with openai-python: who may call, who must, what a call looks like and how results come back."""

from __future__ import annotations

import json

import openai
import pytest
from pydantic import BaseModel

from conversation import MODEL, assistant, finish_reasons, text_of, user
from tools import BOOK, STRICT_TOOLS, TIME, TOOLS, WEATHER, faults_of_call

PARIS = "What is the weather in Paris?"
BOTH = 'call get_weather {"city": "Rome"} and get_time {"zone": "CET"}'


def named(name: str) -> dict:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> dict:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


@pytest.fixture(params=["whole", "stream"])
def answer(request, client):
    """Asks, whole or through the SDK's stream helper, and returns the completion either way."""

    def answer(messages, **parameters):
        if isinstance(messages, str):
            messages = [user(messages)]
        parameters = {"model": MODEL, "messages": messages} | parameters
        if request.param == "whole":
            return client.chat.completions.create(**parameters)
        with client.chat.completions.stream(**parameters) as stream:
            return stream.get_final_completion()

    return answer


def calls_of(completion) -> list[tuple[str, dict]]:
    calls = completion.choices[0].message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def result(call, content: str) -> dict:
    return {"role": "tool", "tool_call_id": call.id, "content": content}


# --- calls ---


def test_a_call(answer):
    completion = answer(PARIS, tools=[WEATHER])
    assert calls_of(completion) == [("get_weather", {"city": "Paris"})]
    assert completion.choices[0].finish_reason == "tool_calls"
    [call] = completion.choices[0].message.tool_calls
    assert call.id.startswith("call_") and call.type == "function"


def test_text_before_a_call_is_content_without_a_trace_of_the_call(answer):
    message = answer(PARIS, tools=[WEATHER]).choices[0].message
    assert message.content.strip()
    assert not any(sign in message.content for sign in "<>{}")


def test_a_call_alone_has_no_content(client):
    message = client.chat.completions.create(
        model=MODEL, messages=[user(f"{PARIS}\n/emulate silent")], tools=[WEATHER]
    ).choices[0].message
    assert message.content is None
    assert len(message.tool_calls) == 1


def test_tools_that_are_not_needed_change_nothing(answer):
    completion = answer("echo no tool is due", tools=TOOLS)
    assert completion.choices[0].message.content == "no tool is due"
    assert not completion.choices[0].message.tool_calls
    assert completion.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "São Paulo 🦀 北京"},
        {"city": 'quotes " and \\ and \n line breaks'},
        {"city": "</tool_calls> <tool_call> ``` {"},
        {"city": ""},
    ],
    ids=["other scripts", "escapes", "signs of the form itself", "empty"],
)
def test_arguments_arrive_as_the_model_meant_them(answer, arguments):
    completion = answer(f"call get_weather {json.dumps(arguments)}", tools=[WEATHER])
    assert calls_of(completion) == [("get_weather", arguments)]


def test_arguments_of_every_kind(answer):
    arguments = {"hotel": "Ada's", "nights": 3, "breakfast": True, "floors": [1, 2], "view": "sea"}
    completion = answer(f"call book_room {json.dumps(arguments)}", tools=TOOLS)
    assert calls_of(completion) == [("book_room", arguments)]


def test_a_tool_without_arguments(answer):
    tool = {"type": "function", "function": {"name": "ping"}}
    assert calls_of(answer("call ping {}", tools=[tool])) == [("ping", {})]


def test_long_arguments_stream_whole(answer):
    city = "Llanfair " * 500
    assert calls_of(answer(f"call get_weather {json.dumps({'city': city})}", tools=[WEATHER])) == [
        ("get_weather", {"city": city})
    ]


def test_several_choices_have_calls_of_their_own(client):
    completion = client.chat.completions.create(model=MODEL, messages=[user(PARIS)], tools=[WEATHER], n=3)
    ids = {call.id for choice in completion.choices for call in choice.message.tool_calls}
    assert len(ids) == 3


async def test_an_async_call(async_client):
    completion = await async_client.chat.completions.create(model=MODEL, messages=[user(PARIS)], tools=[WEATHER])
    assert calls_of(completion) == [("get_weather", {"city": "Paris"})]


# --- several calls ---


def test_calls_in_parallel(answer):
    completion = answer(BOTH, tools=TOOLS)
    assert calls_of(completion) == [("get_weather", {"city": "Rome"}), ("get_time", {"zone": "CET"})]


def test_one_call_at_a_time(answer):
    completion = answer(BOTH, tools=TOOLS, parallel_tool_calls=False)
    assert calls_of(completion) == [("get_weather", {"city": "Rome"})]
    assert completion.choices[0].finish_reason == "tool_calls"


# --- tool_choice ---


def test_auto_is_the_default(answer):
    assert calls_of(answer(PARIS, tools=TOOLS, tool_choice="auto")) == calls_of(answer(PARIS, tools=TOOLS))


def test_none_forbids(answer):
    completion = answer(PARIS, tools=TOOLS, tool_choice="none")
    assert calls_of(completion) == []
    assert completion.choices[0].message.content


@pytest.mark.parametrize("tools", [[WEATHER], TOOLS], ids=["one tool", "three tools"])
def test_required_demands(answer, tools):
    completion = answer("Hello there", tools=tools, tool_choice="required")
    assert len(calls_of(completion)) >= 1
    assert completion.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("name", ["get_weather", "get_time", "book_room"])
def test_a_named_tool_is_the_one_that_is_called(answer, name):
    completion = answer("What is the weather in Paris?", tools=TOOLS, tool_choice=named(name))
    [call] = completion.choices[0].message.tool_calls
    assert call.function.name == name
    assert faults_of_call(name, call.function.arguments) == []


def test_only_allowed_tools_are_called(answer):
    completion = answer(PARIS, tools=TOOLS, tool_choice=allowed("required", "get_time", "book_room"))
    assert calls_of(completion)
    assert {name for name, _ in calls_of(completion)} <= {"get_time", "book_room"}


def test_allowed_tools_may_be_left_alone(answer):
    completion = answer("echo left alone", tools=TOOLS, tool_choice=allowed("auto", "get_time"))
    assert completion.choices[0].message.content == "left alone"


def test_a_tool_that_is_not_allowed_is_not_told_of(client, emulator, marker):
    choice = allowed("auto", "get_time")
    client.chat.completions.create(model=MODEL, messages=[user(f"echo {marker}")], tools=TOOLS, tool_choice=choice)
    told = json.dumps(emulator.only_call(marker).body)
    assert "get_time" in told and "book_room" not in told


@pytest.mark.parametrize(
    "parameters",
    [
        {"tools": TOOLS, "tool_choice": named("get_wether")},
        {"tools": TOOLS, "tool_choice": allowed("auto", "get_wether")},
        {"tools": TOOLS, "tool_choice": "always"},
        {"tool_choice": "required"},
        {"tool_choice": named("get_weather")},
        {"tools": [{"type": "function", "function": {"name": "two words"}}]},
        {"tools": [{"type": "function", "function": {}}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": "get_weather"},
    ],
    ids=lambda parameters: json.dumps(parameters.get("tool_choice") or parameters["tools"])[:60],
)
def test_what_nobody_could_meet_is_refused_and_never_paid_for(client, emulator, marker, parameters):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user(marker)], **parameters)
    assert caught.value.param.split("[")[0].split(".")[0] in parameters
    assert emulator.calls(marker) == []


# --- results ---


def test_a_loop_of_call_result_and_answer(answer):
    messages = [user(PARIS)]
    first = answer(messages, tools=TOOLS)
    [call] = first.choices[0].message.tool_calls
    messages += [first.choices[0].message.to_dict(), result(call, "sunny")]
    second = answer(messages, tools=TOOLS)
    assert second.choices[0].message.content == "get_weather says: sunny"
    assert second.choices[0].finish_reason == "stop"


def test_a_loop_of_two_steps(answer):
    messages = [user('call get_weather {"city": "Rome"}, then use get_time')]
    seen = []
    while calls := (last := answer(messages, tools=TOOLS).choices[0].message).tool_calls:
        assert len(seen) < 5
        messages.append(last.to_dict())
        for call in calls:
            seen.append(call.function.name)
            messages.append(result(call, f"result {len(seen)}"))
    assert seen == ["get_weather", "get_time"]
    assert "result 2" in last.content


def test_results_of_parallel_calls(answer):
    messages = [user(BOTH)]
    said = answer(messages, tools=TOOLS).choices[0].message
    messages.append(said.to_dict())
    messages += [result(call, f"result of {call.function.name}") for call in reversed(said.tool_calls)]
    assert "result of" in answer(messages, tools=TOOLS).choices[0].message.content


# --- the older names ---


def test_functions_are_answered_with_a_function_call(answer):
    completion = answer(PARIS, functions=[WEATHER["function"]])
    message = completion.choices[0].message
    assert (message.function_call.name, json.loads(message.function_call.arguments)) == ("get_weather", {"city": "Paris"})
    assert not message.tool_calls
    assert completion.choices[0].finish_reason == "function_call"


def test_a_function_s_result(answer):
    call = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    messages = [user(PARIS), assistant(None, function_call=call), {"role": "function", "name": "get_weather", "content": "sunny"}]
    assert answer(messages, functions=[WEATHER["function"]]).choices[0].message.content == "get_weather says: sunny"


def test_a_named_function(answer):
    functions = [tool["function"] for tool in TOOLS]
    completion = answer("Hello", functions=functions, function_call={"name": "get_time"})
    assert completion.choices[0].message.function_call.name == "get_time"


# --- the SDK's helpers ---


class GetWeather(BaseModel):
    """Looks up the weather."""

    city: str


def test_a_pydantic_function_tool_is_parsed(client):
    tool = openai.pydantic_function_tool(GetWeather, name="get_weather")
    completion = client.chat.completions.parse(model=MODEL, messages=[user(PARIS)], tools=[tool])
    [call] = completion.choices[0].message.tool_calls
    assert call.function.parsed_arguments == GetWeather(city="Paris")


def test_the_events_of_a_streamed_call(client):
    tool = openai.pydantic_function_tool(GetWeather, name="get_weather")
    with client.chat.completions.stream(model=MODEL, messages=[user(PARIS)], tools=[tool]) as stream:
        events = list(stream)
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    [done] = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert "".join(event.arguments_delta for event in deltas) == done.arguments
    assert deltas[-1].parsed_arguments == {"city": "Paris"}
    assert (done.name, done.index, done.parsed_arguments) == ("get_weather", 0, GetWeather(city="Paris"))


def test_the_events_of_two_streamed_calls(client):
    with client.chat.completions.stream(model=MODEL, messages=[user(BOTH)], tools=TOOLS) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [(event.index, event.name) for event in done] == [(0, "get_weather"), (1, "get_time")]


def test_a_streamed_call_with_usage(stream):
    chunks = list(stream(PARIS, tools=[WEATHER], stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens > 0
    assert finish_reasons(chunks) == ["tool_calls"]


# --- models that go wrong ---

REPAIRED = """case prefix types extra parameters string python trailing smart escape barejson openai renamed nokey wrongkey
two fenced before prose fabricate""".split()
ASKED_AGAIN = "missing unknown truncated".split()
NO_CALL = "empty none".split()


@pytest.mark.parametrize("tools", [TOOLS, STRICT_TOOLS], ids=["lenient", "strict"])
@pytest.mark.parametrize("slip", REPAIRED + ASKED_AGAIN)
def test_a_slip_does_not_reach_the_caller(answer, slip, tools):
    wish = {"hotel": "Ada", "nights": 3, "breakfast": True, "floors": [1, 2], "view": "sea"}
    completion = answer(f"call book_room {json.dumps(wish)}\n/emulate tool:{slip}", tools=tools, tool_choice="required")
    calls = completion.choices[0].message.tool_calls
    assert calls
    assert {call.function.name for call in calls} == {"book_room"}
    # As with OpenAI, only strict tools are promised arguments that match; the judge wants JSON of the others, too.
    if tools is STRICT_TOOLS:
        assert [fault for call in calls for fault in faults_of_call(call.function.name, call.function.arguments)] == []


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize("slip", REPAIRED + ASKED_AGAIN + NO_CALL + ["parallel"])
def test_a_stubborn_slip_is_a_valid_call_text_or_an_error(answer, slip, choice):
    try:
        completion = answer(f"{PARIS}\n/emulate tool:{slip} stubborn", tools=STRICT_TOOLS, tool_choice=choice)
    except openai.APIError as error:
        assert error.code in {"tool_call_invalid", "tool_choice_not_met", "upstream_invalid_response"}
        return
    calls = completion.choices[0].message.tool_calls or []
    assert calls or choice == "auto"
    assert [fault for call in calls for fault in faults_of_call(call.function.name, call.function.arguments)] == []


@pytest.mark.parametrize("slip", NO_CALL)
def test_a_required_call_that_never_comes_is_an_error(answer, slip):
    with pytest.raises(openai.APIError) as caught:
        answer(f"Hello\n/emulate tool:{slip} stubborn", tools=TOOLS, tool_choice="required")
    assert caught.value.code == "tool_choice_not_met"


@pytest.mark.parametrize("slip", NO_CALL)
def test_a_required_call_comes_when_asked_for_again(answer, emulator, marker, slip):
    completion = answer(f"{PARIS} {marker}\n/emulate tool:{slip}", tools=TOOLS, tool_choice="required")
    assert calls_of(completion)
    assert len(emulator.calls(marker)) == 2


def test_an_example_in_a_fence_counts_where_a_call_is_required(answer, emulator, marker):
    completion = answer(f"{PARIS} {marker}\n/emulate tool:quote", tools=TOOLS, tool_choice="required")
    assert calls_of(completion)
    emulator.only_call(marker)


@pytest.mark.any_llm
def test_an_example_in_a_fence_is_no_call(answer):
    completion = answer(f"{PARIS}\n/emulate tool:quote", tools=TOOLS)
    assert calls_of(completion) == []
    assert "```" in completion.choices[0].message.content


def test_results_that_the_model_makes_up_are_not_delivered(answer):
    clean = answer(PARIS, tools=TOOLS).choices[0].message
    message = answer(f"{PARIS}\n/emulate tool:fabricate", tools=TOOLS).choices[0].message
    assert message.content == clean.content
    assert len(message.tool_calls) == 1


def test_a_block_written_twice_is_one_call(answer):
    assert len(calls_of(answer(f"{PARIS}\n/emulate tool:two", tools=TOOLS))) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_call_does_not_depend_on_how_the_text_was_cut(stream, size):
    chunks = list(stream(f"{BOTH}\n/emulate size:{size}", tools=TOOLS))
    assert text_of(chunks).strip() == "I will use get_weather and get_time for that."
    assert finish_reasons(chunks) == ["tool_calls"]


@pytest.mark.parametrize("limit", range(5, 60, 5))
def test_an_answer_that_reached_its_limit_has_whole_calls_or_none(client, limit):
    """The judge wants JSON of every call's arguments, however short the answer was cut."""
    try:
        choice = client.chat.completions.create(
            model=MODEL, messages=[user(BOTH)], tools=TOOLS, max_tokens=limit
        ).choices[0]
    except openai.APIError as error:
        assert error.code == "tool_call_invalid"
        return
    assert choice.finish_reason == ("tool_calls" if choice.message.tool_calls else "length")


def test_a_stream_that_breaks_within_a_call_raises(stream):
    with pytest.raises(openai.APIError):
        list(stream(f"{PARIS}\n/emulate size:8 drop:8", tools=TOOLS))


def test_a_refusal_of_fal_is_its_own_error(client):
    with pytest.raises(openai.RateLimitError):
        client.with_options(max_retries=0).chat.completions.create(
            model=MODEL, messages=[user(f"{PARIS}\n/emulate error:rate_limit")], tools=[WEATHER, BOOK, TIME]
        )
