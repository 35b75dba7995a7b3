//! The reading machine: fal's bytes in, events out. See the contract in [`super`].

use super::cumulative::fault_of;
use super::decoder::{Additions, Decoder, Step};
use super::echo::EchoRemover;
use super::event::{Event, Fault, Finish, FinishReason, Sink, Texts, Usage};
use super::filter::TextFilter;
use super::leniency;
use super::logprobs::{Claiming, Claims};
use super::meter::Meter;
use super::output::OutputBuffer;
use super::shape::{Shaped, Shaper};
use super::sse::{SseDecoder, SseEvent};
use super::think::{Split, ThinkSplitter};
use super::verdict::{BestEffort, ContractViolation, Verdict};
use crate::translate::plan::Recipe;

/// How fal wrote the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Object,
    /// Server-sent events.
    Events,
}

/// What the reader puts up with.
#[derive(Clone, Copy, Debug)]
pub struct ReaderLimits {
    /// Bytes of one event.
    pub max_event: usize,
    /// Bytes of a whole answer that comes as one object.
    pub max_object: usize,
    /// Whether a stream that ends properly, but without fal's closing event, is complete.
    pub accept_missing_final: bool,
}

/// Reads one answer.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    limits: ReaderLimits,
    answer: Answer,
}

#[derive(Debug)]
enum Source {
    Object(Vec<u8>),
    Events(SseDecoder),
}

impl Reader {
    /// A reader for an answer that comes in this format.
    pub fn new(reading: &Recipe, format: Format, limits: ReaderLimits) -> Self {
        Self {
            source: match format {
                Format::Object => Source::Object(Vec::new()),
                Format::Events => Source::Events(SseDecoder::new(limits.max_event)),
            },
            limits,
            answer: Answer::new(reading, limits),
        }
    }

    /// A reader for another attempt at the same answer: it counts on. If `before` has given out
    /// text, the text of this one follows on a line of its own, unless this one ends in calls.
    pub fn after(before: &Reader, reading: &Recipe, format: Format, limits: ReaderLimits) -> Self {
        let mut reader = Self::new(reading, format, limits);
        reader.answer.output.follow(&before.answer.output);
        reader.answer.meter.count_on(&before.answer.meter);
        reader
    }

    /// What came in the place of an answer and reports an error, before anything was said.
    pub fn refused(&self) -> Option<&[u8]> {
        self.answer.refused.as_deref()
    }

    /// What the model wrote, as far as it is worth showing again.
    pub fn reply(&self) -> &str {
        self.answer.written.as_deref().unwrap_or_default()
    }

    /// What had to be forgiven or mended in calls and JSON, by name.
    pub fn leniencies(&self) -> Vec<&'static str> {
        self.answer.leniencies()
    }

    /// Whether the upstream tells a cost that cannot be one.
    pub fn has_unsound_cost(&self) -> bool {
        self.answer.meter.has_unsound_cost()
    }

    /// Tokens so far, as the upstream tells them, or else estimated.
    pub fn usage(&self) -> Usage {
        self.answer.meter.usage()
    }

    /// The same, without earlier attempts at the same answer.
    pub fn own_usage(&self) -> Usage {
        self.answer.meter.own_usage()
    }

    /// Keeps what the model writes until [`take_texts`](Self::take_texts), for those who count its
    /// tokens exactly.
    pub fn keep_texts(&mut self) {
        self.answer.meter.keep_texts();
    }

    /// What the model wrote, if it was kept.
    pub fn take_texts(&mut self) -> Texts {
        self.answer.meter.take_texts()
    }

    /// Takes bytes; nothing happens until [`read`](Self::read).
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.answer.has_ended {
            return;
        }
        match &mut self.source {
            Source::Object(object) => object.extend_from_slice(bytes),
            Source::Events(decoder) => decoder.feed(bytes),
        }
    }

    /// Acts on what has been fed.
    pub fn read(&mut self, sink: &mut dyn Sink) {
        if self.answer.has_ended {
            return;
        }
        match &mut self.source {
            Source::Object(object) if object.len() > self.limits.max_object => {
                self.answer.fail(Fault::Unusable("answer too large"), sink);
            }
            Source::Object(_) => {}
            Source::Events(decoder) => {
                self.answer.read_events(decoder, sink);
                if decoder.is_overfull() {
                    self.answer.fail(Fault::Unusable("event too large"), sink);
                }
            }
        }
    }

    /// The upstream has closed properly.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        self.read(sink);
        if self.answer.has_ended {
            return;
        }
        match &mut self.source {
            Source::Object(object) => {
                let object = std::mem::take(object);
                self.answer.take(&object, Step::Final, sink);
                // An answer that calls itself partial and has nothing after it was cut.
                self.answer.fail(Fault::Disconnected, sink);
            }
            Source::Events(decoder) => {
                let is_whole = decoder.is_between_events();
                let is_complete =
                    self.limits.accept_missing_final || self.answer.decoder.is_complete();
                self.answer.finish_events(is_whole && is_complete, sink);
            }
        }
    }

    /// Ends the reading because something outside went wrong.
    pub fn fail(&mut self, fault: Fault, sink: &mut dyn Sink) {
        self.answer.fail(fault, sink);
    }

    /// Whether the ending has been given out.
    pub fn has_ended(&self) -> bool {
        self.answer.has_ended
    }
}

