//! What holds for every message, whatever its answer is made of: the grammar of the stream, and that
//! its blocks are those of the whole answer.

use proptest::prelude::*;
use serde_json::{Value, json};

use fal_gateway::translate::face::Face;
use fal_gateway::translate::face::answer::{AnswerSink, StreamedAnswer, WholeAnswer};
use fal_gateway::translate::face::messages::Messages;
use fal_gateway::translate::face::objects::UsageChunk;
use fal_gateway::translate::problem::Problem;
use fal_gateway::translate::reading::{Call, Event, Finish, FinishReason, Usage};

use crate::support::{cases, face_settings, head};

/// Something that happens while an answer is made.
#[derive(Clone, Debug)]
enum Said {
    Text(String),
    Reasoning(String),
    Call(&'static str, Value),
    Refusal(&'static str),
    /// Nothing has come for a while.
    Ping,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Finished(FinishReason),
    Failed,
}

const STOPS: [&str; 2] = ["END", "\n\nHuman:"];

fn said() -> impl Strategy<Value = Said> {
    let arguments = prop_oneof![
        Just(json!({})),
        "[a-c\"\\\\\n\u{e9}|']{0,9}".prop_map(|command| json!({ "command": command })),
        // Longer than what goes out in one piece.
        "[a\u{1f388}]{400}".prop_map(|text| json!({"text": text.repeat(3)})),
    ];
    let call = (prop::sample::select(vec!["Bash", "Read"]), arguments);
    prop_oneof![
        4 => "[a-c \u{e9}\u{1f388}\"\n]{0,4}".prop_map(Said::Text),
        3 => "[a-c ]{0,4}".prop_map(Said::Reasoning),
        3 => call.prop_map(|(name, arguments)| Said::Call(name, arguments)),
        1 => Just(Said::Refusal("I cannot.")),
        1 => Just(Said::Ping),
    ]
}

fn end() -> impl Strategy<Value = End> {
    let reasons = [
        FinishReason::Stop,
        FinishReason::StopSequence(1),
        FinishReason::Length,
        FinishReason::ToolCalls,
        FinishReason::ContentFilter,
    ];
    prop_oneof![
        5 => prop::sample::select(reasons.to_vec()).prop_map(End::Finished),
        1 => Just(End::Failed),
    ]
}

fn request() -> String {
    json!({
        "model": "openai/gpt-4o-mini", "max_tokens": 1000, "stop_sequences": STOPS,
        "messages": [{"role": "user", "content": "Hi"}],
    })
    .to_string()
}

/// The bytes of the stream, and the whole answer where it has an end.
fn answer(all: &[Said], end: End) -> (String, Value) {
    let settings = face_settings();
    let request = request();
    let face = || Messages::parse(request.as_bytes(), &settings).unwrap().1;
    let head = head();
    let frames = face().into_frames(&head, UsageChunk::None, None);
    let mut stream = StreamedAnswer::new(frames, 1);
    let mut whole = WholeAnswer::new(1);
    let mut bytes = Vec::new();
    let mut index = 0;
    for said in all {
        let call;
        let event = match said {
            Said::Text(text) => Event::Text(text),
            Said::Reasoning(text) => Event::Reasoning(text),
            Said::Refusal(words) => Event::Refusal(words),
            Said::Call(name, arguments) => {
                call = Call {
                    index,
                    name: (*name).to_owned(),
                    arguments: arguments.to_string(),
                };
                index += 1;
                Event::Call(&call)
            }
            Said::Ping => {
                bytes.extend(stream.ping());
                continue;
            }
        };
        stream.event(0, event);
        whole.event(0, event);
        bytes.extend(stream.take_frames().unwrap_or_default());
    }
    match end {
        End::Finished(reason) => {
            let usage = Usage {
                prompt: 12,
                completion: 7,
                ..Usage::default()
            };
            let finished = Event::Finished(Finish { reason, usage });
            stream.event(0, finished);
            whole.event(0, finished);
        }
        End::Failed => stream.fail(&Problem::bug(true)),
    }
    // Nothing that comes later is heard.
    stream.event(0, Event::Text("late"));
    stream.fail(&Problem::bug(true));
    bytes.extend(stream.take_frames().unwrap_or_default());
    let whole = serde_json::from_slice(&face().to_json(&head, &whole, None)).unwrap();
    (String::from_utf8(bytes).unwrap(), whole)
}

/// What a client makes of a stream: the message of its `message_start`, filled by what follows.
/// Panics where the grammar is broken.
fn heard(stream: &str) -> Heard {
    let mut heard = Heard::default();
    let mut open: Option<(Value, String)> = None;
    for frame in stream.strip_suffix("\n\n").unwrap().split("\n\n") {
        let (name, data) = frame.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let kind = event["type"].as_str().unwrap();
        assert_eq!(name, format!("event: {kind}"));
        assert!(!heard.is_over, "{stream}");
        assert_eq!(
            heard.message.is_null(),
            kind == "message_start" || heard.is_error_first(kind)
        );
        match kind {
            "ping" => {}
            "message_start" => heard.message = event["message"].clone(),
            "content_block_start" => {
                assert!(open.is_none(), "{stream}");
                assert_eq!(event["index"], heard.blocks.len());
                open = Some((event["content_block"].clone(), String::new()));
            }
            "content_block_delta" => {
                assert_eq!(event["index"], heard.blocks.len());
                let (block, json) = open.as_mut().expect("deltas stand in a block");
                add(block, json, &event["delta"]);
            }
            "content_block_stop" => {
                assert_eq!(event["index"], heard.blocks.len());
                let (mut block, json) = open.take().expect("only what is open can be closed");
                if block["type"] == "tool_use" {
                    block["input"] = serde_json::from_str(&json).expect("even no arguments are {}");
                }
                heard.blocks.push(block);
            }
            "message_delta" => {
                assert!(open.is_none() && heard.ending.is_null(), "{stream}");
                heard.ending = event["delta"].clone();
                heard.usage = event["usage"].clone();
            }
            "message_stop" | "error" => {
                assert!(open.is_none(), "{stream}");
                assert_eq!(heard.ending.is_null(), kind == "error");
                heard.is_over = true;
                heard.has_failed = kind == "error";
            }
            other => panic!("{other} is no event of Anthropic's"),
        }
    }
    assert!(heard.is_over, "{stream}");
    heard
}

#[derive(Default)]
struct Heard {
    message: Value,
    blocks: Vec<Value>,
    ending: Value,
    usage: Value,
    is_over: bool,
    has_failed: bool,
}

impl Heard {
    /// A stream may be nothing but an error.
    fn is_error_first(&self, kind: &str) -> bool {
        kind == "error" && self.message.is_null()
    }
}

/// Adds a delta to the block that is open, of whose kind it has to be.
fn add(block: &mut Value, json: &mut String, delta: &Value) {
    let text = |name: &str| delta[name].as_str().unwrap();
    let (kind, member) = match delta["type"].as_str().unwrap() {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("thinking", "signature"),
        "input_json_delta" => {
            assert_eq!(block["type"], "tool_use");
            json.push_str(text("partial_json"));
            return;
        }
        other => panic!("{other} is no delta of Anthropic's"),
    };
    assert_eq!(block["type"], kind);
    assert_eq!(
        block["signature"].as_str().unwrap_or_default(),
        "",
        "a signature comes last"
    );
    let so_far = block[member].as_str().unwrap().to_owned();
    block[member] = json!(so_far + text(member));
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn the_blocks_of_a_stream_are_those_of_the_whole_answer(
        all in prop::collection::vec(said(), 0..8),
        end in end(),
    ) {
        let (stream, whole) = answer(&all, end);
        let heard = heard(&stream);
        prop_assert_eq!(heard.has_failed, matches!(end, End::Failed));
        let kinds: Vec<&Value> = heard.blocks.iter().map(|block| &block["type"]).collect();
        for pair in kinds.windows(2) {
            prop_assert!(pair[0] != pair[1] || pair[0] == "tool_use", "a block for each change: {stream}");
        }
        if heard.has_failed {
            return Ok(());
        }
        prop_assert_eq!(json!(heard.blocks), whole["content"].clone());
        for name in ["stop_reason", "stop_sequence", "stop_details"] {
            prop_assert_eq!(&heard.ending[name], &whole[name], "{}", name);
            prop_assert_eq!(&heard.message[name], &Value::Null);
        }
        prop_assert!(whole["stop_reason"].is_string());
        prop_assert_eq!(&heard.usage, &whole["usage"]);
        prop_assert_eq!(&heard.message["usage"]["input_tokens"], &whole["usage"]["input_tokens"]);
        for name in ["id", "model", "role", "type"] {
            prop_assert_eq!(&heard.message[name], &whole[name]);
        }
        let said: String = all.iter().filter_map(|said| match said {
            Said::Text(text) => Some(text.as_str()),
            Said::Refusal(words) => Some(words),
            _ => None,
        }).collect();
        let texts = heard.blocks.iter().filter_map(|block| block["text"].as_str());
        prop_assert_eq!(texts.collect::<String>(), said);
        let called = all.iter().filter_map(|said| match said {
            Said::Call(name, arguments) => Some(json!([name, arguments])),
            _ => None,
        });
        let uses = heard.blocks.iter().filter(|block| block["type"] == "tool_use");
        let uses = uses.map(|block| json!([block["name"], block["input"]]));
        prop_assert_eq!(uses.collect::<Vec<_>>(), called.collect::<Vec<_>>());
        prop_assert!(!heard.blocks.is_empty(), "clients ask again for an answer without a block");
    }
}
