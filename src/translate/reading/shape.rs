//! An answer's text, made into what the caller asked for: calls, JSON, or simply text.

mod verdicts;

use super::arguments::{Doubt, arguments};
use super::calls::{CallScanner, Scanned};
use super::chunks::NativeCall;
use super::envelope::{Form, RawArguments, RawCall, is_name};
use super::event::Fault;
use super::fitting;
use super::leniency;
use super::marker::Guard;
use super::scan::StopScanner;
use super::verdict::{ContractViolation, Verdict};
use crate::translate::contract::{Contract, FormatContract};
use crate::translate::json::{Progress, RootScanner};
use crate::translate::tools::Dialect;

/// Takes a model's text and gives out what of it is answer and what is a call.
#[derive(Debug)]
pub struct Shaper {
    contract: Contract,
    /// In a box, since most answers may hold no calls.
    scanner: Option<Box<CallScanner>>,
    /// Cuts the text where markup of the conversation turns out to be no call.
    guard: Option<Guard>,
    guarded: String,
    /// Ends the text where the caller wants that, if calls may stand in it.
    stop: StopScanner,
    stopped: String,
    /// The line break that the text so far ends in: before calls it is not looked into for stop
    /// sequences, since models are told to write calls on a line of their own.
    line_break: String,
    live: Option<RootScanner>,
    /// Text that may not go out before it is known to be right.
    held: String,
    calls: usize,
    /// Calls of a block that has not closed: all of them go out, or none.
    pending: Vec<Call>,
    broken: Option<String>,
    /// What is wrong with a call that may be delivered all the same.
    doubt: Option<Doubt>,
    leniencies: Vec<&'static str>,
    /// Whether anything but white space has been written.
    has_words: bool,
    /// Whether any of it was taken for text.
    has_passed: bool,
    /// Whether nothing but calls counts.
    is_calls_only: bool,
    /// Whether a stop sequence of the caller's has ended the answer before it came here.
    was_stopped: bool,
    /// How much has come.
    taken: usize,
    /// How much of it was text.
    passed: usize,
    /// Where the answer was over, if it was before its end.
    over: Option<usize>,
    scanned: Scanned,
}

/// A call that may be delivered: its tool was offered, and its arguments are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// 0, 1, 2 ...
    pub index: usize,
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

/// What a piece of text amounts to.
#[derive(Debug, Default)]
pub struct Shaped {
    pub text: String,
    pub calls: Vec<Call>,
}

impl Shaper {
    /// A shaper for this contract.
    pub fn new(contract: Contract) -> Self {
        let tools = contract.tools.as_ref();
        let scanner = tools.map(|tools| Box::new(CallScanner::new(tools)));
        let is_live = matches!(contract.format, FormatContract::Json { is_held: false, .. });
        Self {
            scanner,
            guard: contract
                .tools
                .as_ref()
                .map(|tools| Guard::behind_calls([&tools.key])),
            guarded: String::new(),
            stop: StopScanner::default(),
            stopped: String::new(),
            line_break: String::new(),
            live: is_live.then(RootScanner::new),
            contract,
            held: String::new(),
            calls: 0,
            pending: Vec::new(),
            broken: None,
            doubt: None,
            leniencies: Vec::new(),
            has_words: false,
            has_passed: false,
            is_calls_only: false,
            was_stopped: false,
            taken: 0,
            passed: 0,
            over: None,
            scanned: Scanned::default(),
        }
    }

    /// The same for a caller who wants the text to end where one of these comes. In calls they may
    /// stand, and where a call is due there is no text.
    #[must_use]
    pub fn stopping_at(mut self, stops: &[String]) -> Self {
        if self.contract.tools.is_some() && !self.contract.requires_call() {
            let stop = StopScanner::new(stops.iter().cloned());
            self.stop = match self.contract.format.is_strict() {
                true => stop.within_json(),
                false => stop,
            };
        }
        self
    }

    /// Whether everything goes through as it is.
    pub fn is_open(&self) -> bool {
        self.contract.is_plain()
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str, out: &mut Shaped) {
        self.taken = self.taken.saturating_add(piece.len());
        self.has_words |= !piece.trim().is_empty();
        let Some(scanner) = &mut self.scanner else {
            self.pass(piece, out);
            return;
        };
        let mut scanned = std::mem::take(&mut self.scanned);
        scanner.push(piece, &mut scanned);
        self.take_scanned(&mut scanned, out);
        self.scanned = scanned;
        if self.is_done() && self.broken.is_none() && self.doubt.is_none() {
            out.calls.append(&mut self.pending);
        }
    }

    /// Whether what comes now can only be another block of calls, or nothing that counts.
    pub fn is_over(&self) -> bool {
        self.is_done() || self.scanner.as_deref().is_some_and(CallScanner::is_over)
    }

    /// Whether the caller's stop sequences are looked for here.
    pub fn looks_for_stops(&self) -> bool {
        !self.stop.is_idle()
    }