/// Where a model's reasoning comes from. An answer that has it in both places says the same thing
/// twice, so the place that speaks first is the one that is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReasoningSource {
    /// fal's own field.
    Field,
    /// A `<think>` block at the start of the output.
    Block,
}

/// How much of a reply is kept for asking again, and how long an error may be that is looked into, in
/// bytes.
const MAX_KEPT: usize = 16 * 1024;

/// The answer so far.
#[derive(Debug)]
struct Answer {
    decoder: Decoder,
    new: Additions,
    /// What the model wrote besides fal's own field for reasoning, for asking it again, where it may have
    /// to be.
    written: Option<String>,
    /// Whether it wrote any of that.
    has_written: bool,
    /// Takes off what stands before a `<think>` block; the filter has one for what comes after it.
    echo: EchoRemover,
    relieved: String,
    splitter: ThinkSplitter,
    split: Split,
    voice: Option<ReasoningSource>,
    filter: TextFilter,
    /// Where the answer can be other than what was asked for. In a box, since most answers cannot.
    shaper: Option<Box<Shaper>>,
    shaped: Shaped,
    meter: Meter,
    show_reasoning: bool,
    output: OutputBuffer,
    /// Where probabilities are wanted.
    logprobs: Option<Claims>,
    /// Bytes of text that have been split.
    split_bytes: usize,
    /// The object or event that reports an error, where nothing was said before it.
    refused: Option<Vec<u8>>,
    /// Whether anything but markup and white space has been written.
    has_words: bool,
    has_begun: bool,
    has_ended: bool,
}

impl Answer {
    fn new(reading: &Recipe, limits: ReaderLimits) -> Self {
        let can_be_unmet = reading.can_be_unmet();
        let shaper = || Shaper::new(reading.contract.clone()).stopping_at(&reading.stop);
        Self {
            decoder: Decoder::new(reading.decoder, limits, reading.top_logprobs),
            new: Additions::default(),
            written: can_be_unmet.then(String::new),
            has_written: false,
            echo: EchoRemover::new(reading.keys()),
            relieved: String::new(),
            splitter: ThinkSplitter::default(),
            split: Split::default(),
            voice: None,
            filter: TextFilter::new(reading),
            shaper: can_be_unmet.then(|| Box::new(shaper())),
            shaped: Shaped::default(),
            meter: Meter::new(reading),
            show_reasoning: reading.show_reasoning,
            output: OutputBuffer::new(reading),
            logprobs: reading.top_logprobs.map(|_| Claims::default()),
            split_bytes: 0,
            refused: None,
            has_words: false,
            has_begun: false,
            has_ended: false,
        }
    }

    /// Reads the events that are complete. One whose text is contained in the next is passed over,
    /// and read after all when the next one turns out to be unusable.
    fn read_events(&mut self, decoder: &mut SseDecoder, sink: &mut dyn Sink) {
        let mut passed_over = Vec::new();
        let mut waiting = None;
        while let Some(event) = decoder.next_event() {
            if let Some(before) = waiting.replace(event)
                && let Some(event) = &waiting
            {
                if self
                    .decoder
                    .is_superseded(decoder.data(&before), decoder.data(event))
                {
                    passed_over.push(before);
                } else {
                    self.take_event(decoder, &before, &passed_over, sink);
                    passed_over.clear();
                    if self.has_ended {
                        return;
                    }
                }
            }
        }
        if let Some(last) = waiting {
            self.take_event(decoder, &last, &passed_over, sink);
        }
    }

    fn take_event(
        &mut self,
        decoder: &SseDecoder,
        event: &SseEvent,
        passed_over: &[SseEvent],
        sink: &mut dyn Sink,
    ) {
        let data = decoder.data(event);
        let outcome = match event.is_error {
            true => Err(fault_of(&String::from_utf8_lossy(data))),
            false => self.decoder.advance(data, Step::Partial, &mut self.new),
        };
        if outcome.is_err() {
            for before in passed_over {
                self.take(decoder.data(before), Step::Partial, sink);
            }
        }
        let outcome = self.heed_refusal(outcome, data);
        self.conclude(outcome, sink);
    }

