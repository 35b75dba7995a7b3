//! What of a model's text is the answer: its lead taken off, cut where it has to end.

use super::lead::LeadRemover;
use super::scan::{Pattern, StopScanner};
use crate::translate::plan::Reading;

/// Everything that looks into the text on its way through.
#[derive(Debug)]
pub struct TextFilter {
    tag: LeadRemover,
    prefill: LeadRemover,
    stop: StopScanner,
    untagged: String,
    continued: String,
    passed: String,
}

impl TextFilter {
    /// The filter that a request asks for. Markup of a folded conversation never passes: a model
    /// that goes on to write the next turn is cut there.
    pub fn new(reading: &Reading) -> Self {
        let guard = reading.key.iter().flat_map(|key| {
            let line = |tag: &str| Pattern::at_line_start(format!("{tag}-{key}"));
            let turn_end = Pattern::anywhere(format!("</turn-{key}"));
            [
                line("<turn"),
                line("<conversation"),
                line("</conversation"),
                line("<next"),
                line("<tool_result"),
                turn_end,
            ]
        });
        let stops = reading.stop.iter().map(Pattern::anywhere);
        let own_tag = |key| format!("<turn-{key} role=\"assistant\">");
        Self {
            tag: LeadRemover::of_tag(reading.key.as_ref().map(own_tag).unwrap_or_default()),
            prefill: LeadRemover::of_prefill(reading.prefill.clone().unwrap_or_default()),
            stop: StopScanner::new(guard.chain(stops)),
            untagged: String::new(),
            continued: String::new(),
            passed: String::new(),
        }
    }

    /// What of the next piece may go out now.
    pub fn push<'t>(&'t mut self, piece: &'t str) -> &'t str {
        if self.is_open() {
            return piece;
        }
        self.clear();
        self.tag.push(piece, &mut self.untagged);
        self.prefill.push(&self.untagged, &mut self.continued);
        self.stop.push(&self.continued, &mut self.passed);
        &self.passed
    }

    /// What may go out now that the text has ended.
    pub fn finish(&mut self) -> &str {
        self.clear();
        self.tag.finish(&mut self.untagged);
        self.prefill.push(&self.untagged, &mut self.continued);
        self.prefill.finish(&mut self.continued);
        self.stop.push(&self.continued, &mut self.passed);
        self.stop.finish(&mut self.passed);
        &self.passed
    }

    /// Whether the answer ends here, whatever else the model writes.
    pub fn has_stopped(&self) -> bool {
        self.stop.has_matched()
    }

    fn is_open(&self) -> bool {
        self.tag.is_done() && self.prefill.is_done() && self.stop.is_idle()
    }

    fn clear(&mut self) {
        self.untagged.clear();
        self.continued.clear();
        self.passed.clear();
    }
}
