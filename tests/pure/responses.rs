//! What holds for every response, whatever its answer is made of.

use proptest::prelude::*;
use serde_json::{Value, json};

use fal_gateway::translate::face::Face;
use fal_gateway::translate::face::answer::{AnswerSink, StreamedAnswer, WholeAnswer};
use fal_gateway::translate::face::objects::UsageChunk;
use fal_gateway::translate::face::responses::Responses;
use fal_gateway::translate::reading::{Call, Event, Finish, FinishReason, Usage};

use crate::support::{cases, face_settings, head};

/// Something that a model says.
#[derive(Clone, Debug)]
enum Segment {
    Text(String),
    Reasoning(String),
    Call(&'static str, String),
}

fn said() -> impl Strategy<Value = Segment> {
    let call = (
        prop::sample::select(vec!["look", "files__read", "patch"]),
        "[a-z\"\\n]{0,6}",
    );
    prop_oneof![
        "[a-c \u{e9}]{0,4}".prop_map(Segment::Text),
        "[a-c ]{0,4}".prop_map(Segment::Reasoning),
        call.prop_map(|(name, text)| Segment::Call(name, text)),
    ]
}

fn request() -> String {
    let look = json!({"type": "function", "name": "look", "parameters": {"type": "object"}});
    let patch = json!({"type": "custom", "name": "patch"});
    let read = json!({"type": "function", "name": "read", "parameters": {"type": "object"}});
    let files = json!({"type": "namespace", "name": "files", "tools": [read]});
    json!({"input": "Hi", "tools": [look, files, patch]}).to_string()
}

/// The same answer, streamed and whole.
fn answer(all: &[Segment], reason: FinishReason) -> (Vec<Value>, Value) {
    let settings = face_settings();
    let request = request();
    let face = || Responses::parse(request.as_bytes(), &settings).unwrap().1;
    let head = head();
    let frames = face().into_frames(&head, UsageChunk::None, None);
    let mut stream = StreamedAnswer::new(frames, 1);
    let mut whole = WholeAnswer::new(1);
    let mut tell = |event: Event<'_>| {
        stream.event(0, event);
        whole.event(0, event);
    };
    let mut index = 0;
    for said in all {
        match said {
            Segment::Text(text) => tell(Event::Text(text)),
            Segment::Reasoning(text) => tell(Event::Reasoning(text)),
            Segment::Call(name, text) => {
                let call = Call {
                    index,
                    name: (*name).to_owned(),
                    arguments: json!({ "input": text }).to_string(),
                };
                index += 1;
                tell(Event::Call(&call));
            }
        }
    }
    let usage = Usage::default();
    tell(Event::Finished(Finish { reason, usage }));
    let frames = stream.take_frames().unwrap();
    let text = std::str::from_utf8(&frames).unwrap();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    let events = events.map(|event| serde_json::from_str(&format!("{{{event}")).unwrap());
    let whole = face().to_json(&head, &whole, None);
    (events.collect(), serde_json::from_slice(&whole).unwrap())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn the_items_of_a_stream_are_its_output_and_the_whole_answers(
        all in prop::collection::vec(said(), 0..8),
        breaks_off in any::<bool>(),
    ) {
        let reason = match breaks_off {
            true => FinishReason::Length,
            false => FinishReason::Stop,
        };
        let (events, whole) = answer(&all, reason);
        let last = events.last().unwrap();
        prop_assert_eq!(&last["response"], &whole);
        let kind = if breaks_off { "incomplete" } else { "completed" };
        prop_assert_eq!(&last["type"], &json!(format!("response.{kind}")));
        for (number, event) in events.iter().enumerate() {
            prop_assert_eq!(&event["sequence_number"], &json!(number));
        }
        let of = |kind: &'static str| events.iter().filter(move |event| event["type"] == kind);
        let done: Vec<&Value> = of("response.output_item.done").map(|event| &event["item"]).collect();
        prop_assert_eq!(json!(done), whole["output"].clone());
        for (index, (added, done)) in of("response.output_item.added").zip(&done).enumerate() {
            prop_assert_eq!(&added["output_index"], &json!(index));
            prop_assert_eq!(&added["item"]["id"], &done["id"]);
            prop_assert_eq!(&added["item"]["call_id"], &done["call_id"]);
        }
        let heard: String = of("response.output_text.delta").filter_map(|event| event["delta"].as_str()).collect();
        let texts = all.iter().filter_map(|said| match said {
            Segment::Text(text) => Some(text.as_str()),
            _ => None,
        });
        prop_assert_eq!(heard, texts.collect::<String>());
    }
}

#[test]
fn calls_come_back_as_they_were_offered() {
    let calls = ["look", "files__read", "patch"].map(|name| Segment::Call(name, "a\"b".to_owned()));
    let (events, whole) = answer(&calls, FinishReason::ToolCalls);
    let arguments = json!({"input": "a\"b"}).to_string();
    let expected = [
        json!({"type": "function_call", "name": "look", "arguments": arguments}),
        json!({"type": "function_call", "name": "read", "namespace": "files", "arguments": arguments}),
        json!({"type": "custom_tool_call", "name": "patch", "input": "a\"b"}),
    ];
    for (item, expected) in whole["output"].as_array().unwrap().iter().zip(&expected) {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&item[name.as_str()], value);
        }
        assert_eq!(item["namespace"].is_null(), expected["namespace"].is_null());
        assert_eq!(item["status"], "completed");
    }
    let names = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!(names("response.function_call_arguments.done"), 2);
    assert_eq!(names("response.custom_tool_call_input.done"), 1);
}
