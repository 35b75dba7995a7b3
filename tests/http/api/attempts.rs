//! Choices, re-asks, fallbacks and resends: whatever meets whatever, nothing paid is lost, nothing is
//! paid twice, and what was paid is counted.

use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Emulated, ScriptedUpstream, Setup, Step, Stream, TestGateway, event, final_event,
    question, sse, sse_head, whole,
};

const MINI: &str = "openai/gpt-4o-mini";
const QUESTION: &str = "How is the weather in Paris for 3 days?";
const CITY: &str = r#"{"type": "object", "properties": {"city": {"type": "string"}},
    "required": ["city"], "additionalProperties": false}"#;

fn tool(name: &str) -> Value {
    let parameters: Value = serde_json::from_str(CITY).unwrap();
    json!({"type": "function", "function": {"name": name, "strict": true,
        "description": "The weather of a city", "parameters": parameters}})
}

/// A question with a choice of tools that the model has to take one of.
fn required(words: &str) -> Value {
    let mut body = question(&format!("{QUESTION}{words}"), false);
    body["tools"] = json!([tool("get_weather"), tool("get_climate")]);
    body["tool_choice"] = "required".into();
    body
}

fn refusal(status: &str) -> Vec<u8> {
    let headers = "x-fal-request-id: fal-9\r\nconnection: close\r\ncontent-length: 2";
    format!("HTTP/1.1 {status}\r\n{headers}\r\n\r\n{{}}").into()
}

/// A whole answer after which the connection is not used again.
fn last(output: &str) -> Vec<u8> {
    let answer = String::from_utf8(whole(output)).unwrap();
    let answer = answer.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    answer.into_bytes()
}

fn tokens(gateway: &TestGateway, kind: &str) -> f64 {
    let page = gateway.get("/metrics").text();
    let lines = page.lines().filter(|line| {
        line.starts_with("fal_gateway_tokens_total{") && line.contains(&format!("\"{kind}\""))
    });
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

fn is_idle(gateway: &TestGateway) {
    gateway.until_metric("fal_gateway_active_requests{route=\"chat\"}", 0.0);
}

#[test]
fn choices_that_came_are_delivered_when_another_fails() {
    for (broken, code) in [
        (vec![Step::Write(refusal("500 No"))], "upstream_error"),
        (vec![Step::Write(refusal("429 No"))], "rate_limit_exceeded"),
        (vec![Step::Close], "upstream_disconnected"),
    ] {
        for stream in [false, true] {
            let broken = broken.clone();
            let fal = ScriptedUpstream::with(move |number| {
                let mut steps = vec![Step::Read];
                match number {
                    1 => steps.extend(broken.clone()),
                    _ if stream => steps.extend([
                        Step::Write(sse_head()),
                        Step::Write(final_event("hi")),
                        Step::Close,
                    ]),
                    _ => steps.push(Step::Write(last("hi"))),
                }
                steps
            });
            let gateway = fal.setup().start();
            let mut body = question("hi", stream);
            body["n"] = 3.into();
            let answer = gateway.ask(&body);
            assert_eq!(answer.status, 200, "{code}: {}", answer.text());
            let came: Vec<u64> = match stream {
                true => Stream::chunks(&answer.text())
                    .iter()
                    .filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop")
                    .map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap())
                    .collect(),
                false => answer.json()["choices"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .inspect(|choice| assert_eq!(choice["message"]["content"], "hi"))
                    .map(|choice| choice["index"].as_u64().unwrap())
                    .collect(),
            };
            assert_eq!(came.len(), 2, "{}", answer.text());
            if stream {
                // Two choices are paid for, so not even a rate limit may be repeated.
                let error = Stream::error_after_choices(&answer.text());
                assert_eq!(error["type"], "invalid_request_error");
                assert_eq!(error["code"], code);
                assert!(!answer.text().contains("[DONE]"));
            } else {
                let missing = (0..3).find(|index| !came.contains(index)).unwrap();
                let named = format!("{missing} {code}");
                let header = answer.header("x-gateway-missing-choices");
                assert_eq!(header, Some(named.as_str()));
            }
            assert_eq!(fal.requests(), 3, "nothing is asked for again");
        }
    }
}

#[test]
fn if_all_choices_fail_nobody_repeats_what_may_have_been_paid() {
    let script = |refused: &'static str, paid: bool| {
        ScriptedUpstream::with(move |number| match number {
            1 if paid => vec![Step::Read, Step::Close],
            _ => vec![Step::Read, Step::Write(refusal(refused))],
        })
    };
    for (refused, paid, verdict) in [
        ("429 No", false, "429 rate_limit_error rate_limit_exceeded"),
        ("500 No", false, "502 server_error upstream_error"),
        (
            "429 No",
            true,
            "400 invalid_request_error upstream_disconnected",
        ),
        (
            "500 No",
            true,
            "400 invalid_request_error upstream_disconnected",
        ),
    ] {
        for stream in [false, true] {
            let fal = script(refused, paid);
            let mut body = question("hi", stream);
            body["n"] = 3.into();
            let answer = fal.setup().start().ask(&body);
            assert_eq!(answer.verdict(), verdict, "{refused} {paid}");
            let retry = answer.header("x-should-retry");
            assert_eq!(retry, paid.then_some("false"), "{refused} {paid}");
        }
    }
}

