//! Cuts an answer into what fal's stream shows of it: all of the text so far, again and again.
//!
//! Source: fal docs, page "websockets", whose sample shows growing text, an identical repeat of the
//! last partial event and the same text once more with `partial: false`; the reasoning grows first.

use crate::emulator::{
    llm::Answer,
    script::{Behaviour, Quirk},
};

/// Events that an answer is cut into when no size is asked for.
const USUAL_EVENTS: usize = 24;
/// Characters that an event then adds at least.
const LEAST_SIZE: usize = 4;

/// What one event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Snapshot {
    pub(in crate::emulator) output: Option<String>,
    pub(in crate::emulator) reasoning: Option<String>,
    pub(in crate::emulator) partial: bool,
    pub(in crate::emulator) error: Option<String>,
}

impl Snapshot {
    /// The whole answer, at its end.
    pub(in crate::emulator) fn closing(answer: Answer) -> Snapshot {
        Snapshot {
            output: answer.output,
            reasoning: answer.reasoning,
            partial: false,
            error: None,
        }
    }
}

/// The answer after the quirks that change its text, streamed or not.
pub(in crate::emulator) fn with_quirks(mut answer: Answer, behaviour: &Behaviour) -> Answer {
    if behaviour.has(Quirk::NullOutput) {
        answer.output = None;
    }
    if behaviour.has(Quirk::Empty) {
        answer.output = Some(String::new());
    }
    if behaviour.has(Quirk::InlineThink)
        && let Some(reasoning) = answer.reasoning.take()
    {
        let output = answer.output.unwrap_or_default();
        answer.output = Some(format!("<think>\n{reasoning}\n</think>\n\n{output}"));
    }
    answer
}

/// The snapshots of `answer`, each made when it is asked for.
pub(in crate::emulator) fn snapshots(
    answer: Answer,
    behaviour: &Behaviour,
) -> impl Iterator<Item = Snapshot> + use<> {
    let trim = behaviour.has(Quirk::Trim);
    let cuts = Cuts::new(answer, behaviour);
    let closing = (!behaviour.has(Quirk::NoFinal)).then(|| Snapshot::closing(cuts.answer.clone()));
    let last = cuts.partial(cuts.count().saturating_sub(1), trim);
    (0..cuts.count())
        .map(move |index| cuts.partial(index, trim))
        .chain(std::iter::once(last))
        .chain(closing)
}

/// Where the answer's two texts are cut.
struct Cuts {
    answer: Answer,
    /// Ends of the reasoning's parts, in bytes.
    reasoning: Vec<usize>,
    /// Ends of the output's parts, in bytes; at least one.
    output: Vec<usize>,
    rewrite: bool,
    replacement: bool,
}

impl Cuts {
    fn new(answer: Answer, behaviour: &Behaviour) -> Cuts {
        let ends = |text: Option<&str>| part_ends(text.unwrap_or_default(), behaviour.size);
        Cuts {
            reasoning: if answer.reasoning.is_some() {
                ends(answer.reasoning.as_deref())
            } else {
                Vec::new()
            },
            output: ends(answer.output.as_deref()),
            answer,
            rewrite: behaviour.has(Quirk::Rewrite),
            replacement: behaviour.has(Quirk::Replacement),
        }
    }

    fn count(&self) -> usize {
        self.reasoning.len() + self.output.len()
    }

    /// The snapshot at one cut; the very last cut has the blanks that a `trim` drops afterwards.
    fn partial(&self, index: usize, trim: bool) -> Snapshot {
        let Answer { output, reasoning } = &self.answer;
        let thinking = self.reasoning.get(index).copied();
        let written = index.checked_sub(self.reasoning.len());
        let mut output = output.as_ref().map(|text| self.written(text, written));
        if trim && written.is_some_and(|part| part + 1 == self.output.len()) {
            output = output.map(|text| text + "\n \n");
        }
        let reasoning = reasoning.as_ref().map(|text| {
            thinking
                .and_then(|end| text.get(..end))
                .unwrap_or(text)
                .to_owned()
        });
        Snapshot {
            output,
            reasoning,
            partial: true,
            error: None,
        }
    }

    /// The output up to one of its parts; none of it before the first.
    fn written(&self, output: &str, part: Option<usize>) -> String {
        let Some((part, &end)) = part.and_then(|part| Some((part, self.output.get(part)?))) else {
            return String::new();
        };
        let text = output.get(..end).unwrap_or(output);
        let middle = self.output.len() / 2;
        if self.rewrite && part < middle {
            return format!("On second thought: {text}");
        }
        if self.replacement && part + 1 == middle.max(1) && end < output.len() {
            return format!("{text}\u{fffd}");
        }
        text.to_owned()
    }
}

/// The ends of the parts of `size` characters; an empty text has one empty part.
pub(in crate::emulator) fn part_ends(text: &str, size: Option<usize>) -> Vec<usize> {
    let usual = || text.chars().count().div_ceil(USUAL_EVENTS).max(LEAST_SIZE);
    let size = size.unwrap_or_else(usual).max(1);
    let inner = text.char_indices().map(|(at, _)| at).step_by(size).skip(1);
    inner.chain(std::iter::once(text.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(text: &str, words: &str) -> Vec<(String, bool)> {
        let answer = Answer {
            output: Some(text.to_owned()),
            reasoning: None,
        };
        snapshots(answer, &words.parse().expect("known words"))
            .map(|snapshot| (snapshot.output.unwrap_or_default(), snapshot.partial))
            .collect()
    }

    fn owned(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
        expected
            .iter()
            .map(|&(text, partial)| (text.to_owned(), partial))
            .collect()
    }

    #[test]
    fn text_grows_repeats_and_closes() {
        let expected = [
            ("añ", true),
            ("añ日b", true),
            ("añ日bc", true),
            ("añ日bc", true),
            ("añ日bc", false),
        ];
        assert_eq!(outputs("añ日bc", "size:2"), owned(&expected));
    }

    #[test]
    fn an_empty_answer_has_an_empty_partial() {
        assert_eq!(
            outputs("", ""),
            owned(&[("", true), ("", true), ("", false)])
        );
    }

    #[test]
    fn trimmed_text_had_blanks_before() {
        let expected = [
            ("a", true),
            ("ab\n \n", true),
            ("ab\n \n", true),
            ("ab", false),
        ];
        assert_eq!(outputs("ab", "size:1 trim"), owned(&expected));
    }

    #[test]
    fn a_replacement_character_gives_way_to_the_real_one() {
        let expected = [
            ("a\u{fffd}", true),
            ("a日", true),
            ("a日", true),
            ("a日", false),
        ];
        assert_eq!(outputs("a日", "size:1 replacement"), owned(&expected));
    }
}