    /// Whether nothing more is wanted of the model.
    pub fn is_done(&self) -> bool {
        self.broken.is_some()
            || self.is_full()
            || self.stopped_by().is_some()
            || self.scanner.as_deref().is_some_and(CallScanner::is_done)
    }

    /// How much of what has come is read. What is not may still be text or a call; once nothing more
    /// is wanted, it is what came after the end, and how much of that there is, is chance.
    pub fn read(&self) -> usize {
        let read = self
            .scanner
            .as_deref()
            .map_or(self.taken, CallScanner::read);
        let guarded = self.guard.as_ref().map_or(0, Guard::waiting);
        let stopped = self.stop.waiting().saturating_add(self.line_break.len());
        let waiting = guarded.saturating_add(stopped);
        self.over.unwrap_or(read.saturating_sub(waiting))
    }

    /// Which of the caller's stop sequences has ended the text, if one has.
    pub fn stopped_by(&self) -> Option<usize> {
        self.stop.matched()
    }

    /// A stop sequence of the caller's has ended the answer before it came here.
    pub fn take_stopped(&mut self) {
        self.was_stopped = true;
    }

    /// Whether a stop sequence of the caller's has ended the answer.
    fn is_stopped(&self) -> bool {
        self.was_stopped || self.stopped_by().is_some()
    }

    /// Whether the one call that may come is there; what follows it is not looked at.
    fn is_full(&self) -> bool {
        self.calls > 0 && self.contract.is_single()
    }

    /// From now on, nothing but calls counts: the text stood in a tool's result.
    pub fn take_calls_only(&mut self) {
        self.is_calls_only = true;
    }

