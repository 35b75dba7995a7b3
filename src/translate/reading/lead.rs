//! Takes off the beginning of an answer what does not belong to it.
//!
//! A model that was asked to continue a text often begins by repeating it, and a model that was
//! shown turns in tags sometimes opens its own with one. The answer is what comes after.

/// Repeats shorter than this, in bytes, are taken for a coincidence unless they are the whole.
const LEAST_REPEAT: usize = 16;
/// Repeats with fewer characters than this, white space aside, are always a coincidence: what
/// continues `[` may well begin with `[`.
const LEAST_SAID: usize = 4;
/// How far back an end of the beginning is looked for, in bytes.
const FARTHEST_BACK: usize = 4096;

/// Drops a known beginning from a text that arrives in pieces.
#[derive(Clone, Debug, Default)]
pub struct LeadRemover {
    lead: String,
    /// Whether a long end of the lead is dropped as well.
    ends_count: bool,
    /// Whether white space before the lead is dropped with it.
    skips_space: bool,
    held: String,
    is_done: bool,
}

impl LeadRemover {
    /// Drops exactly this beginning.
    fn of(lead: impl Into<String>) -> Self {
        let lead = lead.into();
        Self {
            is_done: lead.is_empty(),
            ends_count: false,
            skips_space: false,
            held: String::new(),
            lead,
        }
    }

    /// Drops this beginning, and white space before it.
    pub fn of_tag(tag: impl Into<String>) -> Self {
        Self {
            skips_space: true,
            ..Self::of(tag)
        }
    }

    /// Drops this beginning, or a long end of it: a model that continues a text may repeat no more
    /// than its last words.
    pub fn of_prefill(prefill: impl Into<String>) -> Self {
        Self {
            ends_count: true,
            ..Self::of(prefill)
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
        let text = self.without_space(&held);
        let repeat = self
            .ends()
            .find(|end| text.starts_with(end) && self.is_telling(end));
        let rest = repeat.and_then(|repeat| text.strip_prefix(repeat));
        out.push_str(rest.unwrap_or(&held));
    }

    fn could_still_grow(&self) -> bool {
        let held = self.without_space(&self.held);
        self.ends()
            .any(|end| end.len() > held.len() && end.starts_with(held) && self.is_telling(end))
    }

    fn without_space<'t>(&self, text: &'t str) -> &'t str {
        match self.skips_space {
            true => text.trim_start(),
            false => text,
        }
    }

    /// Whether an answer that begins with this end can be thought to repeat it.
    fn is_telling(&self, end: &str) -> bool {
        let said = end.chars().filter(|letter| !letter.is_whitespace());
        !self.ends_count || said.take(LEAST_SAID).count() == LEAST_SAID
    }

    /// The whole lead and, where they count, its long ends, longest first.
    fn ends(&self) -> impl Iterator<Item = &str> {
        let length = self.lead.len();
        let first = length.saturating_sub(FARTHEST_BACK).max(1);
        let last = length.saturating_sub(LEAST_REPEAT);
        let starts = match self.ends_count {
            true => first..last.saturating_add(1),
            false => 0..0,
        };
        std::iter::once(self.lead.as_str()).chain(starts.filter_map(|start| self.lead.get(start..)))
    }
}
