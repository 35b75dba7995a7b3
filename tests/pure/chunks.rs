//! What the chunks of a native answer amount to, and what is none.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use fal_gateway::translate::reading::chunks::{Chunks, NativeCall};
use fal_gateway::translate::reading::decoder::{Additions, Step};
use fal_gateway::translate::reading::reported::Tokens;
use fal_gateway::translate::reading::{Fault, FinishReason, Format, Reader, ReaderLimits};
use fal_gateway::translate::upstream::UpstreamId;

use crate::streams::acts;
use crate::support::{CAPABILITIES, Ending, Face, Heard, LIMITS, byte_by_byte, cases, drive, hear};

const ROOM: usize = 1 << 20;

fn chunk(delta: &str) -> String {
    format!(
        "{{\"id\":\"gen-1\",\"provider\":\"P\",\"model\":\"x/y\",\"object\":\"chat.completion.chunk\",\"created\":7,\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}],\"user_id\":\"u\"}}"
    )
}

fn finish(reason: &str) -> String {
    format!(
        "{{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"{reason}\"}}]}}"
    )
}

/// Limits with so much room for a whole answer.
fn room(bytes: usize) -> ReaderLimits {
    ReaderLimits {
        max_object: bytes,
        accept_missing_final: false,
        ..LIMITS
    }
}

/// What a decoder makes of these events.
fn decode(events: &[String]) -> (Chunks, Additions, Result<Step, Fault>) {
    let mut chunks = Chunks::new(room(ROOM), None);
    let mut new = Additions::default();
    let mut last = Ok(Step::Partial);
    for event in events {
        last = chunks.advance(event.as_bytes(), Step::Partial, &mut new);
        if last.is_err() {
            break;
        }
    }
    (chunks, new, last)
}

fn calls(events: &[String]) -> Vec<(String, String)> {
    let (mut chunks, ..) = decode(events);
    let calls = chunks.take_calls().into_iter();
    calls
        .map(
            |NativeCall {
                 name, arguments, ..
             }| (name, arguments),
        )
        .collect()
}

