//! Passes on the JSON of an answer while it is still being written.

use memchr::memchr2;

use super::extract::{Look, is_blank};
use super::nesting::{Nesting, Step};

/// How far a scanner has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Too little text to tell whether it begins with JSON; it is held back.
    #[default]
    Before,
    /// Within the root; its text goes out as it comes.
    Inside,
    /// The root has ended; whatever follows is dropped.
    Closed,
    /// The text begins with something else than JSON; all of it goes out as it comes.
    Prose,
    /// The root nests deeper than [`super::DEEPEST`]; nothing goes out any more.
    TooDeep,
}

/// Lets through the root that a text begins with, piece by piece, without the fence around it.
///
/// Push pieces, and [`finish`](Self::finish) at the end; after every push, what has been appended
/// to `out` may be sent. Cutting the text elsewhere changes when text goes out, never which.
///
/// A text that begins with prose goes through whole: what was sent cannot be taken back, and an
/// answer without its beginning would mislead. Unlike [`super::root`], which sees all of the text,
/// the scanner takes `[1]` for JSON when the text begins with it.
#[derive(Clone, Debug, Default)]
pub struct RootScanner {
    held: String,
    nesting: Nesting,
    progress: Progress,
}

/// A root begins within this many bytes, or the text is taken for prose.
const LONGEST_LEAD: usize = 2048;
/// The info string of a fence is shorter than this.
const LONGEST_INFO: usize = 64;

impl RootScanner {
    /// A scanner at the beginning of a text.
    pub fn new() -> Self {
        Self::default()
    }

    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Takes the next piece and appends what may go out to `out`.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        match self.progress {
            Progress::Before => {
                self.held.push_str(piece);
                self.decide(out);
            }
            Progress::Inside => self.pass(piece, out),
            Progress::Prose => out.push_str(piece),
            Progress::Closed | Progress::TooDeep => {}
        }
    }

    /// The text has ended: what is still held back goes out unchanged.
    pub fn finish(&mut self, out: &mut String) {
        if self.progress == Progress::Before {
            self.progress = Progress::Prose;
            out.push_str(&std::mem::take(&mut self.held));
        }
    }

    fn decide(&mut self, out: &mut String) {
        let window = window(&self.held);
        match (Lead::of(window.unwrap_or(&self.held)), window) {
            (Lead::Open, None) => {}
            (Lead::Root { at }, _) => {
                self.progress = Progress::Inside;
                let held = std::mem::take(&mut self.held);
                self.pass(held.get(at..).unwrap_or_default(), out);
            }
            (Lead::Open, Some(_)) | (Lead::Prose, _) => {
                self.progress = Progress::Prose;
                out.push_str(&std::mem::take(&mut self.held));
            }
        }
    }

    fn pass(&mut self, piece: &str, out: &mut String) {
        for next in piece.chars() {
            match self.nesting.step(next) {
                Step::Inside => out.push(next),
                Step::Closed => {
                    out.push(next);
                    self.progress = Progress::Closed;
                    return;
                }
                Step::TooDeep => {
                    self.progress = Progress::TooDeep;
                    return;
                }
            }
        }
    }
}

/// What is looked at of a text that is longer: only this much, however large the pieces are, lest cuts
/// make a difference.
fn window(text: &str) -> Option<&str> {
    let ends = (0..=LONGEST_LEAD).rev();
    ends.filter(|_| text.len() > LONGEST_LEAD)
        .find_map(|end| text.get(..end))
}

/// Finds where the JSON of an answer begins while it is being written: at the root that the text begins
/// with, or behind prose at what is unmistakable, as for [`super::root`].
#[derive(Clone, Debug, Default)]
pub struct RootFinder {
    held: String,
    is_prose: bool,
}

impl RootFinder {
    /// Takes the next piece, and appends what is certainly before any JSON to `out`. Gives what there is
    /// of the JSON once it has begun; nothing may be pushed any more then.
    pub fn push(&mut self, piece: &str, out: &mut String) -> Option<String> {
        let text = std::mem::take(&mut self.held) + piece;
        if !self.is_prose {
            let window = window(&text);
            match (Lead::of(window.unwrap_or(&text)), window) {
                // What begins as a citation does, `[1]`, is none.
                (Lead::Root { at }, _) if text.get(at..)?.starts_with('{') => {
                    return split(&text, at, out);
                }
                (Lead::Open, None) => {
                    self.held = text;
                    return None;
                }
                _ => self.is_prose = true,
            }
        }
        let mut from = 0;
        while let Some(offset) = memchr2(b'{', b'[', text.as_bytes().get(from..)?) {
            let at = from.saturating_add(offset);
            let rest = text.get(at..)?;
            let window = window(rest);
            match (Look::at(window.unwrap_or(rest)), window) {
                (Look::Strong, _) => return split(&text, at, out),
                (Look::Open, None) => {
                    self.held = split(&text, at, out)?;
                    return None;
                }
                _ => from = at.saturating_add(1),
            }
        }
        out.push_str(&text);
        None
    }