    /// Whether any call has been given out.
    pub fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// Whether more of the conversation's record was cut off.
    pub fn has_cut(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::has_cut)
    }

    /// What had to be forgiven or mended, by name.
    pub fn leniencies(&self) -> &[&'static str] {
        &self.leniencies
    }

    /// The text ends here. What is right goes out, and the verdict tells about the rest.
    pub fn finish(&mut self, out: &mut Shaped) -> Verdict {
        let is_over = self.is_full() || self.stopped_by().is_some();
        if let Some(scanner) = self.scanner.as_mut().filter(|_| !is_over) {
            let mut scanned = std::mem::take(&mut self.scanned);
            scanner.finish(&mut scanned);
            self.take_scanned(&mut scanned, out);
        }
        self.finish_text(false, out);
        if let Some(correction) = self.broken.take() {
            return Verdict::Unmet(ContractViolation {
                correction,
                is_out_of_form: true,
                fault: Fault::ToolCall,
                instead: None,
            });
        }
        if let Some(doubt) = self.doubt.take() {
            return self.doubtful_calls(doubt);
        }
        out.calls.append(&mut self.pending);
        if self.calls > 0 {
            return Verdict::Met;
        }
        if self.is_calls_only {
            return self.calls_before_result(out);
        }
        if self.has_cut() && !self.has_passed {
            return Verdict::Unmet(self.nothing_left());
        }
        let has_tools = !self.contract.known_tools().is_empty();
        match () {
            () if self.contract.requires_call() => self.required_call(out),
            () if has_tools && !self.has_words && self.is_free() && !self.is_stopped() => {
                Self::empty(out)
            }
            () => self.formatted(out),
        }
    }

    /// Takes the calls that came apart from the text, once all of the answer is there: all of them
    /// go out, or none. Whether they may.
    pub fn take_native(&mut self, calls: Vec<NativeCall>) -> bool {
        if self.contract.native.is_none() {
            return false;
        }
        for NativeCall {
            name, arguments, ..
        } in calls
        {
            if self.is_full() {
                break;
            }
            match self.accept(RawCall::json(name, arguments)) {
                Ok(call) => self.pending.push(call),
                Err(correction) => {
                    self.broken = Some(correction);
                    break;
                }
            }
        }
        self.broken.is_none() && self.doubt.is_none()
    }

    fn take_scanned(&mut self, scanned: &mut Scanned, out: &mut Shaped) {
        let text = std::mem::take(&mut scanned.text);
        self.pass(&text, out);
        if !scanned.calls.is_empty() || scanned.broken.is_some() {
            // All text comes before the first call.
            self.finish_text(true, out);
        }
        for (raw, end) in std::mem::take(&mut scanned.calls) {
            if self.over.is_some() {
                break;
            }
            match self.accept(raw) {
                Ok(call) => self.pending.push(call),
                Err(correction) => self.broken = Some(correction),
            }
            if self.broken.is_some() || self.is_full() {
                self.over = Some(end);
                break;
            }
        }
        let is_unclosed = std::mem::take(&mut scanned.is_unclosed);
        let goes_on = !self.is_full() && self.stopped_by().is_none();
        if is_unclosed && self.broken.is_none() && goes_on {
            self.leniencies.push(leniency::UNCLOSED);
        }
        let broken = scanned.broken.take();
        if self.broken.is_none() && goes_on {
            self.broken = broken;
        }
    }

    /// Lets text go up to the first markup, or keeps it where it might have to be taken back.
    fn pass(&mut self, text: &str, out: &mut Shaped) {
        match &mut self.guard {
            None => self.pass_guarded(text, out),
            Some(guard) => {
                let mut guarded = std::mem::take(&mut self.guarded);
                guard.push(text, &mut guarded);
                self.pass_guarded(&guarded, out);
                guarded.clear();
                self.guarded = guarded;
            }
        }
    }

    /// The text ends here, because calls follow or because nothing does.
    fn finish_text(&mut self, is_before_calls: bool, out: &mut Shaped) {
        if let Some(guard) = &mut self.guard {
            let mut rest = String::new();
            guard.finish(&mut rest);
            self.pass_guarded(&rest, out);
        }
        let line_break = std::mem::take(&mut self.line_break);
        let mut rest = String::new();
        if !is_before_calls {
            self.stop.push(&line_break, &mut rest);
        }
        self.stop.finish(&mut rest);
        self.pass_stopped(&rest, out);
        if is_before_calls && self.stopped_by().is_none() {
            self.pass_stopped(&line_break, out);
        }
    }

    fn pass_guarded(&mut self, text: &str, out: &mut Shaped) {
        self.has_passed |= !text.trim().is_empty();
        // Where nothing but calls counts, there is no text that could be stopped.
        if self.stop.is_idle() || self.is_calls_only {
            return self.pass_stopped(text, out);
        }
        let text = std::mem::take(&mut self.line_break) + text;
        let before = before_line_break(&text);
        self.line_break = text.get(before.len()..).unwrap_or_default().to_owned();
        let mut stopped = std::mem::take(&mut self.stopped);
        self.stop.push(before, &mut stopped);
        self.pass_stopped(&stopped, out);
        stopped.clear();
        self.stopped = stopped;
    }

    fn pass_stopped(&mut self, text: &str, out: &mut Shaped) {
        self.passed = self.passed.saturating_add(text.len());
        if self.stopped_by().is_some() {
            self.over = Some(self.passed);
        }
        let is_required = self.contract.requires_call();
        match (&mut self.live, &self.contract.format) {
            _ if is_required || self.is_calls_only => self.held.push_str(text),
            (Some(live), _) => {
                let from = out.text.len();
                live.push(text, &mut out.text);
                // What begins with prose is cleaned once all of it is there, as a whole answer is.
                if live.progress() == Progress::Prose {
                    self.held.push_str(out.text.get(from..).unwrap_or_default());
                    out.text.truncate(from);
                }
            }
            (None, FormatContract::Json { .. }) => self.held.push_str(text),
            (None, FormatContract::Text) => out.text.push_str(text),
        }
    }

    /// Makes a call that may be delivered out of what the model wrote.
    fn accept(&mut self, mut raw: RawCall) -> Result<Call, String> {
        let tools = self.contract.known_tools();
        fitting::name_tool(&mut raw, tools);
        let exact = tools.iter().find(|tool| tool.name == raw.name);
        let Some(tool) =
            exact.or_else(|| only(tools.iter().filter(|tool| is_name(&raw.name, &tool.name))))
        else {
            let names = tools
                .iter()
                .map(|tool| tool.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(format!("There is no such tool. The tools are: {names}."));
        };
        self.leniencies.extend(&raw.mended);
        if exact.is_none() {
            self.leniencies.push(leniency::OTHER_NAME);
        }
        if self.is_calls_only {
            self.leniencies.push(leniency::RESULT);
        }
        if matches!(raw.arguments, RawArguments::Positional { .. }) {
            self.leniencies.push(leniency::POSITIONAL);
        }
        let (arguments, doubt) = arguments(&raw.arguments, tool)?;
        self.leniencies
            .extend(arguments.fixes.iter().map(|fix| fix.label()));
        let call = Call {
            index: self.calls,
            name: tool.name.clone(),
            arguments: arguments.json,
        };
        self.doubt = match self.doubt.take() {
            Some(before) => Some(before.and(doubt)),
            None => doubt,
        };
        self.note_form(&raw);
        self.calls = self.calls.saturating_add(1);
        Ok(call)
    }

    /// Names the form of a call that is not the one that was asked for.
    fn note_form(&mut self, raw: &RawCall) {
        let Some(tools) = &self.contract.tools else {
            return;
        };
        match (tools.dialect, raw.form) {
            _ if raw.is_bare => return,
            (_, Form::Json) if tools.is_arguments_only => self.leniencies.push(leniency::JSON),
            (Dialect::Tagged | Dialect::Json, Form::Elements) => {
                self.leniencies.push(leniency::MARKUP);
            }
            (Dialect::Markup, Form::Json) => self.leniencies.push(leniency::JSON),
            _ => {}
        }
        if tools.dialect != Dialect::Json && !raw.is_keyed && !tools.is_arguments_only {
            self.leniencies.push(leniency::WITHOUT_KEY);
        }
    }
}

/// A text without the line break that it ends in, or the first half of one.
fn before_line_break(text: &str) -> &str {
    let before = text.strip_suffix('\n').unwrap_or(text);
    before.strip_suffix('\r').unwrap_or(before)
}

/// The only item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