/// fal has accepted the request, so a refusal of the longer prompt is not the caller's to mend.
#[test]
fn a_failed_re_ask_leaves_the_verdict_on_the_first_answer() {
    let long = "y".repeat(700);
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let body = required(&format!(" {long} /emulate tool:none limit:1200 stubborn"));
    let answer = gateway.ask(&body);
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error tool_choice_not_met"
    );
    assert_eq!(fal.count(), 2);

    let fal = ScriptedUpstream::with(|number| match number {
        0 => vec![Step::Read, Step::Write(last("No.")), Step::Close],
        _ => vec![Step::Read, Step::Write(refusal("402 No"))],
    });
    let gateway = fal.setup().start();
    let answer = gateway.ask(&required(""));
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error tool_choice_not_met"
    );
    let balance = "fal_gateway_upstream_errors_total{kind=\"balance\"}";
    assert_eq!(gateway.metric(balance), 1.0, "it is counted all the same");
    assert!(tokens(&gateway, "output") > 0.0, "the first try was paid");
}

#[test]
fn a_re_ask_that_may_not_be_sent_is_not_made() {
    let fal = Emulated::start();
    let body = required(" /emulate tool:none stubborn");
    let gateway = fal.setup().set("limits.max_prompt_chars", "100").start();
    let answer = gateway.ask(&body);
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error tool_choice_not_met"
    );
    assert_eq!(fal.count(), 1);
}

#[test]
fn a_request_causes_at_most_so_many_calls() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("limits.max_calls", "5").start();
    let mut body = required(" /emulate tool:none");
    body["n"] = 4.into();
    let answer = gateway.ask(&body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"].as_array().unwrap().len(), 1);
    assert_eq!(fal.count(), 5, "four choices and one that was asked again");

    let few = fal.setup().set("limits.max_calls", "3").start();
    let answer = few.ask(&body);
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error unsupported_value"
    );
    assert_eq!(answer.error()["param"], "n");
    assert!(answer.text().contains("limits.max_calls"));
    assert_eq!(fal.count(), 5);

    let busy = ScriptedUpstream::answering(refusal("429 No"));
    let gateway = busy.setup().set("limits.max_calls", "3").start();
    let mut body = question("hi", false);
    body["models"] = json!([
        "openai/gpt-4o",
        "openai/gpt-4.1",
        "openai/o3",
        "openai/gpt-5-mini"
    ]);
    assert_eq!(gateway.ask(&body).status, 429);
    assert_eq!(busy.requests(), 3);
}

/// fal says so under a status of success, too.
#[test]
fn a_fallback_takes_over_from_a_model_that_refuses_under_200() {
    for (is_stream, n) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let busy =
            json!({ "output": "", "partial": false, "error": "Error code: 429 - slow down" });
        let busy = match is_stream {
            true => [sse_head(), sse(&busy.to_string())].concat(),
            false => {
                let text = String::from_utf8(whole("")).unwrap();
                let (head, _) = text.split_once("\r\n\r\n").unwrap();
                let head = head.split("content-length").next().unwrap();
                let body = busy.to_string();
                format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
            }
        };
        let fal = ScriptedUpstream::with(move |number| {
            let answer = match (number, is_stream) {
                (0, _) => busy.clone(),
                (_, true) => [sse_head(), final_event("hi")].concat(),
                (_, false) => whole("hi"),
            };
            vec![Step::Read, Step::Write(answer), Step::Close]
        });
        let gateway = fal.setup().set("fal.pool_idle", "0").start();
        let mut body = question("hi", is_stream);
        body["models"] = json!(["openai/gpt-4o"]);
        body["n"] = n.into();
        let answer = gateway.ask(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.text().contains("\"model\":\"openai/gpt-4o\""),
            "{}",
            answer.text()
        );
        assert_eq!(
            fal.requests(),
            1 + n,
            "one that was refused, and each choice"
        );
    }
}

