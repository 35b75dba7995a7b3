//! A response as it comes to be: the events of its stream (source: OpenAI's `ResponseStreamEvent`).
//!
//! Each event has a number, each item is opened, filled and closed, and the last event carries all
//! of the response. Clients trust that: one that keeps only what is closed, or only the last event,
//! has to find everything there.

use std::io::Write;

use super::echo::Echo;
use super::exposed::Names;
use super::output::{self, CallItem, Output, Shown, Status, write_response};
use crate::translate::face::answer::{FrameWriter, WholeAnswer};
use crate::translate::face::error_object;
use crate::translate::face::objects::{ResponseMeta, noted_at_end, write_json};
use crate::translate::face::state::Record;
use crate::translate::notes::Notes;
use crate::translate::problem::{Problem, ProblemKind};
use crate::translate::reading::{Call, FinishReason, Usage};

/// Writes the events of a stream.
#[derive(Debug)]
pub struct ResponseEvents {
    head: ResponseMeta,
    echo: Echo,
    names: Names,
    sequence_number: u64,
    has_queued: bool,
    has_opened: bool,
    output: Output,
    /// The item that is being filled.
    open: Option<OpenItem>,
    status: Status,
    /// The notes, where they are wanted in the body.
    wanted: Option<Notes>,
}

#[derive(Debug)]
struct OpenItem {
    kind: Kind,
    id: String,
    text: String,
}

/// The items that are filled piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
}

impl ResponseEvents {
    pub fn new(head: &ResponseMeta, echo: Echo, names: Names, notes: Option<&Notes>) -> Self {
        Self {
            output: Output::new(&head.id),
            head: head.clone(),
            echo,
            names,
            sequence_number: 0,
            has_queued: false,
            has_opened: false,
            open: None,
            status: Status::InProgress,
            wanted: notes.cloned(),
        }
    }

    fn event(&mut self, out: &mut Vec<u8>, kind: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let number = self.sequence_number;
        self.sequence_number += 1;
        let _ = write!(
            out,
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number}"
        );
        write(out);
        out.extend_from_slice(b"}\n\n");
    }

    /// An event about the item at `index`.
    fn item_event(
        &mut self,
        out: &mut Vec<u8>,
        kind: &str,
        (index, id): (usize, &str),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.event(out, kind, |out| {
            let _ = write!(out, ",\"output_index\":{index},\"item_id\":\"{id}\"");
            write(out);
        });
    }

    /// An event that carries the response as it is so far.
    fn response_event(
        &mut self,
        out: &mut Vec<u8>,
        kind: &str,
        usage: Option<Usage>,
        error: Option<(&str, &str)>,
    ) {
        let mut json = Vec::with_capacity(512 + self.echo.size() + self.output.items().len());
        let shown = Shown {
            status: self.status,
            output: self.output.items(),
            usage,
            error,
            is_brief: false,
        };
        let told = self.head.usage;
        let source = usage.map_or(told, |usage| usage.source);
        let notes = noted_at_end(self.wanted.as_ref(), told, source);
        write_response(&mut json, &self.head, &shown, &self.echo, &notes);
        self.event(out, kind, |out| {
            out.extend_from_slice(b",\"response\":");
            out.extend_from_slice(&json);
        });
    }

    fn open_stream(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_opened, true) {
            if !self.has_queued {
                self.response_event(out, "response.created", None, None);
            }
            self.response_event(out, "response.in_progress", None, None);
        }
    }

    fn added(&mut self, out: &mut Vec<u8>, write_item: impl FnOnce(&mut Vec<u8>)) {
        let index = self.output.count();
        self.event(out, "response.output_item.added", |out| {
            let _ = write!(out, ",\"output_index\":{index},\"item\":");
            write_item(out);
        });
    }

    /// The item that was added to the output last.
    fn done(&mut self, out: &mut Vec<u8>, item: &[u8]) {
        let index = self.output.count().saturating_sub(1);
        self.event(out, "response.output_item.done", |out| {
            let _ = write!(out, ",\"output_index\":{index},\"item\":");
            out.extend_from_slice(item);
        });
    }

    /// Opens an item of this kind, unless it is open.
    fn fill(&mut self, out: &mut Vec<u8>, kind: Kind) {
        if self.open.as_ref().is_some_and(|open| open.kind == kind) {
            return;
        }
        self.close_item(out, Status::Completed);
        let id = self.output.next_id(kind.prefix());
        let index = self.output.count();
        self.added(out, |out| match kind {
            Kind::Message => output::write_message(out, &id, Status::InProgress, |_| {}),
            Kind::Reasoning => output::write_reasoning(out, &id, Status::InProgress, |_| {}),
        });
        self.item_event(out, kind.part_added(), (index, &id), |out| {
            kind.write_part(out, "")
        });
        self.open = Some(OpenItem {
            kind,
            id,
            text: String::new(),
        });
    }

    fn delta(&mut self, out: &mut Vec<u8>, kind: Kind, text: &str) {
        if text.is_empty() {
            return;
        }
        self.fill(out, kind);
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.text.push_str(text);
        let index = self.output.count();
        self.item_event(out, kind.delta(), (index, &open.id), |out| {
            let _ = write!(out, ",\"{}\":0,\"delta\":", kind.place());
            write_json(out, text);
            out.extend_from_slice(kind.after_text());
        });
        self.open = Some(open);
    }

    /// Closes the item that is open, if one is.
    fn close_item(&mut self, out: &mut Vec<u8>, status: Status) {
        let Some(OpenItem { kind, id, text }) = self.open.take() else {
            return;
        };
        let item = (self.output.count(), id.as_str());
        self.item_event(out, kind.text_done(), item, |out| {
            let _ = write!(out, ",\"{}\":0,\"text\":", kind.place());
            write_json(out, &text);
            out.extend_from_slice(kind.after_text());
        });
        self.item_event(out, kind.part_done(), item, |out| {
            kind.write_part(out, &text)
        });
        let item = match kind {
            Kind::Message => self.output.message(&text, status),
            Kind::Reasoning => self.output.reasoning(&text, status),
        };
        let item = item.to_vec();
        self.done(out, &item);
    }
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Message => "msg_",
            Self::Reasoning => "rs_",
        }
    }

    fn part_added(self) -> &'static str {
        match self {
            Self::Message => "response.content_part.added",
            Self::Reasoning => "response.reasoning_summary_part.added",
        }
    }

    fn delta(self) -> &'static str {
        match self {
            Self::Message => "response.output_text.delta",
            Self::Reasoning => "response.reasoning_summary_text.delta",
        }
    }

    fn text_done(self) -> &'static str {
        match self {
            Self::Message => "response.output_text.done",
            Self::Reasoning => "response.reasoning_summary_text.done",
        }
    }

    fn part_done(self) -> &'static str {
        match self {
            Self::Message => "response.content_part.done",
            Self::Reasoning => "response.reasoning_summary_part.done",
        }
    }

    /// Where a part stands in its item.
    fn place(self) -> &'static str {
        match self {
            Self::Message => "content_index",
            Self::Reasoning => "summary_index",
        }
    }

    fn after_text(self) -> &'static [u8] {
        match self {
            Self::Message => b",\"logprobs\":[]",
            Self::Reasoning => b"",
        }
    }

    fn write_part(self, out: &mut Vec<u8>, text: &str) {
        let _ = write!(out, ",\"{}\":0,\"part\":", self.place());
        match self {
            Self::Message => output::write_text_part(out, text),
            Self::Reasoning => output::write_summary_part(out, text),
        }
    }
}

