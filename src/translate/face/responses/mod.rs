//! The Responses face: `POST /v1/responses`.
//!
//! A reply is a list of items here: a message, what was thought, each call. The stream tells how
//! they come to be, with a number on each event, and ends with the whole object.

pub mod content;
pub mod conversations;
pub mod echo;
pub mod events;
pub mod exposed;
pub mod fields;
pub mod format;
pub mod input;
pub mod items;
pub mod output;
pub mod parameters;
pub mod parse;
pub mod replay;
pub mod restated;
pub mod tools;

use std::cell::OnceCell;
use std::ops::Range;

use echo::Echo;
use events::ResponseEvents;
use exposed::Names;
use output::{Output, Recorded, Shown, Status};

use super::answer::{Segment, WholeAnswer, WholeChoice};
use super::objects::{ResponseMeta, UsageChunk, noted};
use super::state::{Past, Record, RecordItem, Wanted};
use super::{CountsTokens, Face, FaceSettings, Reading, WrittenProblem, error_object};
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::body::Body;
use crate::translate::notes::Notes;
use crate::translate::problem::{Problem, ProblemKind};
use crate::translate::rejection::Rejection;

/// A request for a response.
#[derive(Debug)]
pub struct Responses {
    echo: Echo,
    names: Names,
    /// Where the input stands in the body.
    input: Range<usize>,
    /// The answer as it is kept: it is written once, and sent as well.
    recorded: OnceCell<Recorded>,
}

impl Responses {
    fn new(echo: Echo, names: Names, input: Range<usize>) -> Self {
        Self {
            echo,
            names,
            input,
            recorded: OnceCell::new(),
        }
    }
}

impl<'a> Reading<'a, Responses> for parse::Reading<'a> {
    fn wanted(&self) -> Wanted {
        parse::wanted(self)
    }

    fn finish(
        self,
        past: &'a Past,
        settings: &FaceSettings,
    ) -> Result<(Ask<'a>, Responses), Rejection> {
        parse::finish(self, past, &settings.messages, settings.keeps_responses)
    }
}

impl Face for Responses {
    const ID_PREFIX: &'static str = "resp_";
    const IDS_ARE_SECRET: bool = true;
    /// Codex sends up to 30 requests for one turn.
    const CLIENTS_REPEAT: bool = true;
    const NAMES: &'static FieldNames = &parse::NAMES;
    type Frames = ResponseEvents;

    /// Clients of this API repeat a 413 as they repeat a failure, and a 400 never.
    fn problem(problem: &Problem, _: &str) -> WrittenProblem {
        let written = error_object::write(problem);
        match problem.kind {
            ProblemKind::TooLarge => WrittenProblem {
                status: 400,
                ..written
            },
            _ => written,
        }
    }

    type Reading<'a> = parse::Reading<'a>;

    fn read<'a>(body: Body<'a>, settings: &FaceSettings) -> Result<Self::Reading<'a>, Rejection> {
        parse::read(body, &settings.messages)
    }

    fn is_kept(&self) -> bool {
        self.echo.is_kept
    }

    fn forget(&mut self) {
        self.echo.is_kept = false;
        self.recorded.take();
    }

    fn is_background(&self) -> bool {
        self.echo.is_background
    }

    fn record_begun(&self, head: &ResponseMeta) -> Option<Record> {
        let shown = Shown {
            status: Status::Queued,
            output: &[],
            usage: None,
            error: None,
            is_brief: false,
        };
        let nothing = Output::new(&head.id);
        Some(Recorded::new(head, &shown, &self.echo, nothing).record())
    }

    fn record(&self, head: &ResponseMeta, answer: &WholeAnswer) -> Option<Record> {
        let written = self.recorded.get_or_init(|| {
            let (output, status) = self.output(head, answer);
            let shown = Shown {
                status,
                output: &[],
                usage: Some(answer.usage()),
                error: None,
                is_brief: false,
            };
            Recorded::new(head, &shown, &self.echo, output)
        });
        Some(written.record())
    }

    fn input_place(&self) -> Option<Range<usize>> {
        Some(self.input.clone())
    }

    fn record_input(input: &[u8], past: &Past, response: &str) -> Vec<RecordItem> {
        input::record_items(input, past, response)
    }

    fn kept_bytes(&self) -> usize {
        self.echo.size()
    }

    fn to_json(&self, head: &ResponseMeta, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8> {
        let notes = notes.map(noted).unwrap_or_default();
        if let Some(recorded) = self.recorded.get() {
            return recorded.to_json(&notes);
        }
        let (output, status) = self.output(head, answer);
        let shown = Shown {
            status,
            output: output.items(),
            usage: Some(answer.usage()),
            error: None,
            is_brief: false,
        };
        let mut json = Vec::with_capacity(1024 + self.echo.size() + output.items().len());
        output::write_response(&mut json, head, &shown, &self.echo, &notes);
        json
    }

    fn into_frames(
        self,
        head: &ResponseMeta,
        _: UsageChunk,
        notes: Option<&Notes>,
    ) -> ResponseEvents {
        ResponseEvents::new(head, self.echo, self.names, notes)
    }
}

impl CountsTokens for Responses {
    fn read_to_count<'a>(
        body: &'a [u8],
        settings: &FaceSettings,
    ) -> Result<Self::Reading<'a>, Rejection> {
        Self::read(body.into(), settings)
    }

    fn count_to_json(tokens: u64) -> Vec<u8> {
        format!("{{\"object\":\"response.input_tokens\",\"input_tokens\":{tokens}}}").into_bytes()
    }
}

impl Responses {
    /// The items of a whole answer, and how it ended.
    fn output(&self, head: &ResponseMeta, answer: &WholeAnswer) -> (Output, Status) {
        let mut output = Output::new(&head.id);
        let mut status = Status::Completed;
        if let Some((_, choice)) = answer.complete().next() {
            status = Status::of(choice.finish_reason());
            write_choice(&mut output, choice, &self.names, status);
        }
        (output, status)
    }
}

/// The items of a whole answer, in the order in which they were said.
fn write_choice(output: &mut Output, choice: &WholeChoice, names: &Names, status: Status) {
    let mut ends = (0, 0);
    let mut calls = choice.calls.iter();
    let last = choice.order.len().saturating_sub(1);
    for (at, said) in choice.order.iter().enumerate() {
        // An answer that breaks off does so in its last item.
        let status = if at == last {
            status
        } else {
            Status::Completed
        };
        match *said {
            Segment::Text { to } => {
                let text = choice.text.get(ends.0..to).unwrap_or_default();
                output.message(text, status);
                ends.0 = to;
            }
            Segment::Reasoning { to } => {
                let text = choice.reasoning.get(ends.1..to).unwrap_or_default();
                output.reasoning(text, status);
                ends.1 = to;
            }
            Segment::Call => {
                if let Some(call) = calls.next() {
                    output.call(call, names);
                }
            }
            Segment::Refusal => {
                output.refusal(choice.refusal.as_deref().unwrap_or_default());
            }
        }
    }
    output.close(status);
}
