//! The chat face: `POST /v1/chat/completions`.

pub mod format;
pub mod kept;
pub mod messages;
pub mod parameters;
pub mod parse;
pub mod tools;
pub mod write;

use kept::Kept;
use write::{CallStyle, ChatChunks, Style};

use super::answer::WholeAnswer;
use super::objects::{ResponseMeta, UsageChunk};
use super::state::{Past, Record, RecordItem};
use super::{Face, FaceSettings, WrittenProblem, error_object};
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::body::Body;
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::rejection::Rejection;

/// A chat completion request.
pub struct Chat {
    style: Style,
    kept: Option<Kept>,
}

impl Face for Chat {
    const ID_PREFIX: &'static str = "chatcmpl-";
    const NAMES: &'static FieldNames = &parse::NAMES;
    type Frames = ChatChunks;

    fn problem(problem: &Problem, _: &str) -> WrittenProblem {
        error_object::write(problem)
    }

    type Reading<'a> = (Ask<'a>, Self);

    fn read<'a>(body: Body<'a>, settings: &FaceSettings) -> Result<Self::Reading<'a>, Rejection> {
        let keeps = settings.keeps_responses;
        let (ask, kept) = parse::parse_kept(body, &settings.messages, keeps)?;
        let speaks_of_functions = ask.tools.as_ref().is_some_and(|offer| offer.as_functions);
        let style = Style {
            reasoning_field: settings.reasoning_field,
            calls: match speaks_of_functions {
                true => CallStyle::Function,
                false => CallStyle::Tools,
            },
        };
        Ok((ask, Self { style, kept }))
    }

    fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    fn record(&self, head: &ResponseMeta, answer: &WholeAnswer) -> Option<Record> {
        let kept = self.kept.as_ref()?;
        kept.record(head, write::to_json(head, answer, self.style, None))
    }

    fn record_input(body: &[u8], _: &Past, completion: &str) -> Vec<RecordItem> {
        kept::record_messages(body, completion)
    }

    fn to_json(&self, head: &ResponseMeta, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8> {
        write::to_json(head, answer, self.style, notes)
    }

    fn into_frames(
        self,
        head: &ResponseMeta,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> ChatChunks {
        ChatChunks::new(head, self.style, usage, notes).keeping(self.kept)
    }
}
