//! Finds the first of several patterns in a text that arrives in pieces, without letting any
//! part of a match out.

/// Passes text through up to the earliest match of any pattern.
///
/// Held back is only what could be the beginning of a match: the longest end of the text so far
/// that is the beginning of a pattern. "Earliest" is where a match begins, as if the whole text
/// had been searched at once.
#[derive(Clone, Debug, Default)]
pub struct StopScanner {
    patterns: Vec<String>,
    held: String,
    has_matched: bool,
}

impl StopScanner {
    /// A scanner for these patterns; empty ones are left out.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Self {
        Self {
            patterns: patterns
                .into_iter()
                .filter(|pattern| !pattern.is_empty())
                .collect(),
            ..Self::default()
        }
    }

    /// Takes the next piece and appends what is certainly before any match to `out`.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        if self.has_matched {
            return;
        }
        if self.patterns.is_empty() {
            out.push_str(piece);
            return;
        }
        let text = std::mem::take(&mut self.held) + piece;
        let found = self.earliest_match(&text);
        let possible = self
            .earliest_possible(&text)
            .filter(|start| found.is_none_or(|at| *start < at));
        let safe = possible.or(found).unwrap_or(text.len());
        let (clear, rest) = text.split_at_checked(safe).unwrap_or((&text, ""));
        out.push_str(clear);
        match possible {
            Some(_) => self.held = rest.to_owned(),
            None => self.has_matched = found.is_some(),
        }
    }

    /// The text ends here: what was held back is no match after all, unless it holds a whole one.
    pub fn finish(&mut self, out: &mut String) {
        if self.has_matched {
            return;
        }
        let text = std::mem::take(&mut self.held);
        let found = self.earliest_match(&text);
        self.has_matched = found.is_some();
        out.push_str(text.get(..found.unwrap_or(text.len())).unwrap_or_default());
    }

    /// Whether there is nothing to look for.
    pub fn is_idle(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a pattern was found; everything from there on is dropped.
    pub fn has_matched(&self) -> bool {
        self.has_matched
    }

    fn earliest_match(&self, text: &str) -> Option<usize> {
        self.patterns
            .iter()
            .filter_map(|pattern| text.find(pattern.as_str()))
            .min()
    }

    /// The earliest place from which the rest of the text is the beginning of a pattern.
    fn earliest_possible(&self, text: &str) -> Option<usize> {
        let longest = self.patterns.iter().map(String::len).max().unwrap_or(0);
        let tail = text.len().saturating_sub(longest.saturating_sub(1));
        text.char_indices()
            .map(|(start, _)| start)
            .skip_while(|start| *start < tail)
            .find(|start| {
                let rest = text.get(*start..).unwrap_or_default();
                self.patterns
                    .iter()
                    .any(|pattern| pattern.len() > rest.len() && pattern.starts_with(rest))
            })
    }
}
