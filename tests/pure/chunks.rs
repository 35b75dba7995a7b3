//! What the chunks of a native answer amount to, and what is none.

use fal_gateway::translate::reading::chunks::{Chunks, NativeCall, Reported};
use fal_gateway::translate::reading::decoder::{Additions, Step};
use fal_gateway::translate::reading::{Fault, FinishReason};

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

/// What a decoder makes of these events.
fn decode(events: &[String]) -> (Chunks, Additions, Result<Step, Fault>) {
    let mut chunks = Chunks::new(ROOM);
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
    let reported = Reported {
        prompt: 40,
        completion: 227,
        reasoning: 3,
        cached: 5,
        cost: Some(0.000_579_5),
    };
    assert_eq!(chunks.reported(), Some(reported));
}

#[test]
fn a_whole_answer_is_read_as_a_stream_of_one() {
    let whole = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning":"Hm"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let mut chunks = Chunks::new(ROOM);
    let mut new = Additions::default();
    let step = chunks.advance(whole.as_bytes(), Step::Final, &mut new);
    assert_eq!((step, new.text.as_str()), (Ok(Step::Final), "Hi"));
    assert_eq!(new.reasoning, "Hm");
    assert_eq!(chunks.finish_reason(), Some(FinishReason::Length));
    assert_eq!(chunks.reported().map(|usage| usage.completion), Some(2));
}

#[test]
fn calls_are_put_together_by_index_or_by_id() {
    let both = [
        ("a".to_owned(), "{\"x\":1}".to_owned()),
        ("b".to_owned(), "{}".to_owned()),
    ];
    let cases: [&[&str]; 5] = [
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
    let mut chunks = Chunks::new(ROOM);
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
        assert_eq!(told(wrong), None, "{wrong}");
    }
    for cost in ["-1", "1e9", "null"] {
        let usage = told(&format!(
            "{{\"prompt_tokens\":1,\"completion_tokens\":2,\"cost\":{cost}}}"
        ));
        assert_eq!(
            usage.map(|usage| (usage.completion, usage.cost)),
            Some((2, None)),
            "{cost}"
        );
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
        let mut chunks = Chunks::new(100_000);
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
