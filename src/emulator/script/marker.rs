//! Finds `/emulate word word …` in a prompt and takes it out.

use crate::emulator::llm::{conversation, is_reask};

const MARKER: &str = "/emulate";

/// A text without its markers, and the words they held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::emulator) struct Marked {
    pub(in crate::emulator) text: String,
    pub(in crate::emulator) words: String,
}

/// Takes every marker out of `text`, each up to the end of its line.
///
/// A marker inside the record of an earlier conversation belongs to a turn that was already
/// answered; it is left alone, or one scripted fault would spoil the rest of a chat. A turn whose
/// reply is asked for again was not answered: its words still count.
pub(in crate::emulator) fn strip(text: &str) -> Marked {
    let Some(record) = conversation::record_range(text) else {
        return strip_outside_record(text);
    };
    let (before, rest) = text.split_at(record.start);
    let (kept, after) = rest.split_at(record.end - record.start);
    let (before, after) = (strip_outside_record(before), strip_outside_record(after));
    let asked_again = if is_reask(&after.text) {
        last_asked(text).words
    } else {
        String::new()
    };
    Marked {
        words: format!("{} {asked_again} {}", before.words, after.words),
        text: [&before.text, kept, &after.text].concat(),
    }
}

/// The last turn of the record in which the user wants something, rather than finding fault.
fn last_asked(text: &str) -> Marked {
    let turns = conversation::read(text).turns;
    let mut asked = turns
        .iter()
        .filter(|turn| turn.role == "user" && !is_reask(turn.text));
    asked
        .next_back()
        .map(|turn| strip_outside_record(turn.text))
        .unwrap_or_default()
}

fn strip_outside_record(text: &str) -> Marked {
    let mut marked = Marked::default();
    for line in text.split_inclusive('\n') {
        match split_at_marker(line) {
            None => marked.text.push_str(line),
            Some((before, words)) => {
                marked.words.push(' ');
                marked.words.push_str(words.trim());
                if before.trim().is_empty() {
                    if !line.ends_with('\n') {
                        drop_line_break(&mut marked.text);
                    }
                    continue;
                }
                marked.text.push_str(before.trim_end());
                if line.ends_with('\n') {
                    marked.text.push('\n');
                }
            }
        }
    }
    marked
}

/// A last line goes together with the break before it.
fn drop_line_break(text: &mut String) {
    let kept = text.strip_suffix('\n').unwrap_or(text);
    text.truncate(kept.strip_suffix('\r').unwrap_or(kept).len());
}

/// The line before the marker and the words after it. The marker is a word of its own: a path such
/// as `docs/emulate` is not one.
fn split_at_marker(line: &str) -> Option<(&str, &str)> {
    line.match_indices(MARKER).find_map(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let words = rest.strip_prefix(MARKER)?;
        let alone = before.is_empty() || before.ends_with(char::is_whitespace);
        let ended = words.is_empty() || words.starts_with(char::is_whitespace);
        (alone && ended).then_some((before, words))
    })
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn a_marker_on_its_own_line_leaves_no_line_behind() {
        let marked = strip("/emulate slow:2ms  lf\nhello\nworld");
        assert_eq!(marked.text, "hello\nworld");
        assert_eq!(marked.words.trim(), "slow:2ms  lf");
        assert_eq!(strip("hello\r\n/emulate lf").text, "hello");
    }

    #[test]
    fn a_marker_after_text_takes_the_rest_of_its_line_only() {
        assert_eq!(strip("hello /emulate lf\nworld").text, "hello\nworld");
        assert_eq!(strip("see docs/emulate lf").words, "");
        assert_eq!(strip("/emulated lf").words, "");
    }

    #[test]
    fn a_marker_of_an_earlier_turn_is_history() {
        let prompt = "<conversation-7K2Q>\n<turn-7K2Q role=\"user\">hi\n/emulate hang\n</turn-7K2Q>\n</conversation-7K2Q>\n\nhello /emulate lf";
        let marked = strip(prompt);
        assert_eq!(marked.words.trim(), "lf");
        assert!(marked.text.contains("/emulate hang"));
        assert!(marked.text.ends_with("\n\nhello"));
        let asked_again = strip(&prompt.replace("hello", "Your last reply was not valid."));
        assert_eq!(
            asked_again.words.split_whitespace().collect::<Vec<_>>(),
            ["hang", "lf"]
        );
    }
}
