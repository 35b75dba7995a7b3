//! What of a model's text is the answer: its lead taken off, cut where it has to end.

use super::echo::EchoRemover;
use super::marker::Guard;
use super::prefix::PrefixRemover;
use super::scan::StopScanner;
use crate::translate::plan::Recipe;

/// Everything that looks into the text on its way through.
#[derive(Debug)]
pub struct TextFilter {
    echo: EchoRemover,
    prefill: PrefixRemover,
    /// In a box, since many requests show a model no record.
    guard: Option<Box<Guard>>,
    stop: StopScanner,
    relieved: String,
    continued: String,
    guarded: String,
    passed: String,
}

impl TextFilter {
    /// The filter that a request asks for. Markup of a folded conversation never passes. Where a
    /// call is required no text is delivered, so the caller's stop sequences have nothing to end; where
    /// calls may stand in the text, they are looked for when these have been taken out.
    pub fn new(reading: &Recipe) -> Self {
        let contract = &reading.contract;
        let stops = match contract.requires_call() || contract.tools.is_some() {
            true => Vec::new(),
            false => reading.stop.clone(),
        };
        let is_guarded = reading.keys().next().is_some();
        Self {
            echo: EchoRemover::new(reading.keys()),
            prefill: PrefixRemover::of_prefill(reading.prefill.clone().unwrap_or_default()),
            guard: is_guarded.then(|| Box::new(Guard::new(reading))),
            stop: match contract.format.is_strict() {
                true => StopScanner::new(stops).within_json(),
                false => StopScanner::new(stops),
            },
            relieved: String::new(),
            continued: String::new(),
            guarded: String::new(),
            passed: String::new(),
        }
    }

    /// What of the next piece may go out now.
    pub fn push<'t>(&'t mut self, piece: &'t str) -> &'t str {
        if self.is_open() {
            return piece;
        }
        self.clear();
        self.echo.push(piece, &mut self.relieved);
        self.prefill.push(&self.relieved, &mut self.continued);
        self.pass_continued();
        &self.passed
    }

    /// What may go out now that the text has ended.
    pub fn finish(&mut self) -> &str {
        self.clear();
        self.echo.finish(&mut self.relieved);
        self.prefill.push(&self.relieved, &mut self.continued);
        self.prefill.finish(&mut self.continued);
        self.pass_continued();
        if let Some(guard) = &mut self.guard {
            self.guarded.clear();
            guard.finish(&mut self.guarded);
            self.stop.push(&self.guarded, &mut self.passed);
        }
        self.stop.finish(&mut self.passed);
        &self.passed
    }

    /// Whether the answer ends here, whatever else the model writes.
    pub fn has_stopped(&self) -> bool {
        self.stop.matched().is_some() || self.has_cut()
    }

    /// Which of the caller's stop sequences has ended the answer, if one has.
    pub fn stopped_by(&self) -> Option<usize> {
        self.stop.matched()
    }

    /// Whether markup of the conversation was taken off before the answer.
    pub fn has_relieved(&self) -> bool {
        self.echo.has_dropped()
    }

    /// Whether the answer was cut where more of the conversation follows.
    pub fn has_cut(&self) -> bool {
        self.guard.as_deref().is_some_and(Guard::has_cut)
    }

    /// Whether markup of the conversation was taken off or cut away.
    pub fn has_dropped(&self) -> bool {
        self.has_relieved() || self.has_cut()
    }

    /// Whether all there was stood in a tool's result.
    pub fn is_result(&self) -> bool {
        self.echo.is_result()
    }

    fn pass_continued(&mut self) {
        match &mut self.guard {
            None => self.stop.push(&self.continued, &mut self.passed),
            Some(guard) => {
                guard.push(&self.continued, &mut self.guarded);
                self.stop.push(&self.guarded, &mut self.passed);
            }
        }
    }

    fn is_open(&self) -> bool {
        self.echo.is_done() && self.prefill.is_done() && self.guard.is_none() && self.stop.is_idle()
    }

    fn clear(&mut self) {
        self.relieved.clear();
        self.continued.clear();
        self.guarded.clear();
        self.passed.clear();
    }
}
