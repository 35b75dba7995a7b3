//! Finds the first of several patterns in a text that arrives in pieces, without letting any
//! part of a match out.

/// A pattern, and where it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub text: String,
    /// Only at the beginning of a line.
    pub at_line_start: bool,
}

impl Pattern {
    /// A pattern that counts anywhere.
    pub fn anywhere(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            at_line_start: false,
        }
    }

    /// A pattern that counts only at the beginning of a line.
    pub fn at_line_start(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            at_line_start: true,
        }
    }
}

/// Passes text through up to the earliest match of any pattern.
///
/// Held back is only what could be the beginning of a match: the longest end of the text so far
/// that is the beginning of a pattern. "Earliest" is where a match begins, as if the whole text
/// had been searched at once.
#[derive(Clone, Debug, Default)]
pub struct StopScanner {
    patterns: Vec<Pattern>,
    held: String,
    /// Whether what comes before `held` ends in the middle of a line.
    is_mid_line: bool,
    has_matched: bool,
}

impl StopScanner {
    /// A scanner for these patterns; empty ones are left out.
    pub fn new(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        Self {
            patterns: patterns
                .into_iter()
                .filter(|pattern| !pattern.text.is_empty())
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
        if let Some(last) = clear.chars().next_back() {
            self.is_mid_line = last != '\n';
        }
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
            .filter_map(|pattern| self.find(pattern, text))
            .min()
    }

    fn find(&self, pattern: &Pattern, text: &str) -> Option<usize> {
        let mut matches = text.match_indices(&pattern.text).map(|(start, _)| start);
        match pattern.at_line_start {
            false => matches.next(),
            true => matches.find(|start| self.is_line_start(text, *start)),
        }
    }

    /// The earliest place from which the rest of the text is the beginning of a pattern.
    fn earliest_possible(&self, text: &str) -> Option<usize> {
        let longest = self
            .patterns
            .iter()
            .map(|pattern| pattern.text.len())
            .max()
            .unwrap_or(0);
        let tail = text.len().saturating_sub(longest.saturating_sub(1));
        text.char_indices()
            .map(|(start, _)| start)
            .skip_while(|start| *start < tail)
            .find(|start| {
                let rest = text.get(*start..).unwrap_or_default();
                self.patterns.iter().any(|pattern| {
                    pattern.text.len() > rest.len()
                        && pattern.text.starts_with(rest)
                        && (!pattern.at_line_start || self.is_line_start(text, *start))
                })
            })
    }

    fn is_line_start(&self, text: &str, at: usize) -> bool {
        match text.get(..at).and_then(|before| before.chars().next_back()) {
            Some(before) => before == '\n',
            None => !self.is_mid_line,
        }
    }
}
