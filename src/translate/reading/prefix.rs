//! Takes off the beginning of an answer the end of the text that it was asked to continue.
//!
//! A model that was asked to continue a text often begins by repeating it. The answer is what comes
//! after.

/// Repeats shorter than this, in bytes, are taken for a coincidence unless they are the whole.
const LEAST_REPEAT: usize = 16;
/// Repeats with fewer characters than this, white space aside, are always a coincidence: what
/// continues `[` may well begin with `[`.
const LEAST_SAID: usize = 4;
/// How far back an end of the beginning is looked for, in bytes.
const FARTHEST_BACK: usize = 4096;

/// Drops a known beginning from a text that arrives in pieces.
#[derive(Clone, Debug, Default)]
pub struct PrefixRemover {
    lead: String,
    held: String,
    is_done: bool,
}

impl PrefixRemover {
    /// Drops this beginning, or a long end of it: a model that continues a text may repeat no more
    /// than its last words.
    pub fn of_prefill(prefill: impl Into<String>) -> Self {
        let lead = prefill.into();
        Self {
            is_done: lead.is_empty(),
            held: String::new(),
            lead,
        }
    }

    /// Whether everything passes through from now on.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Takes the next piece and appends to `out` what is certainly no repeat.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        if self.is_done {
            out.push_str(piece);
            return;
        }
        self.held.push_str(piece);
        if self.could_still_grow() {
            return;
        }
        self.finish(out);
    }

    /// The text ends here, or the repeat is known.
    pub fn finish(&mut self, out: &mut String) {
        if self.is_done {
            return;
        }
        self.is_done = true;
        let held = std::mem::take(&mut self.held);
        let repeat = self
            .ends()
            .find(|end| held.starts_with(end) && is_telling(end));
        let rest = repeat.and_then(|repeat| held.strip_prefix(repeat));
        out.push_str(rest.unwrap_or(&held));
    }

    fn could_still_grow(&self) -> bool {
        let held = self.held.as_str();
        self.ends()
            .any(|end| end.len() > held.len() && end.starts_with(held) && is_telling(end))
    }

    /// The whole lead and its long ends, longest first.
    fn ends(&self) -> impl Iterator<Item = &str> {
        let length = self.lead.len();
        let first = length.saturating_sub(FARTHEST_BACK).max(1);
        let last = length.saturating_sub(LEAST_REPEAT);
        let starts = first..last.saturating_add(1);
        std::iter::once(self.lead.as_str()).chain(starts.filter_map(|start| self.lead.get(start..)))
    }
}

/// Whether an answer that begins with this end can be thought to repeat it.
fn is_telling(end: &str) -> bool {
    let said = end.chars().filter(|letter| !letter.is_whitespace());
    said.take(LEAST_SAID).count() == LEAST_SAID
}
