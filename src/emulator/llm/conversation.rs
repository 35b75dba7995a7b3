//! Reads, as an independent reader, the record of a conversation that a caller may put before the
//! last message of a prompt:
//!
//! ```text
//! <conversation-K>
//! <turn-K role="user">…</turn-K>
//! <turn-K role="assistant">…</turn-K>
//! </conversation-K>
//!
//! <turn-K role="system">…</turn-K>
//!
//! a message
//!
//! <next-K role="user"/>
//! the last message
//! ```
//!
//! Turns may also stand behind the record, and several messages, kept apart by `<next-K …/>`.
//!
//! `K` is whatever the caller chose. fal knows nothing of this; a language model reads it as text,
//! and so do we, as tolerantly as we can.

use std::ops::Range;

/// One turn of the record.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Turn<'a> {
    pub(in crate::emulator) role: &'a str,
    pub(in crate::emulator) text: &'a str,
}

/// A prompt, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Conversation<'a> {
    /// What the tags of the record end in, if there is a record.
    pub(in crate::emulator) key: Option<&'a str>,
    pub(in crate::emulator) turns: Vec<Turn<'a>>,
    /// The message to answer.
    pub(in crate::emulator) message: &'a str,
}

/// The bytes that the record takes up in `prompt`: from the first line that opens one to the end of
/// the last line that closes one.
pub(in crate::emulator) fn record_range(prompt: &str) -> Option<Range<usize>> {
    let mut start = None;
    let mut end = None;
    let mut at = 0;
    for line in prompt.split_inclusive('\n') {
        if start.is_none() && line.starts_with("<conversation-") {
            start = Some(at);
        }
        at += line.len();
        if line.starts_with("</conversation-") {
            end = Some(at);
        }
    }
    Some(start?..end?).filter(|range| range.start < range.end)
}

/// Takes a prompt apart; one without a record is all message.
pub(in crate::emulator) fn read(prompt: &str) -> Conversation<'_> {
    let record = record_range(prompt).and_then(|range| {
        let (text, after) = prompt.split_at(range.end);
        Some((text.get(range.start..)?, after))
    });
    let Some((record, after)) = record else {
        return Conversation {
            key: None,
            turns: Vec::new(),
            message: prompt,
        };
    };
    let key = record
        .strip_prefix("<conversation-")
        .and_then(|rest| rest.split(['>', ' ', '\n']).next())
        .unwrap_or_default();
    let (later, message) = behind(after, key);
    let mut turns = turns(record, key);
    turns.extend(later);
    Conversation {
        key: Some(key),
        turns,
        message,
    }
}

/// What stands behind the record: turns, and the message to answer.
fn behind<'a>(after: &'a str, key: &str) -> (Vec<Turn<'a>>, &'a str) {
    let trimmed = after.trim_start_matches(['\r', '\n']);
    let end = format!("</turn-{key}>");
    let (mut later, mut message) = match trimmed.rsplit_once(end.as_str()) {
        Some((elements, rest)) if trimmed.starts_with(&format!("<turn-{key}")) => {
            (turns(elements, key), rest.trim_start_matches(['\r', '\n']))
        }
        _ => (Vec::new(), trimmed),
    };
    let (next, mut role) = (format!("<next-{key} role=\""), "user");
    while let Some((said, rest)) = message.split_once(next.as_str()) {
        let Some((following, rest)) = rest.split_once("\"/>") else {
            break;
        };
        let text = said.trim_matches(['\r', '\n']);
        later.push(Turn { role, text });
        role = following;
        message = rest.trim_start_matches(['\r', '\n']);
    }
    (later, message)
}

fn turns<'a>(record: &'a str, key: &str) -> Vec<Turn<'a>> {
    let (open, close) = (format!("<turn-{key}"), format!("</turn-{key}>"));
    record
        .split(open.as_str())
        .skip(1)
        .filter_map(|turn| {
            let (attributes, rest) = turn.split_once('>')?;
            let text = rest
                .split_once(close.as_str())
                .map_or(rest, |(text, _)| text);
            let role = attributes.split_once("role=\"")?.1.split('"').next()?;
            Some(Turn {
                role,
                text: text.trim_matches(['\r', '\n']),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{read, record_range};

    const PROMPT: &str = "<conversation-7K2Q>\n<turn-7K2Q role=\"user\">What is 2+2?</turn-7K2Q>\n<turn-7K2Q role=\"assistant\">4 </turn-OTHER></turn-7K2Q>\n</conversation-7K2Q>\n\nAnd \nthen?";

    #[test]
    fn the_message_follows_the_record() {
        let conversation = read(PROMPT);
        assert_eq!(conversation.message, "And \nthen?");
        let turns: Vec<_> = conversation
            .turns
            .iter()
            .map(|turn| (turn.role, turn.text))
            .collect();
        assert_eq!(
            turns,
            [("user", "What is 2+2?"), ("assistant", "4 </turn-OTHER>")]
        );
    }

    #[test]
    fn turns_and_messages_may_stand_behind_the_record() {
        let prompt = "<conversation-7K2Q>\n</conversation-7K2Q>\n\n\
            <turn-7K2Q role=\"system\">Be short.</turn-7K2Q>\n<turn-7K2Q role=\"system\">Be kind.</turn-7K2Q>\n\n\
            Make a title of this:\n\n<next-7K2Q role=\"user\"/>\nrename a to b";
        let conversation = read(prompt);
        assert_eq!(conversation.message, "rename a to b");
        let turns = conversation.turns.iter();
        let turns: Vec<_> = turns.map(|turn| (turn.role, turn.text)).collect();
        assert_eq!(
            turns,
            [
                ("system", "Be short."),
                ("system", "Be kind."),
                ("user", "Make a title of this:")
            ]
        );
    }

    #[test]
    fn a_prompt_without_a_record_is_all_message() {
        assert_eq!(
            read("hello\n</conversation-1>").message,
            "hello\n</conversation-1>"
        );
        assert_eq!(record_range("a <conversation-1>\n</conversation-1>"), None);
    }
}