#[test]
fn texts_and_thoughts_are_joined_whichever_way_they_are_read() {
    let events = [
        chunk(r#"{"role":"assistant","content":""}"#),
        chunk(r#"{"reasoning":"Let me "}"#),
        chunk(r#"{"reasoning":"see.\n"}"#),
        chunk(r#"{"content":"Zo"}"#),
        chunk(r#"{"content":"\u00eb \"q\" \ud83c\udf88"}"#),
        chunk(r#"{"content":"ë"}"#),
        chunk(r#"{"content":""}"#),
        chunk(r#"{"content":null}"#),
        chunk(r#"{"content":[{"type":"text","text":"!"},{"type":"image_url"}]}"#),
        chunk(r#"{"content":"."}"#),
        finish("stop"),
        r#"{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":227,"cost":0.0005795,"completion_tokens_details":{"reasoning_tokens":3},"prompt_tokens_details":{"cached_tokens":5}}}"#
            .to_owned(),
        "[DONE]".to_owned(),
    ];
    let (chunks, new, last) = decode(&events);
    assert_eq!(last, Ok(Step::Final));
    assert_eq!(new.text, "Zoë \"q\" 🎈ë!.");
    assert_eq!(new.reasoning, "Let me see.\n");
    assert_eq!(chunks.finish_reason(), Some(FinishReason::Stop));
    let tokens = Tokens {
        prompt: 40,
        completion: 227,
        reasoning: 3,
        cached: 5,
    };
    let reported = chunks.reported().unwrap();
    assert_eq!(reported.tokens, Some(tokens));
    assert_eq!(reported.cost.unwrap().to_string(), "0.0005795 usd");
}

#[test]
fn a_whole_answer_is_read_as_a_stream_of_one() {
    let whole = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning":"Hm"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let mut chunks = Chunks::new(room(ROOM), None);
    let mut new = Additions::default();
    let step = chunks.advance(whole.as_bytes(), Step::Final, &mut new);
    assert_eq!((step, new.text.as_str()), (Ok(Step::Final), "Hi"));
    assert_eq!(new.reasoning, "Hm");
    assert_eq!(chunks.finish_reason(), Some(FinishReason::Length));
    assert_eq!(chunks.reported().unwrap().tokens.unwrap().completion, 2);
}

#[test]
fn calls_are_put_together_by_index_or_by_id() {
    let both = [
        ("a".to_owned(), "{\"x\":1}".to_owned()),
        ("b".to_owned(), "{}".to_owned()),
    ];
    let cases: [&[&str]; 6] = [
        &[
            r#"{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"a","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"c1","function":{"name":"b","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#,
        ],
        // Both in one chunk.
        &[
            r#"{"tool_calls":[{"index":0,"id":"c0","function":{"name":"a","arguments":"{\"x\":1}"}},{"index":1,"id":"c1","function":{"name":"b","arguments":"{}"}}]}"#,
        ],
        // Without indices, or with the same one for all.
        &[
            r#"{"tool_calls":[{"id":"c0","function":{"name":"a","arguments":"{\"x\":"}}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":"1}"}}]}"#,
            r#"{"tool_calls":[{"id":"c1","function":{"name":"b","arguments":"{}"}}]}"#,
        ],
        &[
            r#"{"tool_calls":[{"index":0,"id":"c0","function":{"name":"a","arguments":"{\"x\":1}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"c1","function":{"name":"b","arguments":"{}"}}]}"#,
        ],
        // With nothing but their names to tell them apart.
        &[
            r#"{"tool_calls":[{"function":{"name":"a","arguments":"{\"x\":1}"}},{"function":{"name":"b","arguments":"{}"}}]}"#,
        ],
        // The name in every piece, and arguments that are no string.
        &[
            r#"{"tool_calls":[{"index":0,"id":"c0","function":{"name":"a","arguments":"{\"x\":"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"c0","function":{"name":"a","arguments":"1}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"c1","function":{"name":"b","arguments":{}}}]}"#,
        ],
    ];
    for deltas in cases {
        let events: Vec<String> = deltas.iter().map(|delta| chunk(delta)).collect();
        assert_eq!(calls(&events), both, "{deltas:?}");
    }
}

#[test]
fn an_error_is_told_from_what_is_no_answer() {
    let begun = chunk(r#"{"content":"x"}"#);
    let mut cases = Vec::new();
    for error in [r#"{"code":429,"message":"slow"}"#, r#"{"code":"429"}"#] {
        let event = format!("{{\"error\":{error},\"user_id\":\"u\"}}");
        cases.push((vec![event.clone()], Fault::Busy));
        // Who has begun to answer has worked.
        cases.push((vec![begun.clone(), event], Fault::Model));
    }
    let one = |event: &str, fault| (vec![event.to_owned()], fault);
    cases.extend([
        one(
            r#"{"error":{"code":502,"message":"Provider returned error"}}"#,
            Fault::Model,
        ),
        one(r#"{"error":"overloaded"}"#, Fault::Model),
        one(
            r#"{"error":{"code":400,"message":"maximum context length is 5"}}"#,
            Fault::ContextLength,
        ),
        one(
            r#"{"choices":[{"index":0,"error":{"code":502},"delta":{}}]}"#,
            Fault::Model,
        ),
        one(
            r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            Fault::Model,
        ),
        one(r#"{"detail":"Downstream service error"}"#, Fault::Model),
        one("{}", Fault::Unusable("no choices")),
        one(
            "{\"choices\": half a tho",
            Fault::Unusable("event is not a chunk"),
        ),
        one("[]", Fault::Unusable("event is not a chunk")),
        one(
            r#"{"choices":[{"delta":{"content":7}}]}"#,
            Fault::Unusable("content is neither a text nor a list"),
        ),
        one("[DONE]", Fault::Disconnected),
    ]);
    for (events, fault) in cases {
        assert_eq!(decode(&events).2, Err(fault), "{events:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_none_in_the_middle_of_an_answer_either() {
    let mut chunks = Chunks::new(room(ROOM), None);
    let mut new = Additions::default();
    for text in ["one", "two"] {
        let event = chunk(&format!("{{\"content\":\"{text}\"}}"));
        chunks
            .advance(event.as_bytes(), Step::Partial, &mut new)
            .unwrap();
    }
    for bad in [&b"\xff"[..], b"\n", b"\\x", b"\\ud800"] {
        let event = chunk("{\"content\":\"~\"}").into_bytes();
        let at = event.iter().position(|byte| *byte == b'~').unwrap();
        let event = [&event[..at], bad, &event[at + 1..]].concat();
        let outcome = chunks.advance(&event, Step::Partial, &mut new);
        assert!(
            matches!(outcome, Err(Fault::Unusable(_))),
            "{bad:?}: {outcome:?}"
        );
    }
    assert_eq!(new.text, "onetwo");
}

#[test]
fn figures_that_cannot_be_true_are_not_believed() {
    let told = |usage: &str| {
        let event = format!("{{\"choices\":[],\"usage\":{usage}}}");
        decode(&[event]).0.reported()
    };
    for wrong in [
        "7",
        "{}",
        r#"{"prompt_tokens":-1,"completion_tokens":1}"#,
        r#"{"prompt_tokens":1e300,"completion_tokens":1}"#,
        r#"{"prompt_tokens":99999999999999,"completion_tokens":1}"#,
        r#"{"prompt_tokens":"1","completion_tokens":1}"#,
    ] {
        let tokens = told(wrong).and_then(|told| told.tokens);
        assert_eq!(tokens, None, "{wrong}");
    }
    for cost in ["-1", "1e9", "null"] {
        let usage = told(&format!(
            "{{\"prompt_tokens\":1,\"completion_tokens\":2,\"cost\":{cost}}}"
        ));
        let usage = usage.unwrap();
        assert_eq!(usage.tokens.unwrap().completion, 2);
        assert_eq!(usage.cost, None, "{cost}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let piece = "x".repeat(1000);
    let endless = [
        chunk(&format!("{{\"content\":\"{piece}\"}}")),
        chunk(&format!("{{\"reasoning\":\"{piece}\"}}")),
        chunk(&format!(
            "{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":\"{piece}\"}}}}]}}"
        )),
        chunk(&format!(
            "{{\"reasoning_details\":[{{\"type\":\"reasoning.encrypted\",\"data\":\"{piece}\"}}]}}"
        )),
    ];
    for event in endless {
        let mut chunks = Chunks::new(room(100_000), None);
        let mut new = Additions::default();
        let mut taken = 0;
        let fault = loop {
            match chunks.advance(event.as_bytes(), Step::Partial, &mut new) {
                Ok(_) => taken += 1,
                Err(fault) => break fault,
            }
            assert!(taken <= 100, "{event}");
        };
        assert_eq!(fault, Fault::Unusable("answer too large"));
    }
    let many: Vec<String> = (0..200)
        .map(|index| {
            chunk(&format!(
                "{{\"tool_calls\":[{{\"index\":{index},\"function\":{{\"name\":\"a\"}}}}]}}"
            ))
        })
        .collect();
    assert_eq!(decode(&many).2, Err(Fault::Unusable("too many calls")));
    let named =
        format!("{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"name\":\"{piece}\"}}}}]}}");
    assert_eq!(
        decode(&[chunk(&named)]).2,
        Err(Fault::Unusable("name of a call too long"))
    );
}

#[test]
fn blocks_of_reasoning_are_whole_again() {
    let events = [
        chunk(
            r#"{"content":"","reasoning":"Let me","reasoning_details":[{"type":"reasoning.text","text":"Let me","format":"f","index":0}]}"#,
        ),
        chunk(
            r#"{"content":"","reasoning":" see.","reasoning_details":[{"type":"reasoning.text","text":" see.","format":"f","index":0}]}"#,
        ),
        chunk(
            r#"{"content":"","reasoning_details":[{"type":"reasoning.text","signature":"s1","format":"f","index":0,"planted":"no"}]}"#,
        ),
        chunk(
            r#"{"content":"","reasoning_details":[{"type":"reasoning.encrypted","data":"AA==","id":"r1","format":"g","index":1}]}"#,
        ),
        chunk(
            r#"{"content":"","reasoning_details":[{"type":"reasoning.summary","summary":"Short.","index":2}]}"#,
        ),
        chunk(r#"{"content":"","reasoning_details":"nonsense"}"#),
    ];
    let (mut chunks, new, last) = decode(&events);
    assert_eq!(last, Ok(Step::Partial));
    assert_eq!(new.reasoning, "Let me see.Short.");
    let expected = concat!(
        r#"[{"type":"reasoning.text","format":"f","index":0,"text":"Let me see.","signature":"s1"},"#,
        r#"{"type":"reasoning.encrypted","id":"r1","format":"g","index":1,"data":"AA=="},"#,
        r#"{"type":"reasoning.summary","index":2,"summary":"Short."}]"#,
    );
    assert_eq!(chunks.take_details().as_deref(), Some(expected));
    assert_eq!(chunks.take_details(), None);
}

/// What an answer says, in order.
#[derive(Clone, Debug)]
enum Part {
    Text(&'static str),
    Thought(&'static str),
    Call(&'static str, &'static str),
    Comment,
}

fn part() -> impl Strategy<Value = Part> {
    let text = select(vec![
        "a",
        "Zo\u{eb} ",
        "\u{1f388}",
        "\"q\"\\n",
        "EN",
        "END",
        "<think>",
        "{\"a\":",
        "\"b\"}",
        "\n",
        "",
    ]);
    let arguments = select(vec![
        "{}",
        "{\"city\":\"Oslo\"}",
        "{'city':'x'}",
        "{\"town\":1}",
        "{\"city\":\"O",
        "",
    ]);
    prop_oneof![
        4 => text.clone().prop_map(Part::Text),
        1 => text.prop_map(Part::Thought),
        2 => (select(vec!["get_weather", "now", "Now", "none"]), arguments)
            .prop_map(|(name, arguments)| Part::Call(name, arguments)),
        1 => Just(Part::Comment),
    ]
}

/// The stream in which these parts come, each call in pieces.
fn stream_of(parts: &[Part], reason: &str, line_end: &str) -> Vec<u8> {
    let mut events = vec![chunk(r#"{"role":"assistant","content":""}"#)];
    let mut calls = 0;
    for part in parts {
        match part {
            Part::Text(text) => events.push(chunk(&json!({ "content": text }).to_string())),
            Part::Thought(text) => events.push(chunk(&json!({ "reasoning": text }).to_string())),
            Part::Call(name, arguments) => {
                let at = arguments.len() / 2;
                for (name, arguments) in [
                    (Some(name), ""),
                    (None, &arguments[..at]),
                    (None, &arguments[at..]),
                ] {
                    let piece = json!({ "index": calls, "function": { "name": name, "arguments": arguments } });
                    events.push(chunk(&json!({ "tool_calls": [piece] }).to_string()));
                }
                calls += 1;
            }
            Part::Comment => events.push(String::new()),
        }
    }
    events.extend([finish(reason), "[DONE]".to_owned()]);
    let framed = events.iter().map(|event| match event.as_str() {
        "" => format!(": OPENROUTER PROCESSING{line_end}{line_end}"),
        data => format!("data: {data}{line_end}{line_end}"),
    });
    framed.collect::<String>().into_bytes()
}

/// The same as one object.
fn object_of(parts: &[Part], reason: &str) -> Vec<u8> {
    let (mut content, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(text) => content.push_str(text),
            Part::Thought(text) => reasoning.push_str(text),
            Part::Call(name, arguments) => {
                calls.push(json!({ "function": { "name": name, "arguments": arguments } }));
            }
            Part::Comment => {}
        }
    }
    let message = json!({ "content": content, "reasoning": reasoning, "tool_calls": calls });
    let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
    json!({ "choices": [choice] }).to_string().into_bytes()
}

fn request(kind: usize, is_stream: bool) -> Value {
    let schema = |strict: bool| {
        json!({
            "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"],
            "additionalProperties": !strict,
        })
    };
    let weather = |strict: bool| {
        json!({
            "type": "function",
            "function": { "name": "get_weather", "parameters": schema(strict), "strict": strict },
        })
    };
    let now = json!({ "type": "function", "function": { "name": "now" } });
    let mut request = json!({
        "model": "x/y", "messages": [{ "role": "user", "content": "Hi" }], "stream": is_stream,
        "reasoning_effort": "low", "stop": ["END"],
    });
    let more = match kind {
        0 => json!({}),
        1 => json!({ "tools": [weather(false), now] }),
        2 => json!({ "tools": [weather(true), now], "parallel_tool_calls": false }),
        3 => json!({ "tools": [weather(true), now], "tool_choice": "required" }),
        _ => json!({ "response_format": { "type": "json_schema", "json_schema": {
            "name": "a", "schema": schema(true), "strict": kind == 5,
        } } }),
    };
    let more = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(more);
    request
}

/// What is heard of a stream and of the whole answer.
fn heard_of(kind: usize, parts: &[Part], reason: &str) -> (Heard, Heard) {
    let body = request(kind, true).to_string();
    let (plan, _) = Face::Chat
        .plan_on(UpstreamId::RouterOpenai, body.as_bytes(), &CAPABILITIES)
        .unwrap();
    let stream = hear(&plan.reading, LIMITS, &stream_of(parts, reason, "\n"), &[]);
    let mut whole = Heard::default();
    let reader = Reader::new(&plan.reading, Format::Object, LIMITS);
    drive(reader, &object_of(parts, reason), &[], &mut whole);
    (stream, whole)
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_native_answer_is_heard_the_same_however_it_is_cut_and_keeps_its_promises(
        parts in vec(part(), 0..8), kind in 0..6usize, acts in acts(),
        reason in select(vec!["stop", "length", "tool_calls", "content_filter", "error"]),
        line_end in select(vec!["\n", "\r\n", "\r"]),
    ) {
        let body = request(kind, true).to_string();
        let (plan, _) = Face::Chat
            .plan_on(UpstreamId::RouterOpenai, body.as_bytes(), &CAPABILITIES)
            .unwrap();
        let bytes = stream_of(&parts, reason, line_end);
        let at_once = hear(&plan.reading, LIMITS, &bytes, &[]);
        prop_assert_eq!(at_once.endings.len(), 1);
        prop_assert_eq!(&hear(&plan.reading, LIMITS, &bytes, &acts), &at_once);
        prop_assert_eq!(&hear(&plan.reading, LIMITS, &bytes, &byte_by_byte(bytes.len())), &at_once);
        prop_assert!(!at_once.text.contains("END") || kind == 3, "{}", at_once.text);
        for call in &at_once.calls {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
            prop_assert!(arguments.is_object());
            let fits = call.name != "get_weather" || arguments.get("city").is_some_and(Value::is_string);
            prop_assert!(fits || kind == 1, "{:?}", call);
        }
        prop_assert!(kind != 2 || at_once.calls.len() <= 1);
        if let [Ending::Finished(finish)] = at_once.endings.as_slice() {
            let is_call = finish.reason == FinishReason::ToolCalls;
            prop_assert_eq!(is_call, !at_once.calls.is_empty());
            let is_cut = matches!(finish.reason, FinishReason::Length | FinishReason::ContentFilter);
            prop_assert!(kind != 3 || is_call || is_cut);
        }
    }

    #[test]
    fn a_whole_native_answer_is_its_stream_joined(
        parts in vec(part(), 0..8), kind in 0..6usize,
        reason in select(vec!["stop", "length", "tool_calls"]),
    ) {
        // Of reasoning in both places, the one that speaks first counts.
        let speaks_twice = |part: &Part| matches!(part, Part::Thought(_) | Part::Text("<think>"));
        let parts: Vec<Part> = parts.into_iter().filter(|part| !speaks_twice(part)).collect();
        let (stream, whole) = heard_of(kind, &parts, reason);
        prop_assert_eq!(&stream.text, &whole.text);
        prop_assert_eq!(&stream.calls, &whole.calls);
        let ends_alike = match (stream.endings.as_slice(), whole.endings.as_slice()) {
            ([Ending::Finished(one)], [Ending::Finished(other)]) => one.reason == other.reason,
            (one, other) => one == other,
        };
        prop_assert!(ends_alike, "{:?} and {:?}", stream.endings, whole.endings);
    }
}
