//! The same of requests for a message, and of the events of its answer.

use fal_gateway::translate::face::FaceSettings;
use fal_gateway::translate::face::answer::{AnswerSink, StreamedAnswer, WholeAnswer};
use fal_gateway::translate::face::messages::parse;
use fal_gateway::translate::face::messages::write::{MessageEvents, to_json};
use fal_gateway::translate::reading::{Call, Event, Finish, FinishReason, Usage};
use serde_json::{Value, json};

use super::{KIB, LIMITS, Shape, grows_in_proportion, serve_as, times};
use crate::support::{self, head};

fn settings() -> FaceSettings {
    FaceSettings {
        messages: LIMITS,
        ..support::face_settings()
    }
}

fn request(fields: &Value) -> String {
    let mut body =
        json!({"model": "claude-opus-4-8", "max_tokens": 9, "messages": [user(&json!("Hi"))]});
    let fields = fields.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body.to_string()
}

fn user(content: &Value) -> Value {
    json!({"role": "user", "content": content})
}

/// A user message of blocks like this one, as many as fit.
fn blocks(bytes: usize, block: &Value) -> String {
    let blocks = times(bytes, block.to_string().len(), |_| block.clone());
    request(&json!({"messages": [user(&json!(blocks))]}))
}

const SHAPES: [Shape; 15] = [
    ("blocks of text", |bytes| {
        blocks(bytes, &json!({"type": "text", "text": "a"}))
    }),
    ("blocks of system text", |bytes| {
        let blocks = times(bytes, 30, |_| json!({"type": "text", "text": "a"}));
        request(&json!({ "system": blocks }))
    }),
    ("system messages before a reply", |bytes| {
        let mut messages = times(bytes, 34, |_| json!({"role": "system", "content": "a"}));
        messages.push(user(&json!("Hi")));
        request(&json!({ "messages": messages }))
    }),
    ("short messages", |bytes| {
        let role = |at: usize| ["user", "assistant"][at % 2];
        let messages = times(bytes, 34, |at| json!({"role": role(at), "content": "a"}));
        request(&json!({ "messages": messages }))
    }),
    ("thoughts", |bytes| {
        let thought = json!({"type": "thinking", "thinking": "a", "signature": "b"});
        let thoughts = times(bytes, 60, |_| thought.clone());
        request(
            &json!({"messages": [user(&json!("Hi")), {"role": "assistant", "content": thoughts}, user(&json!("Go on."))]}),
        )
    }),
    ("calls and results in disorder", |bytes| {
        let call = |at: usize| json!({"type": "tool_use", "id": format!("t{at}"), "name": "f", "input": {"a": at}});
        let calls = times(bytes, 160, call);
        let mut results = times(
            bytes,
            160,
            |at| json!({"type": "tool_result", "tool_use_id": format!("t{at}"), "content": "b"}),
        );
        results.reverse();
        request(
            &json!({"messages": [user(&json!("Hi")), {"role": "assistant", "content": calls}, user(&json!(results))]}),
        )
    }),
    ("results of calls that nobody has made", |bytes| {
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "b"}]});
        blocks(bytes, &result)
    }),
    ("documents", |bytes| {
        let source = json!({"type": "text", "media_type": "text/plain", "data": "a"});
        blocks(
            bytes,
            &json!({"type": "document", "title": "a.txt", "source": source}),
        )
    }),
    ("documents that cannot be read", |bytes| {
        let source = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="});
        let mut all = times(
            bytes,
            110,
            |_| json!({"type": "document", "source": source}),
        );
        all.push(json!({"type": "tool_result", "tool_use_id": "t"}));
        request(&json!({"messages": [user(&json!(all))]}))
    }),
    ("results of a search", |bytes| {
        let found = times(bytes, 40, |_| json!({"type": "text", "text": "a"}));
        let found = json!({"type": "search_result", "source": "s", "title": "t", "content": found});
        request(&json!({"messages": [user(&json!([found]))]}))
    }),
    ("what a server's tool has found", |bytes| {
        let found = times(
            bytes,
            40,
            |_| json!({"title": "a", "url": "b", "encrypted_content": "c"}),
        );
        let found = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": found});
        request(
            &json!({"messages": [user(&json!("Hi")), {"role": "assistant", "content": [found]}, user(&json!("Go on."))]}),
        )
    }),
    ("images", |bytes| {
        let source = json!({"type": "url", "url": "https://a.example/1.png"});
        blocks(bytes, &json!({"type": "image", "source": source}))
    }),
    ("tools that wait, and references to them", |bytes| {
        let tool = |at: usize| json!({"name": format!("t{at}"), "input_schema": {"type": "object"}, "defer_loading": true});
        let tools: Vec<Value> = (0..256).map(tool).collect();
        let named = times(
            bytes,
            50,
            |at| json!({"type": "tool_reference", "tool_name": format!("t{}", at % 512)}),
        );
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": named});
        request(&json!({"tools": tools, "messages": [user(&json!([result]))]}))
    }),
    ("members that nobody knows", |bytes| {
        let block = |at: usize| json!({"type": "text", "text": "a", format!("m{at}"): 1});
        request(&json!({"messages": [user(&json!(times(bytes, 40, block)))]}))
    }),
    ("edits of the context", |bytes| {
        let edits = times(bytes, 34, |_| json!({"type": "clear_thinking_20251015"}));
        request(&json!({"context_management": {"edits": edits}}))
    }),
];

#[test]
fn planning_a_message_takes_time_in_proportion_to_its_request() {
    let settings = settings();
    for (what, body) in SHAPES {
        grows_in_proportion(what, |bytes| {
            let body = body(bytes);
            assert!(parse::parse(body.as_bytes(), &settings).is_ok(), "{what}");
            serve_as(|| parse::parse(body.as_bytes(), &settings));
        });
    }
}

#[test]
fn writing_a_message_takes_time_in_proportion_to_its_answer() {
    let call = Call {
        index: 0,
        name: "f".to_owned(),
        arguments: json!({"a": "b".repeat(KIB)}).to_string(),
    };
    let kinds: [(&str, usize, [Event<'_>; 2]); 3] = [
        ("short texts", 2, [Event::Text("a"), Event::Text("b")]),
        (
            "texts and thoughts",
            2,
            [Event::Text("a"), Event::Reasoning("b")],
        ),
        (
            "long calls",
            2 * KIB,
            [Event::Call(&call), Event::Call(&call)],
        ),
    ];
    for (what, each, pair) in kinds {
        grows_in_proportion(what, |bytes| {
            let mut stream = StreamedAnswer::new(MessageEvents::new(&head(), Vec::new(), None), 1);
            let mut whole = WholeAnswer::new(1);
            for event in times(bytes, each, |_| pair).into_iter().flatten() {
                stream.event(0, event);
                whole.event(0, event);
            }
            let end = Event::Finished(Finish {
                reason: FinishReason::Stop,
                usage: Usage::default(),
            });
            stream.event(0, end);
            whole.event(0, end);
            assert!(stream.take_frames().is_some());
            assert!(!to_json(&head(), &whole, &[], None).is_empty());
        });
    }
}
