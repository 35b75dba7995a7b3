//! `POST /v1/chat/completions`.

use super::answer::Face;
use super::gateway::Gateway;
use crate::translate::ask::Ask;
use crate::translate::face::answer::WholeAnswer;
use crate::translate::face::chat::parse;
use crate::translate::face::chat::write::{self, ChatChunks, ReasoningField};
use crate::translate::face::objects::{Head, UsageChunk};
use crate::translate::notes::Notes;
use crate::translate::rejection::Rejection;

/// A chat completion request.
pub struct Chat {
    reasoning_field: ReasoningField,
}

impl Face for Chat {
    const ID_PREFIX: &'static str = "chatcmpl-";
    const ASKED_IN: &'static str = "messages";
    type Frames = ChatChunks;

    fn parse<'a>(body: &'a [u8], gateway: &Gateway) -> Result<(Ask<'a>, Self), Rejection> {
        let ask = parse::parse(body, &gateway.message_limits)?;
        let reasoning_field = gateway.reasoning_field;
        Ok((ask, Self { reasoning_field }))
    }

    fn to_json(&self, head: &Head, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8> {
        write::to_json(head, answer, self.reasoning_field, notes)
    }

    fn into_frames(self, head: &Head, usage: UsageChunk, notes: Option<&Notes>) -> ChatChunks {
        ChatChunks::new(head, self.reasoning_field, usage, notes)
    }
}