#[test]
fn fallbacks_are_not_tried_when_fal_cannot_be_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gateway = Setup::towards(&url)
        .set("fal.connect_attempts", "1")
        .start();
    let mut body = question("hi", false);
    body["models"] = json!(["openai/gpt-4o", "openai/gpt-4.1"]);
    let answer = gateway.ask(&body);
    assert_eq!(answer.verdict(), "502 server_error upstream_unreachable");
    assert_eq!(gateway.metric("fal_gateway_fallbacks_total"), 0.0);
}

/// What one model can, another cannot: each is asked in its own way, or not at all.
#[test]
fn each_fallback_is_planned_by_itself() {
    let fal = ScriptedUpstream::with(|number| match number {
        0 => vec![Step::Read, Step::Write(refusal("429 No"))],
        _ => vec![Step::Read, Step::Write(last("hi")), Step::Close],
    });
    let dialects = r#"{ "openai/" = "tagged", "google/" = "json" }"#;
    let gateway = fal.setup().set("tools.dialects", dialects).start();
    let mut body = required("");
    body["tool_choice"] = "auto".into();
    body["models"] = json!(["google/gemini-2.5-flash"]);
    let answer = gateway.ask(&body);
    assert_eq!(answer.json()["model"], "google/gemini-2.5-flash");
    let asked = |at: usize| String::from_utf8_lossy(&fal.seen()[at].requests[0]).into_owned();
    assert!(asked(0).contains("<tool_calls") && !asked(1).contains("<tool_calls"));

    let fal = ScriptedUpstream::answering(refusal("429 No"));
    let gateway = fal.setup().set("fal.enterprise", "true").start();
    let mut body = question("hi", false);
    body["model"] = "openai/gpt-4o".into();
    body["models"] = json!(["deepseek/deepseek-r1", MINI]);
    assert_eq!(gateway.ask(&body).status, 429);
    assert_eq!(fal.requests(), 2, "one of them is not served there");
}

/// A long tool, described at length.
fn wordy(words: &str) -> Value {
    let mut body = question(words, false);
    let mut tool = tool("get_weather");
    tool["function"]["description"] = "The weather of a city. ".repeat(80).into();
    body["tools"] = json!([tool]);
    body
}

#[test]
fn a_limit_that_fal_names_is_met_in_the_same_request() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let body = wordy(&format!("{QUESTION} /emulate limit:1800"));
    let answer = gateway.ask(&body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("x-gateway-fold").unwrap().contains("tools="));
    assert_eq!(fal.count(), 2, "refused once, before fal worked");
    assert_eq!(gateway.ask(&body).status, 200);
    assert_eq!(fal.count(), 3, "and remembered");

    let mut other = body.clone();
    other["model"] = "openai/gpt-4o".into();
    assert_eq!(gateway.ask(&other).status, 200);
    assert_eq!(fal.count(), 5, "for that model alone");
    // It refuses nothing by itself: fal may have lifted it.
    let answer = gateway.ask(&wordy(QUESTION));
    assert_eq!(answer.status, 200);
}

#[test]
fn what_one_key_has_learnt_is_not_told_to_another() {
    let fal = Emulated::start();
    let gateway = fal.setup().without_fal_key().start();
    let ask = |key: &str, body: &Value| -> Answer {
        let call = Call::chat(body).header("authorization", &format!("Bearer {key}"));
        gateway.call(&call)
    };
    let body = wordy(&format!("{QUESTION} /emulate limit:1800"));
    assert_eq!(ask("kid:one", &body).status, 200);
    assert_eq!(ask("kid:one", &body).status, 200);
    assert_eq!(fal.count(), 3);
    assert_eq!(
        ask("kid:two", &wordy(QUESTION)).header("x-gateway-fold"),
        None
    );
    let mut unknown = question("hi", false);
    unknown["model"] = "made-up/gpt-4o-mini".into();
    let answer = ask("kid:one", &unknown);
    assert_eq!(answer.status, 404);
    let message = answer.error()["message"].as_str().unwrap().to_owned();
    let (_, closest) = message.split_once("Closest").unwrap();
    assert!(!closest.contains("made-up"), "{message}");
    let listed = gateway.get("/v1/models").text();
    assert!(!listed.contains("made-up"));
}

