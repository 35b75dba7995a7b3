//! Passes on the JSON of an answer while it is still being written.

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
        // Only this much is looked at, however large the pieces are, lest cuts make a difference.
        let window = (0..=LONGEST_LEAD)
            .rev()
            .find_map(|end| self.held.get(..end))
            .filter(|_| self.held.len() > LONGEST_LEAD);
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
    fn too_deep_a_root_is_cut_off() {
        let (out, progress) = scan(&["[".repeat(100_000).as_str()]);
        assert_eq!(out.len(), super::super::DEEPEST);
        assert_eq!(progress, Progress::TooDeep);
    }
}