impl FrameWriter for ResponseEvents {
    /// Comments do not count as a sign of life for all clients, so an event is said again: with
    /// neither the output nor what is long in the request, because it may be said very often.
    fn ping(&mut self, out: &mut Vec<u8>) {
        if !self.has_opened {
            return self.open_stream(out);
        }
        let shown = Shown {
            status: Status::InProgress,
            output: &[],
            usage: None,
            error: None,
            is_brief: true,
        };
        let mut json = Vec::with_capacity(1024);
        write_response(&mut json, &self.head, &shown, &self.echo, &[]);
        self.event(out, "response.in_progress", |out| {
            out.extend_from_slice(b",\"response\":");
            out.extend_from_slice(&json);
        });
    }

    fn queue(&mut self, out: &mut Vec<u8>) {
        self.has_queued = true;
        self.status = Status::Queued;
        self.response_event(out, "response.created", None, None);
        self.response_event(out, "response.queued", None, None);
        self.status = Status::InProgress;
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        self.open_stream(out);
    }

    fn open(&mut self, out: &mut Vec<u8>, _: usize) {
        self.open_stream(out);
    }

    fn text(&mut self, out: &mut Vec<u8>, _: usize, text: &str) {
        self.delta(out, Kind::Message, text);
    }

    fn reasoning(&mut self, out: &mut Vec<u8>, _: usize, text: &str) {
        self.delta(out, Kind::Reasoning, text);
    }

    fn call(&mut self, out: &mut Vec<u8>, _: usize, call: &Call) {
        self.close_item(out, Status::Completed);
        let written = CallItem::new(&self.output, call, &self.names);
        let given = written.given(call);
        let (delta, done) = match written.is_custom {
            true => (
                "response.custom_tool_call_input.delta",
                "response.custom_tool_call_input.done",
            ),
            false => (
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
            ),
        };
        self.added(out, |out| written.write(out, Status::InProgress, ""));
        let item = (self.output.count(), written.id.as_str());
        self.item_event(out, delta, item, |out| {
            out.extend_from_slice(b",\"delta\":");
            write_json(out, given.as_ref());
        });
        self.item_event(out, done, item, |out| {
            if written.is_custom {
                out.extend_from_slice(b",\"input\":");
            } else {
                out.extend_from_slice(b",\"name\":");
                write_json(out, written.name());
                out.extend_from_slice(b",\"arguments\":");
            }
            write_json(out, given.as_ref());
        });
        let item = self.output.call(call, &self.names).to_vec();
        self.done(out, &item);
    }

