//! What becomes of an answer that is asked for again: nothing that was paid for is lost.

use serde_json::{Value, json};

use crate::support::{Answer, Call, ScriptedUpstream, Setup, Step, whole};

/// A whole answer as fal streams it.
fn streamed(output: &str) -> Vec<u8> {
    let event = json!({"output": output, "reasoning": null, "partial": false, "error": null});
    let body = format!("event: event\r\ndata: {event}\r\n\r\n");
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Asks a fal that gives these answers one after the other, the last again and again. `KEY` in them
/// is the key of the conversation. Gives back how often it was asked, too.
fn ask(body: &Value, answers: &[&str]) -> (Answer, usize) {
    ask_at("/v1/chat/completions", body, answers)
}

/// The same at any address of the API.
fn ask_at(path: &str, body: &Value, answers: &[&str]) -> (Answer, usize) {
    let is_stream = body["stream"] == json!(true);
    let key = key_of(path, body);
    let answers: Vec<Vec<u8>> = answers
        .iter()
        .map(|answer| answer.replace("KEY", &key))
        .map(|answer| match is_stream {
            true => streamed(&answer),
            false => whole(&answer),
        })
        .collect();
    let fal = ScriptedUpstream::with(move |number| {
        let answer = answers.get(number).or(answers.last()).unwrap();
        let close = |head: &[u8]| {
            let text = String::from_utf8(head.to_vec()).unwrap();
            text.replacen("\r\n", "\r\nconnection: close\r\n", 1)
                .into_bytes()
        };
        vec![Step::Read, Step::Write(close(answer)), Step::Close]
    });
    let gateway = setup(&fal).set("tools.max_reasks", "1").start();
    let answer = gateway.call(&post(path, body));
    (answer, fal.requests())
}

fn post(path: &str, body: &Value) -> Call {
    Call::new("POST", path)
        .header("content-type", "application/json")
        .body(body.to_string())
}

/// A gateway with a secret of ours, so that another one derives the same keys.
fn setup(fal: &ScriptedUpstream) -> Setup {
    fal.setup().set("fold.secret", "\"nobody guesses this\"")
}

/// The key in what fal is asked.
fn key_of(path: &str, body: &Value) -> String {
    let fal = ScriptedUpstream::with(|_| vec![Step::Read, Step::Write(whole("Hi")), Step::Hold]);
    let gateway = setup(&fal).set("tools.max_reasks", "0").start();
    let mut body = body.clone();
    body["stream"] = json!(false);
    gateway.call(&post(path, &body));
    let asked = String::from_utf8(fal.seen()[0].requests[0].clone()).unwrap();
    let mark = ["k=\\\"", "<conversation-"]
        .into_iter()
        .find_map(|mark| asked.split_once(mark));
    let (_, rest) = mark.unwrap_or(("", ""));
    rest.chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect()
}

/// The text and the calls of an answer, whole or streamed.
fn said(answer: &Answer, is_stream: bool) -> (String, usize) {
    if !is_stream {
        let message = answer.json()["choices"][0]["message"].clone();
        let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
        let text = message["content"].as_str().unwrap_or_default();
        return (text.to_owned(), calls);
    }
    let (mut text, mut calls) = (String::new(), 0);
    for line in answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: {"))
    {
        let frame: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
        let delta = &frame["choices"][0]["delta"];
        text += delta["content"].as_str().unwrap_or_default();
        calls += delta["tool_calls"].as_array().map_or(0, Vec::len);
    }
    (text, calls)
}

const BROKEN: &str = "Let me check.\n<tool_calls k=\"KEY\">\n<tool_call>{\"name\": \"nonexistent\", \"arguments\": {}}</tool_call>\n</tool_calls>";
const CALL: &str = "I look.\n<tool_calls k=\"KEY\">\n<tool_call>{\"name\": \"look\", \"arguments\": {}}</tool_call>\n</tool_calls>";

fn with_a_tool(stream: bool) -> Value {
    json!({
        "model": "openai/gpt-4o-mini",
        "stream": stream,
        "messages": [{"role": "user", "content": "How warm is it?"}],
        "tools": [{"type": "function", "function": {"name": "look"}}],
    })
}

/// A stream has said its first words when the model is asked again; a whole answer has not.
#[test]
fn a_text_that_comes_when_the_model_is_asked_again_is_delivered() {
    for (stream, before) in [(false, ""), (true, "Let me check.\n")] {
        let body = with_a_tool(stream);
        let (answer, asked) = ask(&body, &[BROKEN, "It is 20 degrees."]);
        assert_eq!(asked, 2);
        let expected = (format!("{before}It is 20 degrees."), 0);
        assert_eq!(said(&answer, stream), expected, "{}", answer.text());
    }
}

#[test]
fn calls_need_no_second_explanation() {
    for (stream, expected) in [(false, "I look.\n"), (true, "Let me check.\n")] {
        let (answer, asked) = ask(&with_a_tool(stream), &[BROKEN, CALL]);
        assert_eq!(asked, 2);
        let (text, calls) = said(&answer, stream);
        assert_eq!(text, expected);
        assert!(calls > 0, "{}", answer.text());
    }
}

/// A format without `strict` promises nothing, so a model that never meets it is delivered, as the
/// JSON that its reader waits for.
#[test]
fn json_that_misses_its_schema_is_delivered_without_its_fence() {
    let schema = json!({"type": "object", "required": ["age"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    let mut body = with_a_tool(false);
    body["response_format"] = format;
    body.as_object_mut().unwrap().remove("tools");
    let (answer, asked) = ask(&body, &["Here:\n```json\n{\"name\": \"Ada\"}\n```\nDone."]);
    assert_eq!(
        (answer.content().as_str(), asked),
        ("{\"name\": \"Ada\"}", 2)
    );
}

/// A model that repeats nothing but the record has not answered, with tools or without.
#[test]
fn an_answer_of_nothing_but_markup_is_asked_for_again_and_then_an_error() {
    for stream in [false, true] {
        let mut body = with_a_tool(stream);
        body.as_object_mut().unwrap().remove("tools");
        body["messages"] = json!([
            {"role": "user", "content": "I am Ann."},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "Who am I?"},
        ]);
        let echo = "<turn-KEY role=\"user\">Who am I?</turn-KEY>";
        let (answer, asked) = ask(&body, &[echo, "Ann."]);
        assert_eq!((said(&answer, stream).0.as_str(), asked), ("Ann.", 2));
        let (answer, asked) = ask(&body, &[echo]);
        assert_eq!(asked, 2);
        assert!(answer.text().contains("\"error\""), "{}", answer.text());
        assert!(!answer.text().contains("\"finish_reason\":\"stop\""));
    }
}

/// Whatever tool had to be called, and however its arguments came: without what its schema requires
/// they are no call, strict or not. Where no call had to be made, nothing is promised of them.
#[test]
fn a_call_that_was_due_is_never_delivered_without_what_its_schema_requires() {
    let tool = |name: &str| {
        let schema = json!({"properties": {"city": {"type": "string"}}, "required": ["city"]});
        json!({"type": "function", "function": {"name": name, "parameters": schema}})
    };
    let named = json!({"type": "function", "function": {"name": "look"}});
    let alone = json!([tool("look")]);
    let among = json!([tool("look"), tool("find")]);
    let bare = "{}";
    let called = "{\"name\": \"look\", \"arguments\": {}}";
    let other = "{\"name\": \"look\", \"arguments\": {\"days\": 3}}";
    for (tools, choice, answer, is_refused) in [
        (&alone, json!("required"), bare, true),
        (&alone, json!("required"), called, true),
        (&alone, named.clone(), bare, true),
        (&among, named, bare, true),
        (&among, json!("required"), called, true),
        (&among, json!("required"), other, true),
        (&among, json!("auto"), called, false),
    ] {
        for stream in [false, true] {
            let mut body = with_a_tool(stream);
            body["tools"] = tools.clone();
            body["tool_choice"] = choice.clone();
            let (refused, asked) = ask(&body, &[answer]);
            assert_eq!(asked, 2, "{choice} {answer}");
            let is_told = refused.text().contains("tool_choice_not_met");
            assert_eq!(is_told, is_refused, "{choice} {answer}: {}", refused.text());
            if is_refused && !stream {
                assert_eq!(refused.status, 400);
                assert_eq!(refused.header("x-should-retry"), Some("false"));
            }
            let mended = "{\"name\": \"look\", \"arguments\": {\"city\": \"Oslo\"}}";
            let (called, _) = ask(&body, &[answer, mended]);
            assert!(said(&called, stream).1 > 0, "{}", called.text());
        }
    }
}

/// The model was shown its reply in tags with a key of their own. It may repeat them, and all that
/// was said of it.
#[test]
fn a_correction_that_the_model_copies_reaches_nobody() {
    let said_of_it = "Your previous reply, quoted below, was not valid. It was empty.";
    for stream in [false, true] {
        let body = with_a_tool(stream);
        let (answer, asked) = ask(&body, &["", said_of_it]);
        assert_eq!(asked, 2);
        assert!(answer.text().contains("\"error\""), "{}", answer.text());
        let greeting = format!("Hello!\n\n{said_of_it}\n<previous_reply-ABCD>\n");
        let (answer, _) = ask(&body, &["", &greeting]);
        assert_eq!(said(&answer, stream).0.trim(), "Hello!");
        // Who was not told so may say it.
        let (answer, asked) = ask(&body, &[said_of_it]);
        assert_eq!((said(&answer, stream).0.as_str(), asked), (said_of_it, 1));
    }
}

/// The text of a custom tool has the form that its grammar asks for, or is asked for again.
#[test]
fn a_text_that_is_not_in_its_grammar_is_asked_for_again() {
    let calls = |name: &str, input: &str| {
        let call = json!({"name": name, "arguments": {"input": input}});
        format!("<tool_calls k=\"KEY\">\n<tool_call>{call}</tool_call>\n</tool_calls>")
    };
    let patch = "*** Begin Patch\n*** Delete File: a\n*** End Patch";
    let fenced = format!("```\n{patch}\n```");
    for (name, syntax, definition, bad, good, delivered) in [
        (
            "when",
            "regex",
            "\\d{4}-\\d{2}",
            "1999-12 or so",
            "1999-12",
            "1999-12",
        ),
        ("when", "regex", "a|b", "ab", "b", "b"),
        (
            "apply_patch",
            "lark",
            "start: begin",
            "--- a\n+++ b",
            patch,
            patch,
        ),
        (
            "apply_patch",
            "lark",
            "start: begin",
            "*** Begin Patch\n",
            &fenced,
            &format!("{patch}\n"),
        ),
    ] {
        for stream in [false, true] {
            let body = json!({
                "model": "openai/gpt-4o-mini",
                "stream": stream,
                "input": "Do it.",
                "tools": [{
                    "type": "custom",
                    "name": name,
                    "format": {"type": "grammar", "syntax": syntax, "definition": definition},
                }],
            });
            let (bad, good) = (calls(name, bad), calls(name, good));
            let (answer, asked) = ask_at("/v1/responses", &body, &[&bad, &good]);
            let text = answer.text();
            assert_eq!(asked, 2, "{text}");
            let delivered = json!({ "input": delivered }).to_string();
            assert!(text.contains(delivered.trim_matches(['{', '}'])), "{text}");
            let (answer, asked) = ask_at("/v1/responses", &body, &[&bad]);
            let text = answer.text();
            assert_eq!(asked, 2, "{text}");
            assert!(text.contains("tool_call_invalid"), "{text}");
        }
    }
}

#[test]
fn a_grammar_that_cannot_be_checked_is_refused_by_its_name() {
    let long = "a".repeat(300);
    for (format, param) in [
        (
            json!({"syntax": "regex", "definition": "(?=a)a"}),
            "definition",
        ),
        (json!({"syntax": "regex", "definition": "("}), "definition"),
        (json!({"syntax": "regex", "definition": long}), "definition"),
        (json!({"syntax": "regex"}), "definition"),
        (json!({"definition": "a"}), "syntax"),
        (json!({"syntax": "ebnf", "definition": "a"}), "syntax"),
    ] {
        let mut format = format;
        format["type"] = "grammar".into();
        let body = json!({
            "model": "openai/gpt-4o-mini",
            "input": "Do it.",
            "tools": [{"type": "custom", "name": "run", "format": format}],
        });
        let fal = ScriptedUpstream::with(|_| vec![Step::Read, Step::Close]);
        let refused = setup(&fal).start().call(&post("/v1/responses", &body));
        assert_eq!(
            (refused.status, fal.requests()),
            (400, 0),
            "{}",
            refused.text()
        );
        assert_eq!(refused.error()["param"], format!("tools[0].format.{param}"));
    }
}

/// A limit that fal names when a model is asked again holds for the next request, too.
#[test]
fn a_limit_that_keeps_a_model_from_being_asked_again_is_remembered() {
    let refusal =
        json!({ "detail": [{ "loc": ["body", "prompt"], "msg": "long", "type": "string_too_long",
        "ctx": { "max_length": 1600 } }] })
        .to_string();
    let refusal = format!(
        "HTTP/1.1 422 No\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{refusal}",
        refusal.len()
    );
    let fal = ScriptedUpstream::with(move |number| {
        let answer = match number {
            1 => refusal.clone().into_bytes(),
            _ => whole("I shall not."),
        };
        vec![Step::Read, Step::Write(answer)]
    });
    let gateway = setup(&fal).set("fal.pool_idle", "0").start();
    let mut body = with_a_tool(false);
    body["tool_choice"] = "required".into();
    body["messages"][0]["content"] = "word ".repeat(300).into();
    for calls_by_then in [2, 3] {
        let answer = gateway.call(&post("/v1/chat/completions", &body));
        let verdict = "400 invalid_request_error tool_choice_not_met";
        assert_eq!(answer.verdict(), verdict, "{}", answer.text());
        assert_eq!(fal.requests(), calls_by_then);
    }
}