#[test]
fn what_cannot_be_made_to_fit_says_what_fills_it() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let tools: Vec<Value> = (0..40)
        .map(|at| tool(&format!("tool_number_{at}")))
        .collect();
    let mut many = question("hi /emulate limit:1200", false);
    many["tools"] = json!(tools);
    let mut system = question("hi /emulate limit:1200", false);
    let instructions = json!({"role": "system", "content": "z".repeat(2000)});
    system["messages"]
        .as_array_mut()
        .unwrap()
        .insert(0, instructions);
    let last = question(&format!("{} /emulate limit:1200", "z".repeat(2000)), false);
    for (body, param, fills) in [
        (many, "tools", "40 tools, "),
        (system, "messages", "the system messages, 2,000 characters"),
        (
            last,
            "messages",
            "The last message does not fit: 2,020 characters",
        ),
    ] {
        let before = fal.count();
        let answer = gateway.ask(&body);
        let verdict = "400 invalid_request_error string_above_max_length";
        assert_eq!(answer.verdict(), verdict, "{}", answer.text());
        assert_eq!(answer.error()["param"], param);
        let message = answer.error()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(fills), "{message}");
        assert!(message.contains("fal takes 1,200"), "{message}");
        // Words by which agents decide to shorten the conversation, which is paid and no help.
        assert!(!message.contains("too long") && !message.contains("context"));
        assert_eq!(fal.count() - before, 1);
    }
}

#[test]
fn fals_own_words_reach_the_caller() {
    let body = r#"{"detail":[{"loc":["body","temperature"],"msg":"Input should be less than 2","type":"less_than","input":"planted-prompt"}]}"#;
    let fal = ScriptedUpstream::answering(format!(
        "HTTP/1.1 422 No\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = fal.setup().start().ask(&question("hi", false));
    let message = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(
        message.ends_with("fal says: Input should be less than 2"),
        "{message}"
    );
    assert!(!message.contains("planted"));
}

#[test]
#[cfg(feature = "tokenizer")]
fn exact_counts_hold_after_a_re_ask() {
    let fal = Emulated::start();
    let count = |words: &str| {
        let gateway = fal.setup().set("usage.count", "exact").start();
        let answer = gateway.ask(&required(words));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let usage = answer.json()["usage"].clone();
        let number = |name: &str| usage[name].as_u64().unwrap();
        (number("prompt_tokens"), number("completion_tokens"))
    };
    let (once, _) = count("");
    let (twice, written) = count(" /emulate tool:unknown");
    assert!(written > 10, "{written}");
    assert!(twice > 2 * once, "{twice} {once}");
}

#[test]
fn answers_that_fail_or_are_left_are_counted() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let fails = question("/emulate drop:20 size:4 gap:1ms\nlong 300", true);
    let text = gateway.ask(&fails).text();
    assert_eq!(Stream::error(&text)["code"], "upstream_disconnected");
    is_idle(&gateway);
    let (input, output) = (tokens(&gateway, "input"), tokens(&gateway, "output"));
    assert!(input > 0.0 && output > 5.0, "{input} {output}");

    let left = question("/emulate stall:9 size:4\nlong 300", true);
    let mut reading = gateway.open(&Call::chat(&left)).stream();
    reading.until("\"content\":\"");
    drop(reading);
    is_idle(&gateway);
    assert!(tokens(&gateway, "input") > input);
    assert!(tokens(&gateway, "output") > output);

    // One that is left before its head may be paid for too; one that fal refused is not.
    let (before, refused) = (
        tokens(&gateway, "input"),
        question("/emulate status:500\nhi", false),
    );
    gateway.ask(&refused);
    is_idle(&gateway);
    assert_eq!(tokens(&gateway, "input"), before);
    let calls = fal.count();
    let raw = gateway.open(&Call::chat(&question("/emulate hang\nhi", false)));
    fal.requests(calls + 1);
    drop(raw);
    is_idle(&gateway);
    assert!(tokens(&gateway, "input") > before);
}

/// While it can still be asked again, a large request holds the memory it was granted.
#[test]
fn the_memory_of_a_request_is_held_as_long_as_its_bytes_are() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("a")),
        Step::Hold,
    ]);
    let gateway = fal
        .setup()
        .set("limits.max_body_memory", "1MiB")
        .set("server.heartbeat", "200ms")
        .start();
    let large = |with_tools: bool| {
        let mut body = question(&"x".repeat(700_000), true);
        body["model"] = "openai/gpt-4.1".into();
        if with_tools {
            body["tools"] = json!([tool("get_weather")]);
        }
        body
    };
    for (with_tools, status) in [(false, 200), (true, 503)] {
        let mut first = gateway.open(&Call::chat(&large(with_tools))).stream();
        first.until("keep-alive");
        let mut second = gateway.open(&Call::chat(&large(false)));
        assert_eq!(second.head().status, status, "tools: {with_tools}");
        drop((first, second));
        is_idle(&gateway);
    }

    // The answer to a conversation is asked for again only where nothing of it was words.
    let mut talk = large(false);
    talk["messages"] = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "x".repeat(700_000)},
    ]);
    let mut first = gateway.open(&Call::chat(&talk)).stream();
    first.until("\"content\":\"a");
    let mut second = gateway.open(&Call::chat(&talk));
    assert_eq!(second.head().status, 200);
    drop((first, second));
    is_idle(&gateway);
}
