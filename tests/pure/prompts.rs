//! What the answers of the router's prompt faces amount to: the whole text so far, with the usage at
//! the end, and three signs of that end.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::{Fault, Format, Reader, ReaderLimits};
use fal_gateway::translate::upstream::UpstreamId;

use crate::streams::acts;
use crate::support::{CAPABILITIES, Ending, Face, Heard, LIMITS, byte_by_byte, cases, drive, hear};

/// By what a stream shows that it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// `partial: false`, with the usage or without.
    NotPartial { tells_usage: bool },
    /// The usage, which no event before told; there is no `partial`.
    Usage,
    /// The end of the body, where every event told the usage; there is no `partial`.
    End,
    /// It is not.
    None,
}

const SIGNS: [Sign; 5] = [
    Sign::NotPartial { tells_usage: true },
    Sign::NotPartial { tells_usage: false },
    Sign::Usage,
    Sign::End,
    Sign::None,
];

/// No missing end is forgiven here.
const STRICT: ReaderLimits = ReaderLimits {
    accept_missing_final: false,
    ..LIMITS
};

fn usage() -> Value {
    json!({ "prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21, "cost": 0.0000123 })
}

fn recipe() -> Recipe {
    let body = r#"{"model":"google/gemini-2.5-flash","messages":[{"role":"user","content":"Hi"}],"stop":["END"],"reasoning_effort":"low"}"#;
    let (plan, _) = Face::Chat
        .plan_on(UpstreamId::Router, body.as_bytes(), &CAPABILITIES)
        .unwrap();
    plan.reading
}

/// The stream in which these pieces come, a comment before each empty one.
fn stream_of(pieces: &[&str], thought: &str, sign: Sign, line_end: &str) -> Vec<u8> {
    let has_partial = matches!(sign, Sign::NotPartial { .. });
    let event = |text: &str, tells_usage: bool, is_last: bool| {
        let mut event = json!({ "output": text });
        let fields = event.as_object_mut().unwrap();
        if has_partial {
            fields.insert("partial".to_owned(), Value::Bool(!is_last));
            fields.insert("error".to_owned(), Value::Null);
        }
        if !thought.is_empty() {
            fields.insert("reasoning".to_owned(), thought.into());
        }
        if tells_usage {
            fields.insert("usage".to_owned(), usage());
        }
        format!("data: {event}{line_end}{line_end}")
    };
    let (mut text, mut out) = (String::new(), String::new());
    for piece in pieces {
        if piece.is_empty() {
            out.push_str(&format!(": ping{line_end}{line_end}"));
        }
        text.push_str(piece);
        out.push_str(&event(&text, sign == Sign::End, false));
    }
    match sign {
        Sign::NotPartial { tells_usage } => out.push_str(&event(&text, tells_usage, true)),
        Sign::Usage => out.push_str(&event(&text, true, true)),
        Sign::End | Sign::None => {}
    }
    out.into_bytes()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_prompts_answer_ends_once_by_any_sign_however_it_is_cut(
        pieces in vec(select(vec!["a", "Zo\u{eb} ", "\u{1f388}", "\"q\"\\n", "EN", "D", "\n", ""]), 1..8),
        thought in select(vec!["", "Let me see."]), sign in select(&SIGNS[..]),
        line_end in select(vec!["\n", "\r\n", "\r"]), acts in acts(),
    ) {
        let recipe = recipe();
        let bytes = stream_of(&pieces, thought, sign, line_end);
        let at_once = hear(&recipe, STRICT, &bytes, &[]);
        prop_assert_eq!(&hear(&recipe, STRICT, &bytes, &acts), &at_once);
        prop_assert_eq!(&hear(&recipe, STRICT, &bytes, &byte_by_byte(bytes.len())), &at_once);
        let text = pieces.concat();
        let stopped = text.split("END").next().unwrap_or_default();
        prop_assert_eq!(at_once.endings.len(), 1);
        let is_complete = matches!(at_once.endings.first(), Some(Ending::Finished(_)));
        // What could have become a part of more is not delivered before a failure.
        prop_assert!(stopped.starts_with(&at_once.text));
        prop_assert!(!is_complete || at_once.text == stopped, "{:?}", at_once.text);
        // A stop sequence is an end of its own. One event alone may be all there is of an answer.
        let was_stopped = stopped.len() < text.len();
        prop_assert_eq!(is_complete, sign != Sign::None || was_stopped, "{:?}", at_once.endings);
    }

    #[test]
    fn a_whole_answer_to_a_prompt_is_its_stream_joined(
        pieces in vec(select(vec!["a", "Zo\u{eb} ", "EN", "D", "\n"]), 1..8),
        thought in select(vec!["", "Let me see."]), has_partial in any::<bool>(),
    ) {
        let recipe = recipe();
        let sign = match has_partial {
            true => Sign::NotPartial { tells_usage: true },
            false => Sign::Usage,
        };
        let stream = hear(&recipe, STRICT, &stream_of(&pieces, thought, sign, "\n"), &[]);
        let mut body = json!({ "output": pieces.concat(), "usage": usage() });
        if has_partial {
            body["partial"] = Value::Bool(false);
        }
        if !thought.is_empty() {
            body["reasoning"] = thought.into();
        }
        let mut whole = Heard::default();
        let reader = Reader::new(&recipe, Format::Object, STRICT);
        drive(reader, body.to_string().as_bytes(), &[], &mut whole);
        prop_assert_eq!(&stream.text, &whole.text);
        prop_assert_eq!(&stream.reasoning, &whole.reasoning);
        prop_assert!(matches!(whole.endings.as_slice(), [Ending::Finished(_)]));
        prop_assert!(matches!(stream.endings.as_slice(), [Ending::Finished(_)]));
    }
}

#[test]
fn a_prompts_answer_that_is_cut_is_no_success() {
    let bytes = stream_of(&["A", " cat"], "", Sign::None, "\n");
    let heard = hear(&recipe(), STRICT, &bytes, &[]);
    assert_eq!(heard.endings, [Ending::Failed(Fault::Disconnected)]);
}