    fn take(&mut self, object: &[u8], step: Step, sink: &mut dyn Sink) {
        if self.has_ended {
            return;
        }
        let outcome = self.decoder.advance(object, step, &mut self.new);
        let outcome = self.heed_refusal(outcome, object);
        self.conclude(outcome, sink);
    }

    /// Keeps what reports an error in the place of an answer, for those who know what it says. Behind the
    /// beginning of an answer it says only that the model has failed.
    fn heed_refusal(&mut self, outcome: Result<Step, Fault>, data: &[u8]) -> Result<Step, Fault> {
        let is_error = matches!(
            outcome,
            Err(Fault::Model | Fault::Busy | Fault::ContextLength)
        );
        let has_said = self.has_written || self.voice.is_some() || self.decoder.has_begun();
        match is_error {
            true if has_said => return Err(Fault::Model),
            true if data.len() <= MAX_KEPT => self.refused = Some(data.to_vec()),
            _ => {}
        }
        outcome
    }

    fn conclude(&mut self, outcome: Result<Step, Fault>, sink: &mut dyn Sink) {
        if self.has_ended {
            return;
        }
        self.has_begun = true;
        match outcome {
            Err(fault) => self.fail(fault, sink),
            Ok(step) => {
                self.pass_on(sink);
                if step == Step::Final && !self.has_ended {
                    self.complete(sink);
                }
            }
        }
    }

    /// Gives out what is new, as far as it may go out.
    fn pass_on(&mut self, sink: &mut dyn Sink) {
        let mut new = std::mem::take(&mut self.new);
        self.meter.report(self.decoder.reported());
        self.reason(ReasoningSource::Field, &new.reasoning, sink);
        if let Some(claims) = &mut self.logprobs {
            claims.expect(&mut new.spans);
        }
        self.keep(&new.text);
        if self.echo.is_done() && self.splitter.is_done() {
            self.speak(&new.text, sink);
        } else {
            self.echo.push(&new.text, &mut self.relieved);
            self.split_relieved(sink);
        }
        let is_done = self.shaper.as_deref().is_some_and(Shaper::is_done);
        if self.filter.has_stopped() || is_done {
            self.conclude_text(true, sink);
        }
        new.clear();
        self.new = new;
    }

    /// Keeps what the model wrote.
    fn keep(&mut self, written: &str) {
        self.has_written |= !written.is_empty();
        if let Some(kept) = self.written.as_mut().filter(|kept| kept.len() < MAX_KEPT) {
            kept.push_str(written);
        }
    }

    fn split_relieved(&mut self, sink: &mut dyn Sink) {
        self.splitter.push(&self.relieved, &mut self.split);
        self.split_bytes = self.split_bytes.saturating_add(self.relieved.len());
        self.relieved.clear();
        self.pass_on_split(sink);
    }

    fn pass_on_split(&mut self, sink: &mut dyn Sink) {
        let split = std::mem::take(&mut self.split);
        self.reason(ReasoningSource::Block, &split.reasoning, sink);
        if let Some(claims) = self.logprobs.as_mut().filter(|_| !split.text.is_empty()) {
            claims.skip_to(self.split_bytes.saturating_sub(split.text.len()));
        }
        self.speak(&split.text, sink);
    }

    fn reason(&mut self, voice: ReasoningSource, thought: &str, sink: &mut dyn Sink) {
        if thought.is_empty() || *self.voice.get_or_insert(voice) != voice {
            return;
        }
        self.meter.add_reasoning(thought);
        if self.show_reasoning {
            sink.event(Event::Reasoning(thought));
        }
    }

    fn speak(&mut self, text: &str, sink: &mut dyn Sink) {
        if text.is_empty() {
            return;
        }
        let passed = self.filter.push(text);
        if passed.is_empty() {
            return;
        }
        self.has_words |= !passed.trim().is_empty();
        if let Some(shaper) = shaping(&mut self.shaper) {
            self.meter.expect_text(passed);
            shaper.push(passed, &mut self.shaped);
            self.meter.count_until(shaper.read());
            self.deliver(sink);
        } else {
            self.meter.add_text(passed);
            Claiming::over(&mut self.logprobs, sink).event(Event::Text(passed));
        }
    }

    /// Passes on what has been shaped, with the tokens that it is made of.
    fn deliver(&mut self, sink: &mut dyn Sink) {
        let mut sink = Claiming::over(&mut self.logprobs, sink);
        self.output.deliver(&mut self.shaped, &mut sink);
    }