    fn refusal(&mut self, out: &mut Vec<u8>, _: usize, words: &str) {
        self.close_item(out, Status::Completed);
        let id = self.output.next_id("msg_");
        let item = (self.output.count(), id.as_str());
        self.added(out, |out| {
            output::write_message(out, &id, Status::InProgress, |_| {})
        });
        let part = |out: &mut Vec<u8>, words: &str| {
            out.extend_from_slice(b",\"content_index\":0,\"part\":");
            output::write_refusal_part(out, words);
        };
        let said = |out: &mut Vec<u8>, name: &str| {
            let _ = write!(out, ",\"content_index\":0,\"{name}\":");
            write_json(out, words);
        };
        self.item_event(out, "response.content_part.added", item, |out| {
            part(out, "")
        });
        self.item_event(out, "response.refusal.delta", item, |out| {
            said(out, "delta")
        });
        self.item_event(out, "response.refusal.done", item, |out| {
            said(out, "refusal")
        });
        self.item_event(out, "response.content_part.done", item, |out| {
            part(out, words)
        });
        let item = self.output.refusal(words).to_vec();
        self.done(out, &item);
    }

    fn record(&self, usage: Usage, _: &WholeAnswer) -> Option<Record> {
        let shown = Shown {
            status: self.status,
            output: &[],
            usage: Some(usage),
            error: None,
            is_brief: false,
        };
        let record = output::recorded(&self.head, &shown, &self.echo, &self.output);
        self.echo.is_kept.then_some(record)
    }

    fn forget(&mut self) {
        self.echo.is_kept = false;
    }

    fn mended(&mut self, names: &[&'static str]) {
        if let Some(notes) = &mut self.wanted {
            names.iter().for_each(|name| notes.emulated(name));
        }
    }

    fn close(&mut self, out: &mut Vec<u8>, _: usize, reason: FinishReason) {
        self.status = Status::of(reason);
        if self.output.count() == 0 && self.open.is_none() {
            self.fill(out, Kind::Message);
        }
        self.close_item(out, self.status);
    }

    fn end(&mut self, out: &mut Vec<u8>, usage: Usage) {
        let kind = match self.status {
            Status::Incomplete | Status::Filtered => "response.incomplete",
            _ => "response.completed",
        };
        self.response_event(out, kind, Some(usage), None);
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// Some clients read the error, others only the response that has failed. Its code tells them
    /// whether to ask again by themselves: what may have been paid for has one that nobody repeats.
    fn fail(&mut self, out: &mut Vec<u8>, problem: &Problem) {
        // What fails is not kept.
        self.echo.is_kept = false;
        self.open_stream(out);
        self.status = Status::Failed;
        if let Some(OpenItem { kind, text, .. }) = self.open.take() {
            match kind {
                Kind::Message => self.output.message(&text, Status::Incomplete),
                Kind::Reasoning => self.output.reasoning(&text, Status::Incomplete),
            };
        }
        let envelope = error_object::frame_envelope(problem);
        let nested = envelope
            .strip_prefix(b"{")
            .and_then(|rest| rest.strip_suffix(b"}"));
        self.event(out, "error", |out| {
            let _ = write!(out, ",\"code\":\"{}\",\"message\":", problem.code);
            write_json(out, &problem.message);
            out.extend_from_slice(b",\"param\":");
            write_json(out, &problem.param);
            out.push(b',');
            out.extend_from_slice(nested.unwrap_or(b"\"error\":null"));
        });
        let error = (ending_code(problem), problem.message.as_ref());
        self.response_event(out, "response.failed", None, Some(error));
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// The code of a response that has failed (source: OpenAI's `ResponseErrorCode`, and what Codex
/// does with each). Clients repeat what is called a failure of the server; `invalid_prompt` ends a
/// turn and is shown with its message.
pub(super) fn ending_code(problem: &Problem) -> &'static str {
    match (problem.code, problem.kind) {
        ("context_length_exceeded", _) => "context_length_exceeded",
        (_, ProblemKind::NoBalance) => "insufficient_quota",
        (_, ProblemKind::RateLimited) => "rate_limit_exceeded",
        (
            _,
            ProblemKind::Internal
            | ProblemKind::BadUpstream
            | ProblemKind::Unavailable
            | ProblemKind::Overloaded
            | ProblemKind::Timeout,
        ) => "server_error",
        _ => "invalid_prompt",
    }
}
