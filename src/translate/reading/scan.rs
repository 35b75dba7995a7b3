//! Finds the first of several patterns in a text that arrives in pieces, without letting any
//! part of a match out.

use crate::translate::json::RootFinder;

/// Passes text through up to the earliest match of any pattern.
///
/// Held back is only what could be the beginning of a match: the longest end of the text so far
/// that is the beginning of a pattern. "Earliest" is where a match begins, as if the whole text
/// had been searched at once.
#[derive(Clone, Debug, Default)]
pub struct StopScanner {
    patterns: Vec<String>,
    held: String,
    /// Looks for JSON, before which nothing is looked for.
    json: Option<Box<RootFinder>>,
    /// Which pattern was found.
    matched: Option<usize>,
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

    /// The same for an answer that is JSON or nothing: the words and the fence that a model writes before it are no
    /// part of it, so nothing is looked for in them.
    #[must_use]
    pub fn within_json(mut self) -> Self {
        self.json = Some(Box::default());
        self
    }

    /// Takes the next piece and appends what is certainly before any match to `out`.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        if self.matched.is_some() {
            return;
        }
        if self.patterns.is_empty() {
            out.push_str(piece);
            return;
        }
        match &mut self.json {
            None => self.scan(piece, out),
            Some(finder) => {
                if let Some(begun) = finder.push(piece, out) {
                    self.json = None;
                    self.scan(&begun, out);
                }
            }
        }
    }

    fn scan(&mut self, piece: &str, out: &mut String) {
        let text = std::mem::take(&mut self.held) + piece;
        let found = self.earliest_match(&text);
        let possible = self
            .earliest_possible(&text)
            .filter(|start| found.is_none_or(|(at, _)| *start < at));
        let found_at = found.map(|(at, _)| at);
        let safe = possible.or(found_at).unwrap_or(text.len());
        let (clear, rest) = text.split_at_checked(safe).unwrap_or((&text, ""));
        out.push_str(clear);
        match possible {
            Some(_) => self.held = rest.to_owned(),
            None => self.matched = found.map(|(_, pattern)| pattern),
        }
    }

    /// The text ends here: what was held back is no match after all, unless it holds a whole one.
    pub fn finish(&mut self, out: &mut String) {
        if self.matched.is_some() {
            return;
        }
        if let Some(finder) = self.json.take() {
            let rest = finder.finish();
            let start = rest.find(['{', '[']).unwrap_or(rest.len());
            out.push_str(rest.get(..start).unwrap_or_default());
            self.scan(rest.get(start..).unwrap_or_default(), out);
        }
        if self.matched.is_some() {
            return;
        }
        let text = std::mem::take(&mut self.held);
        let found = self.earliest_match(&text);
        self.matched = found.map(|(_, pattern)| pattern);
        let end = found.map_or(text.len(), |(at, _)| at);
        out.push_str(text.get(..end).unwrap_or_default());
    }

    /// How many bytes are held back.
    pub fn waiting(&self) -> usize {
        let before = self.json.as_deref().map_or(0, RootFinder::waiting);
        self.held.len().saturating_add(before)
    }

    /// Whether there is nothing to look for.
    pub fn is_idle(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Which pattern was found, if any; everything from there on is dropped.
    pub fn matched(&self) -> Option<usize> {
        self.matched
    }

    /// Where the earliest match begins, and which pattern it is: of several that begin there the
    /// shortest, which is the first to be complete.
    fn earliest_match(&self, text: &str) -> Option<(usize, usize)> {
        let patterns = self.patterns.iter().enumerate();
        let found = patterns.filter_map(|(index, pattern)| {
            let at = text.find(pattern.as_str())?;
            Some((at, pattern.len(), index))
        });
        found.min().map(|(at, _, index)| (at, index))
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