    /// Passes on what had to wait.
    fn release(&mut self, sink: &mut dyn Sink) {
        let mut sink = Claiming::over(&mut self.logprobs, sink);
        self.output.release(&mut sink);
    }

    /// The model is done.
    fn complete(&mut self, sink: &mut dyn Sink) {
        self.echo.finish(&mut self.relieved);
        self.heed_result(self.echo.is_result());
        self.split_relieved(sink);
        if self.splitter.is_thinking() {
            self.meter.add_unfinished();
        }
        self.splitter.finish(&mut self.split);
        self.pass_on_split(sink);
        let rest = self.filter.finish().to_owned();
        self.heed_result(self.filter.is_result());
        let blocks = self.decoder.take_details();
        if let Some(shaper) = shaping(&mut self.shaper) {
            self.has_words |= !rest.trim().is_empty();
            self.meter.expect_text(&rest);
            shaper.push(&rest, &mut self.shaped);
            if !shaper.looks_for_stops() {
                count_shaped(shaper, &mut self.meter);
            }
            self.take_native_calls(blocks, sink);
        } else if !rest.is_empty() && !self.filter.is_result() {
            self.has_words |= !rest.trim().is_empty();
            self.meter.add_text(&rest);
            Claiming::over(&mut self.logprobs, sink).event(Event::Text(&rest));
        }
        self.conclude_text(self.filter.has_stopped(), sink);
    }

    /// Why an answer has ended, before the model was done or with it; that it waits for results is
    /// concluded from its calls.
    fn finish_reason(&self, is_before_end: bool) -> FinishReason {
        let stopped = self.filter.stopped_by();
        let shaped = self.shaper.as_deref().and_then(Shaper::stopped_by);
        if let Some(sequence) = stopped.or(shaped) {
            return FinishReason::StopSequence(sequence);
        }
        match self.decoder.finish_reason() {
            _ if is_before_end => FinishReason::Stop,
            Some(FinishReason::ToolCalls) => FinishReason::Stop,
            Some(reason) => reason,
            None => self.meter.finish_reason(),
        }
    }

    /// Hands on the calls that came apart from the text, unless the text was stopped before them.
    fn take_native_calls(&mut self, blocks: Option<String>, sink: &mut dyn Sink) {
        let calls = self.decoder.take_calls();
        if calls.is_empty() || self.filter.has_stopped() {
            return;
        }
        for call in &calls {
            let written = call.to_string();
            self.meter.add_text(&written);
            self.keep(&written);
        }
        if let Some(shaper) = &mut self.shaper
            && shaper.take_native(calls)
            && let Some(blocks) = blocks
        {
            sink.event(Event::ReasoningBlocks(&blocks));
        }
    }

    /// All that is left of the text stood in a tool's result: nothing in it counts but calls.
    fn heed_result(&mut self, is_result: bool) {
        if let Some(shaper) = self.shaper.as_mut().filter(|_| is_result) {
            shaper.take_calls_only();
            if shaper.is_open() {
                self.relieved.clear();
            }
        }
    }

    /// The text is all there: what it amounts to decides how the answer ends.
    fn conclude_text(&mut self, is_before_end: bool, sink: &mut dyn Sink) {
        let verdict = self.finish_shaping();
        let reason = self.finish_reason(is_before_end);
        let shaper = self.shaper.as_deref();
        let has_calls = shaper.is_some_and(Shaper::has_calls);
        let left = shaper.filter(|_| self.is_nothing_but_markup(reason));
        let left = left.map(Shaper::nothing_left);
        let Some(verdict) = verdict else {
            return match left {
                Some(unmet) => self.end_unmet(unmet, sink),
                None => self.end(reason, sink),
            };
        };
        let verdict = left.map_or(verdict, Verdict::Unmet);
        self.deliver(sink);
        match (verdict, reason) {
            (Verdict::Met, reason) => {
                let reason = match has_calls {
                    true => FinishReason::ToolCalls,
                    false => reason,
                };
                self.release(sink);
                self.end(reason, sink);
            }
            (Verdict::Declined(words), _) => {
                sink.event(Event::Refusal(&words));
                self.end(FinishReason::Stop, sink);
            }
            // What `max_tokens` or a provider cut is not the model's mistake: what may be delivered is.
            (Verdict::Unmet(unmet), FinishReason::Length | FinishReason::ContentFilter) => {
                let BestEffort { text, calls, .. } = unmet.instead.unwrap_or_default();
                let reason = match calls.is_empty() {
                    true => reason,
                    false => FinishReason::ToolCalls,
                };
                self.shaped = Shaped { text, calls };
                self.deliver(sink);
                self.release(sink);
                self.end(reason, sink);
            }
            (Verdict::Unmet(unmet), _) => self.end_unmet(unmet, sink),
        }
    }

