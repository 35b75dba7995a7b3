//! Tells reasoning that a model wrote into its answer from the answer itself.
//!
//! Some models think aloud: their output begins with `<think>...</think>`. Such a block is
//! reasoning when it is the very beginning of the output, white space aside; a block that was never
//! closed is reasoning to its end. Anywhere else the tags are text like any other, because an
//! answer may well be about them. `<thinking>` is text everywhere: it is what people ask for in
//! prompts of their own and then look for in the answer.
//!
//! White space around the block, and inside it at both ends, belongs to the tags.

/// Separates a text that arrives in pieces. Where the pieces are cut does not matter, and each
/// character is looked at once or twice.
#[derive(Debug, Default)]
pub struct ThinkSplitter {
    place: Place,
    /// White space, and behind it the beginning of a tag, of which it is not known yet what they are.
    held: String,
    /// How much of a tag `held` ends in.
    matched: usize,
    /// Whether the block has said anything yet.
    has_thought: bool,
}

/// What of a piece is which.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub reasoning: String,
    pub text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nothing but white space so far, and perhaps a part of the opening tag.
    #[default]
    Start,
    Block,
    /// In the white space after the block.
    Gap,
    Answer,
}

/// A `<` stands at the beginning of each tag and nowhere else in it, so a failed match never hides
/// the beginning of another, except in the character that failed it.
const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

impl ThinkSplitter {
    /// Whether everything that comes is text.
    pub fn is_done(&self) -> bool {
        self.place == Place::Answer
    }

    /// Whether a block has been opened and not closed.
    pub fn is_thinking(&self) -> bool {
        self.place == Place::Block
    }

    /// Takes the next piece and appends to `out` what is certain.
    pub fn push(&mut self, piece: &str, out: &mut Split) {
        for (at, letter) in piece.char_indices() {
            match self.place {
                Place::Start => self.start(letter, out),
                Place::Block => self.think(letter, out),
                Place::Gap if letter.is_whitespace() => {}
                Place::Gap | Place::Answer => {
                    self.place = Place::Answer;
                    out.text.push_str(piece.get(at..).unwrap_or_default());
                    return;
                }
            }
        }
    }

    /// The text ends here: the beginning of a tag that was held back is none.
    pub fn finish(&mut self, out: &mut Split) {
        match self.place {
            Place::Start => self.answer(out),
            Place::Block if self.matched > 0 => self.flush(out),
            Place::Block | Place::Gap | Place::Answer => self.held.clear(),
        }
    }

    fn start(&mut self, letter: char, out: &mut Split) {
        if self.continues(OPENING, letter) {
            if self.has_matched(OPENING) {
                self.place = Place::Block;
            }
        } else {
            self.held.push(letter);
            if self.matched > 0 || !letter.is_whitespace() {
                self.answer(out);
            }
        }
    }

    fn think(&mut self, letter: char, out: &mut Split) {
        if self.continues(CLOSING, letter) {
            if self.has_matched(CLOSING) {
                self.place = Place::Gap;
            }
            return;
        }
        if self.matched > 0 {
            self.flush(out);
            if self.continues(CLOSING, letter) {
                return;
            }
        }
        self.held.push(letter);
        if !letter.is_whitespace() {
            self.flush(out);
        }
    }

    /// Holds the letter back if it is the next one of the tag.
    fn continues(&mut self, tag: &str, letter: char) -> bool {
        let rest = tag.get(self.matched..).unwrap_or_default();
        let is_next = rest.starts_with(letter);
        if is_next {
            self.held.push(letter);
            self.matched = self.matched.saturating_add(letter.len_utf8());
        }
        is_next
    }

    /// Drops the tag, and the white space before it, once all of it is there.
    fn has_matched(&mut self, tag: &str) -> bool {
        let is_whole = self.matched == tag.len();
        if is_whole {
            self.matched = 0;
            self.held.clear();
        }
        is_whole
    }

    fn flush(&mut self, out: &mut Split) {
        self.matched = 0;
        let thought = match self.has_thought {
            true => self.held.as_str(),
            false => self.held.trim_start(),
        };
        self.has_thought |= !thought.is_empty();
        out.reasoning.push_str(thought);
        self.held.clear();
    }

    fn answer(&mut self, out: &mut Split) {
        self.place = Place::Answer;
        self.matched = 0;
        out.text.push_str(&std::mem::take(&mut self.held));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the splitter does, said for a whole text.
    fn split_at_once(text: &str) -> (&str, &str) {
        match text.trim_start().strip_prefix(OPENING) {
            None => ("", text),
            Some(rest) => match rest.split_once(CLOSING) {
                None => (rest.trim(), ""),
                Some((thought, answer)) => (thought.trim(), answer.trim_start()),
            },
        }
    }

    fn split_in_pieces<'t>(pieces: impl IntoIterator<Item = &'t str>) -> Split {
        let mut splitter = ThinkSplitter::default();
        let mut out = Split::default();
        for piece in pieces {
            splitter.push(piece, &mut out);
        }
        splitter.finish(&mut out);
        out
    }

    fn assert_split(text: &str, reasoning: &str, answer: &str) {
        let letters = text.split_inclusive(|_: char| true);
        for split in [split_in_pieces([text]), split_in_pieces(letters)] {
            assert_eq!(
                (split.reasoning.as_str(), split.text.as_str()),
                (reasoning, answer),
                "{text:?}"
            );
        }
        assert_eq!(split_at_once(text), (reasoning, answer));
    }

    #[test]
    fn a_block_at_the_start_is_reasoning() {
        assert_split("<think>\nSo.\n</think>\n\nYes.", "So.", "Yes.");
        assert_split(" \n<think>a < b</think>b", "a < b", "b");
        assert_split("<think>\n\n</think>\n\nYes.", "", "Yes.");
        assert_split("<think>a</think><think>b</think>", "a", "<think>b</think>");
        assert_split("<think>a<</think>b", "a<", "b");
        assert_split("<think><think>a</think>b", "<think>a", "b");
    }

    #[test]
    fn a_block_that_is_never_closed_is_all_reasoning() {
        assert_split("<think>So, what", "So, what", "");
        assert_split("<think>So. </thin", "So. </thin", "");
        assert_split("<think> ", "", "");
    }

    #[test]
    fn tags_elsewhere_are_text() {
        for text in [
            "Use <think>so</think>.",
            "<thinking>so</thinking>",
            "<thin",
            " <b>",
            "  ",
            "",
            "<<think>so</think>",
            "</think>",
        ] {
            assert_split(text, "", text);
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            words in prop::collection::vec(
                prop::sample::select(vec!["<think>", "</think>", "<", "</", "think", ">", " ", "\n", "a", "ä", "思"]),
                0..12,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text = words.concat();
            let letters = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect::<Vec<_>>();
            let mut cuts = cuts.iter().map(|cut| *cut.get(&letters)).chain([0, text.len()]).collect::<Vec<_>>();
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|ends| text.get(ends[0]..ends[1]).expect("cut between letters"));
            let split = split_in_pieces(pieces);
            prop_assert_eq!((split.reasoning.as_str(), split.text.as_str()), split_at_once(&text));
        }
    }
}