    /// The text ends here: what was held back.
    pub fn finish(self) -> String {
        self.held
    }

    /// How many bytes are held back.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }
}

/// Appends what is before a place to `out`, and gives the rest.
fn split(text: &str, at: usize, out: &mut String) -> Option<String> {
    let (before, rest) = text.split_at_checked(at)?;
    out.push_str(before);
    Some(rest.to_owned())
}

/// What a text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Open,
    Root { at: usize },
    Prose,
}

impl Lead {
    fn of(text: &str) -> Self {
        let start = text.trim_start_matches(is_blank);
        let inner = match start.chars().next() {
            Some(mark @ ('`' | '~')) => match Self::after_fence(start, mark) {
                Ok(inner) => inner.trim_start_matches(is_blank),
                Err(lead) => return lead,
            },
            _ => start,
        };
        if inner.is_empty() {
            return Self::Open;
        }
        match Look::at(inner) {
            Look::Strong | Look::Weak => Self::Root {
                at: text.len().saturating_sub(inner.len()),
            },
            Look::Open => Self::Open,
            Look::No => Self::Prose,
        }
    }

    /// The text after an opening fence and its info string.
    fn after_fence(start: &str, mark: char) -> Result<&str, Self> {
        let rest = start.trim_start_matches(mark);
        if start.len().saturating_sub(rest.len()) < "```".len() {
            return Err(if rest.is_empty() {
                Self::Open
            } else {
                Self::Prose
            });
        }
        match rest.find(['\n', '{', '[', '`', '~']) {
            Some(at) if at <= LONGEST_INFO => rest
                .get(at..)
                .filter(|inner| !inner.starts_with(['`', '~']))
                .ok_or(Self::Prose),
            None if rest.len() <= LONGEST_INFO => Err(Self::Open),
            Some(_) | None => Err(Self::Prose),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&str]) -> (String, Progress) {
        let mut scanner = RootScanner::new();
        let mut out = String::new();
        for piece in pieces {
            scanner.push(piece, &mut out);
        }
        scanner.finish(&mut out);
        (out, scanner.progress())
    }

    #[test]
    fn a_fence_split_over_pieces_is_removed() {
        let (out, progress) = scan(&["\n``", "`js", "on\n{", "\"a\": ", "\"}\"}\n", "```\nDone"]);
        assert_eq!(out, "{\"a\": \"}\"}");
        assert_eq!(progress, Progress::Closed);
    }

    #[test]
    fn prose_goes_through_untouched() {
        let (out, progress) = scan(&["{bra", "ces} are no JSON"]);
        assert_eq!(out, "{braces} are no JSON");
        assert_eq!(progress, Progress::Prose);
    }

    #[test]
    fn text_goes_out_as_soon_as_it_is_known_to_be_json() {
        let mut scanner = RootScanner::new();
        let mut out = String::new();
        scanner.push("```json\n{\"ci", &mut out);
        assert_eq!(out, "");
        scanner.push("ty\": \"Par", &mut out);
        assert_eq!(out, "{\"city\": \"Par");
    }

    #[test]
    fn json_is_found_behind_prose_however_the_text_is_cut() {
        let json = r#"{"name": "Zoe"}"#;
        for before in [
            "",
            "\n",
            "```json\n",
            "[1] and [as said] {the}:\n\n",
            "Here: ",
            "{the} JSON: ",
        ] {
            let text = format!("{before}{json}");
            let whole = find(&[text.as_str()]);
            assert_eq!(whole, (before.to_owned(), json.to_owned()), "{text}");
            for cut in 0..text.len() {
                let (one, other) = text.split_at(cut);
                assert_eq!(find(&[one, other]), whole, "{text} {cut}");
            }
            let letters: Vec<&str> = text.split("").collect();
            assert_eq!(find(&letters), whole, "{text}");
        }
        for prose in ["[1] and {the} rest", "{", "", "[", "{\"na", "``"] {
            assert_eq!(find(&[prose]), (prose.to_owned(), String::new()));
        }
    }

    /// What comes before the JSON, and the JSON.
    fn find(pieces: &[&str]) -> (String, String) {
        let (mut finder, mut before) = (RootFinder::default(), String::new());
        let mut pieces = pieces.iter();
        while let Some(piece) = pieces.next() {
            if let Some(begun) = finder.push(piece, &mut before) {
                let rest: String = pieces.copied().collect();
                return (before, begun + &rest);
            }
        }
        before.push_str(&finder.finish());
        (before, String::new())
    }

    #[test]
    fn too_deep_a_root_is_cut_off() {
        let (out, progress) = scan(&["[".repeat(100_000).as_str()]);
        assert_eq!(out.len(), super::super::DEEPEST);
        assert_eq!(progress, Progress::TooDeep);
    }
}