    /// Whether nothing is left of the answer, although nobody has cut it.
    fn is_nothing_but_markup(&self, reason: FinishReason) -> bool {
        let has_dropped = self.echo.has_dropped() || self.filter.has_dropped();
        let is_cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        has_dropped && !self.has_words && !is_cut
    }

    /// Shapes what is left, where that has to be done. A stop sequence may be found only in that, and what
    /// follows it does not count.
    fn finish_shaping(&mut self) -> Option<Verdict> {
        let shaper = shaping(&mut self.shaper)?;
        let counts_later = shaper.looks_for_stops() && !shaper.is_over();
        if !counts_later {
            count_shaped(shaper, &mut self.meter);
        }
        if self.filter.stopped_by().is_some() {
            shaper.take_stopped();
        }
        let verdict = shaper.finish(&mut self.shaped);
        if counts_later {
            match shaper.stopped_by() {
                Some(_) => self.meter.count_until(shaper.read()),
                None => self.meter.count_waiting(),
            }
        }
        Some(verdict)
    }

    fn end_unmet(&mut self, unmet: ContractViolation, sink: &mut dyn Sink) {
        self.has_ended = true;
        self.tell_mending(sink);
        let instead = unmet.instead.map(|instead| {
            let mut instead = self.output.complete(instead);
            if let Some(claims) = &mut self.logprobs {
                instead.logprobs = claims.claim(&instead.text);
            }
            instead
        });
        sink.event(Event::Unmet(&ContractViolation { instead, ..unmet }));
    }

    fn finish_events(&mut self, is_acceptable: bool, sink: &mut dyn Sink) {
        if is_acceptable {
            self.decoder.settle(&mut self.new);
            self.pass_on(sink);
        }
        match () {
            () if self.has_ended => {}
            () if self.decoder.has_finished() => self.complete(sink),
            () if self.decoder.is_revised() => self.fail(Fault::Revised, sink),
            () if self.has_begun && is_acceptable => self.complete(sink),
            () => self.fail(Fault::Disconnected, sink),
        }
    }

    fn leniencies(&self) -> Vec<&'static str> {
        let is_relieved = self.echo.has_dropped() || self.filter.has_relieved();
        // Behind calls nothing else is wanted, and how much of it comes is chance.
        let shaper = self.shaper.as_deref();
        let has_cut = self.filter.has_cut() || shaper.is_some_and(Shaper::has_cut);
        let is_cut = has_cut && !shaper.is_some_and(Shaper::has_calls);
        let of_record = [
            is_relieved.then_some(leniency::RECORD_TAGS),
            is_cut.then_some(leniency::RECORD_CONTINUED),
        ];
        let all = of_record.into_iter().flatten();
        let of_shape = shaper.map(Shaper::leniencies).unwrap_or_default();
        all.chain(of_shape.iter().copied()).collect()
    }

    fn tell_mending(&self, sink: &mut dyn Sink) {
        let leniencies = self.leniencies();
        if !leniencies.is_empty() {
            sink.event(Event::Mended(&leniencies));
        }
    }

    fn end(&mut self, reason: FinishReason, sink: &mut dyn Sink) {
        self.has_ended = true;
        self.tell_mending(sink);
        self.meter.report(self.decoder.reported());
        sink.event(Event::Finished(Finish {
            reason,
            usage: self.meter.usage(),
        }));
    }

    fn fail(&mut self, fault: Fault, sink: &mut dyn Sink) {
        match () {
            () if self.has_ended => {}
            // What fails now is only what follows an answer that is complete.
            () if self.decoder.has_finished() && fault.is_from_outside() => self.complete(sink),
            () => {
                self.has_ended = true;
                self.meter.count_waiting();
                self.meter.report(self.decoder.reported());
                sink.event(Event::Failed(fault));
            }
        }
    }
}

/// The shaper, where text does not go through it as it is.
fn shaping(shaper: &mut Option<Box<Shaper>>) -> Option<&mut Shaper> {
    shaper.as_deref_mut().filter(|shaper| !shaper.is_open())
}

/// Counts what belongs to the answer now that no more is coming, or wanted.
fn count_shaped(shaper: &Shaper, meter: &mut Meter) {
    match shaper.is_over() {
        true => meter.count_until(shaper.read()),
        false => meter.count_waiting(),
    }
}
