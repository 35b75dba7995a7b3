//! Tools end to end: what the gateway asks for, a model that follows it or goes wrong, and what the
//! caller gets.

use serde_json::{Value, json};

use crate::support::{Answer, Emulated, ScriptedUpstream, Step, TestGateway, whole};

const DIALECTS: [&str; 3] = ["tagged", "json", "xml"];
const QUESTION: &str = "How is the weather in Paris for 3 days?";

fn tools() -> Value {
    let tool = |name: &str, schema: Value| {
        json!({"type": "function", "function": {
            "name": name, "description": format!("{name} of a city"), "parameters": schema,
        }})
    };
    let weather = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    });
    json!([
        tool("get_weather", weather),
        tool(
            "get_time",
            json!({"type": "object", "properties": {"place": {"type": "string"}}})
        ),
    ])
}

fn request(words: &str) -> Value {
    json!({
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": format!("{QUESTION}{words}")}],
        "tools": tools(),
    })
}

fn gateway(fal: &Emulated, dialect: &str, max_reasks: &str) -> TestGateway {
    fal.setup()
        .set(
            "tools.dialects",
            &format!("{{ \"openai/\" = \"{dialect}\" }}"),
        )
        .set("tools.max_reasks", max_reasks)
        .start()
}

/// The calls of an answer: names and parsed arguments.
fn calls(answer: &Answer) -> Vec<(String, Value)> {
    let message = answer.json()["choices"][0]["message"].clone();
    let calls = message["tool_calls"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let read = |call: &Value| {
        let function = &call["function"];
        let arguments = function["arguments"].as_str().unwrap();
        (
            function["name"].as_str().unwrap().to_owned(),
            serde_json::from_str(arguments).unwrap(),
        )
    };
    calls.iter().map(read).collect()
}

fn weather() -> (String, Value) {
    (
        "get_weather".to_owned(),
        json!({"city": "Paris", "days": 3}),
    )
}

fn notes(answer: &Answer) -> Vec<String> {
    let header = answer.header("x-gateway-emulated").unwrap_or_default();
    header.split(", ").map(str::to_owned).collect()
}

#[test]
fn a_model_calls_and_is_told_the_result_in_every_dialect() {
    let fal = Emulated::start();
    for dialect in DIALECTS {
        let gateway = gateway(&fal, dialect, "0");
        let mut body = request("");
        let first = gateway.ask(&body);
        assert_eq!(calls(&first), [weather()], "{dialect}: {}", first.text());
        assert_eq!(notes(&first), ["tools"], "{dialect}");
        let message = first.json()["choices"][0]["message"].clone();
        let id = message["tool_calls"][0]["id"].clone();
        let result = json!({"role": "tool", "tool_call_id": id, "content": "sunny"});
        body["messages"]
            .as_array_mut()
            .unwrap()
            .extend([message, result]);
        let second = gateway.ask(&body);
        assert_eq!(second.content(), "get_weather says: sunny", "{dialect}");
        let asked = fal.ended()["body"]["prompt"].as_str().unwrap().to_owned();
        let shown = match dialect {
            "tagged" => "\">\n{\"name\": \"get_weather\", ",
            "json" => " calls=\"yes\">{\"tool_calls\": [{\"name\": ",
            _ => "<invoke id=",
        };
        assert!(asked.contains(shown), "{dialect}: {asked}");
    }
}

#[test]
fn what_is_forgiven_is_named_and_counted() {
    let fal = Emulated::start();
    let cases = [
        ("tagged", "tool:markup", "tool-markup, tool-without-key"),
        ("tagged", "tool:nokey", "tool-without-key"),
        ("tagged", "tool:barejson", "tool-without-key"),
        ("tagged", "tool:case", "tool-name"),
        ("json", "tool:markup", "tool-markup"),
        ("xml", "tool:barejson", "tool-json, tool-without-key"),
    ];
    for (dialect, slip, expected) in cases {
        let gateway = gateway(&fal, dialect, "0");
        let answer = gateway.ask(&request(&format!(" /emulate silent {slip}")));
        assert_eq!(calls(&answer), [weather()], "{dialect} {slip}");
        let notes = notes(&answer);
        assert_eq!(
            notes.join(", "),
            format!("tools, {expected}"),
            "{dialect} {slip}"
        );
        for kind in expected.split(", ") {
            let line = format!("fal_gateway_mended_total{{kind=\"{kind}\"}}");
            assert_eq!(gateway.metric(&line), 1.0, "{dialect} {slip} {kind}");
        }
    }
}

/// Every slip in every dialect: what is delivered as a call is one, and with the model corrected
/// once there is one.
#[test]
fn no_slip_lets_a_wrong_call_through() {
    const SLIPS: [&str; 20] = [
        "empty",
        "none",
        "quote",
        "unknown",
        "case",
        "prefix",
        "types",
        "missing",
        "extra",
        "parameters",
        "string",
        "python",
        "trailing",
        "smart",
        "escape",
        "renamed",
        "markup",
        "wrongkey",
        "fabricate",
        "truncated",
    ];
    let fal = Emulated::start();
    for dialect in DIALECTS {
        let gateway = gateway(&fal, dialect, "1");
        for slip in SLIPS {
            let mut body = request(&format!(" /emulate silent tool:{slip}"));
            body["tool_choice"] = "required".into();
            let answer = gateway.ask(&body);
            let calls = calls(&answer);
            assert_eq!(calls.len(), 1, "{dialect} {slip}: {}", answer.text());
            assert_eq!(calls[0].0, "get_weather", "{dialect} {slip}");
            let is_mended = !["extra", "escape"].contains(&slip);
            assert!(
                !is_mended || calls[0] == weather(),
                "{dialect} {slip}: {calls:?}"
            );
        }
    }
}

#[test]
fn a_missing_argument_is_asked_for_once_and_then_left_out() {
    let fal = Emulated::start();
    let without_city = ("get_weather".to_owned(), json!({"days": 3}));
    let cases = [
        ("tool:missing", "1", weather(), 2),
        ("tool:missing stubborn", "1", without_city.clone(), 2),
        // A model that repeats itself is not asked once more.
        ("tool:missing stubborn", "3", without_city.clone(), 2),
        ("tool:missing", "0", without_city, 1),
    ];
    for (slip, max_reasks, expected, paid) in cases {
        let gateway = gateway(&fal, "tagged", max_reasks);
        let before = fal.count();
        let answer = gateway.ask(&request(&format!(" /emulate {slip}")));
        assert_eq!(calls(&answer), [expected], "{slip} {max_reasks}");
        assert_eq!(answer.json()["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(fal.count() - before, paid, "{slip} {max_reasks}");
        assert_eq!(notes(&answer).contains(&"reask".to_owned()), paid == 2);
    }
}

#[test]
fn an_empty_answer_is_asked_for_again_where_a_call_was_possible() {
    let fal = Emulated::start();
    let once = gateway(&fal, "tagged", "1").ask(&request(" /emulate tool:empty"));
    assert_eq!(calls(&once), [weather()]);
    let never = gateway(&fal, "tagged", "1").ask(&request(" /emulate tool:empty stubborn"));
    assert_eq!(never.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(never.content(), "");
}

/// A call that could have been delivered is not lost because fal fails when it is asked again, or
/// the model does worse.
#[test]
fn a_call_outlives_a_failed_attempt_at_a_better_one() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{".to_vec();
    let attempts: [Vec<Step>; 3] = [
        vec![Step::Read, Step::Close],
        vec![Step::Read, Step::Write(cut), Step::Close],
        vec![
            Step::Read,
            Step::Write(whole("I would rather talk.")),
            Step::Close,
        ],
    ];
    for attempt in attempts {
        // All that is required is there, and one value does not fit.
        let call = "[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\", \"days\": \"three\"}}]";
        // Else the second request could go out on a connection that is about to close.
        let first = String::from_utf8(whole(call)).unwrap();
        let first = first.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        let fal = ScriptedUpstream::with(move |number| match number {
            0 => vec![Step::Read, Step::Write(first.clone().into()), Step::Close],
            _ => attempt.clone(),
        });
        let gateway = fal.setup().set("tools.max_reasks", "1").start();
        let mut body = request("");
        body["tool_choice"] = "required".into();
        let answer = gateway.ask(&body);
        let expected = (
            "get_weather".to_owned(),
            json!({"city": "Rome", "days": "three"}),
        );
        assert_eq!(calls(&answer), [expected], "{}", answer.text());
        assert_eq!(fal.requests(), 2);
    }
}

#[test]
fn a_format_beside_tools_is_for_answers_without_a_call() {
    let fal = Emulated::start();
    for dialect in DIALECTS {
        let gateway = gateway(&fal, dialect, "0");
        let mut body = request("");
        body["response_format"] = json!({"type": "json_object"});
        assert_eq!(calls(&gateway.ask(&body)), [weather()], "{dialect}");
        body["messages"][0]["content"] = "Hello there, how are you?".into();
        let answer = gateway.ask(&body).content();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.is_object(), "{dialect}");
    }
}

/// What a caller does not see as text is not looked into, and the call costs one call.
#[test]
fn a_stop_sequence_ends_no_call() {
    for upstream in ["any-llm", "router", "router-openai"] {
        let fal = Emulated::start();
        let gateway = fal.setup().set("fal.upstream", upstream).start();
        for (asked, (stop, is_stream)) in [
            ("}", false),
            ("Paris", false),
            ("\"days\"", true),
            ("<", true),
        ]
        .into_iter()
        .enumerate()
        {
            let mut body = request("");
            body["stop"] = json!([stop]);
            body["stream"] = is_stream.into();
            let answer = gateway.ask(&body);
            assert_eq!(answer.status, 200, "{upstream} {stop}: {}", answer.text());
            assert!(
                answer.text().contains("tool_calls"),
                "{upstream} {stop}: {}",
                answer.text()
            );
            assert_eq!(fal.count(), asked + 1, "{upstream} {stop}");
        }
    }
}

/// Before a call it ends the text, and what follows does not count.
#[test]
fn a_stop_sequence_ends_the_text_before_a_call() {
    let fal = ScriptedUpstream::answering(whole("Let me see. STOP and more"));
    let mut body = request("");
    body["stop"] = json!(["STOP"]);
    let answer = fal.setup().start().ask(&body);
    assert_eq!(answer.content(), "Let me see. ", "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(fal.requests(), 1);
}

/// A model is not asked again for what the caller himself has cut, and it is asked again where it
/// made a mistake before that.
#[test]
fn json_that_a_stop_sequence_cuts_is_the_answer() {
    let schema = json!({
        "type": "object", "properties": { "name": { "type": "string" }, "age": { "type": "integer" } },
        "required": ["name", "age"], "additionalProperties": false,
    });
    let strict = json!({ "type": "json_schema", "json_schema": { "name": "x", "strict": true, "schema": schema } });
    let object = json!({ "type": "json_object" });
    let good = r#"{"name": "Zoë", "age": 7}"#;
    for upstream in ["any-llm", "router", "router-openai"] {
        for (format, stop, expected) in [
            (&strict, "\"age\"", r#"{"name": "Zoë", "#),
            (&object, "}", r#"{"name": "Zoë", "age": 7"#),
        ] {
            let choice =
                json!({ "index": 0, "message": { "content": good }, "finish_reason": "stop" });
            let all = json!({ "output": good, "partial": false, "choices": [choice] }).to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let fal = ScriptedUpstream::answering(format!(
                "{head}content-length: {}\r\n\r\n{all}",
                all.len()
            ));
            let gateway = fal.setup().set("fal.upstream", upstream).start();
            let mut body = json!({
                "model": "openai/gpt-4o-mini", "response_format": format, "stop": [stop],
                "messages": [{ "role": "user", "content": "Who? Answer in JSON." }],
            });
            let answer = gateway.ask(&body);
            assert_eq!(answer.content(), expected, "{upstream}: {}", answer.text());
            assert_eq!(answer.json()["choices"][0]["finish_reason"], "stop");
            assert_eq!(fal.requests(), 1, "{upstream} {stop}");
            body["stop"] = json!(["never"]);
            assert_eq!(gateway.ask(&body).status, 200, "{upstream}");
        }
    }
    // What is whole and wrong is the model's mistake, whatever follows it.
    let fal = ScriptedUpstream::answering(whole("{\"name\": 1}\n\nThat is it."));
    let answer = fal.setup().start().ask(&json!({
        "model": "openai/gpt-4o-mini", "response_format": strict, "stop": ["That"],
        "messages": [{ "role": "user", "content": "Who?" }],
    }));
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error json_schema_not_met"
    );
}

/// The words and the fence before JSON are no part of the answer, so they are not looked into.
#[test]
fn a_stop_sequence_ends_no_json_before_it_begins() {
    let schema = json!({
        "type": "object", "properties": { "name": { "type": "string" } },
        "required": ["name"], "additionalProperties": false,
    });
    let strict = json!({ "type": "json_schema", "json_schema": { "name": "x", "strict": true, "schema": schema } });
    let good = r#"{"name":"Zoe"}"#;
    let fenced = format!("```json\n{good}\n```");
    let introduced = format!("Here is it:\n\n{good}");
    let bracketed = format!("[1] and {{the}} JSON [as requested]:\n\n{good}");
    for (written, stop, expected) in [
        (&fenced, "```", good),
        (&fenced, "\n", good),
        (&introduced, "\n\n", good),
        (&introduced, "oe", r#"{"name":"Z"#),
        (&introduced, "\"name\"", "{"),
        (&bracketed, "\n\n", good),
        (&bracketed, "oe", r#"{"name":"Z"#),
    ] {
        for tools in [json!([]), tools()] {
            let fal = ScriptedUpstream::answering(whole(written));
            let answer = fal.setup().start().ask(&json!({
                "model": "openai/gpt-4o-mini", "response_format": strict, "stop": [stop],
                "messages": [{ "role": "user", "content": "Who?" }], "tools": tools,
            }));
            assert_eq!(answer.content(), expected, "{stop:?}: {}", answer.text());
            assert_eq!(fal.requests(), 1, "{stop:?}");
        }
    }
}

/// What a stop sequence cuts off is not counted, also where it might have become a call.
#[test]
fn nothing_behind_a_stop_sequence_is_counted() {
    let text = "Thought: I need it.\nAction: get_weather\n\n";
    let ask = |written: &str| {
        let mut body = request("");
        body["stop"] = json!(["Observation:"]);
        let fal = ScriptedUpstream::answering(whole(written));
        let answer = fal.setup().start().ask(&body);
        assert_eq!(answer.content(), text, "{}", answer.text());
        answer.json()["usage"]["completion_tokens"].clone()
    };
    let cut = format!("{text}Observation: x and a long tail of what nobody wants to have");
    assert_eq!(ask(&cut), ask(text));
}

/// Models are told to write calls on a line of their own.
#[test]
fn the_line_break_before_calls_is_no_text_to_stop_at() {
    let call = r#"{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}"#;
    let block = format!("<tool_calls>\n[{call}]\n</tool_calls>");
    for line_break in ["\n", "\r\n"] {
        for stop in ["\n", ".\n", ".\r"] {
            let ask = |written: &str| {
                let mut body = request("");
                body["stop"] = json!([stop]);
                ScriptedUpstream::answering(whole(written))
                    .setup()
                    .start()
                    .ask(&body)
            };
            let answer = ask(&format!("Let me see.{line_break}{block}"));
            assert_eq!(calls(&answer).len(), 1, "{stop:?}: {}", answer.text());
        }
        let mut body = request("");
        body["stop"] = json!(["\n"]);
        for more in ["", "More.", "\n"] {
            let written = whole(&format!("Let me see.{line_break}{more}"));
            let answer = ScriptedUpstream::answering(written)
                .setup()
                .start()
                .ask(&body);
            assert_eq!(answer.content().trim_end(), "Let me see.");
            let reason = &answer.json()["choices"][0]["finish_reason"];
            assert_eq!(reason, "stop", "{}", answer.text());
        }
    }
}
