//! `POST /v1/chat/completions`.

use super::answer::Face;
use super::gateway::Gateway;
use crate::translate::ask::Ask;
use crate::translate::face::answer::WholeAnswer;
use crate::translate::face::chat::parse;
use crate::translate::face::chat::write::{self, CallStyle, ChatChunks, Style};
use crate::translate::face::objects::{Head, UsageChunk};
use crate::translate::notes::Notes;
use crate::translate::rejection::Rejection;

/// A chat completion request.
pub struct Chat {
    style: Style,
}

impl Face for Chat {
    const ID_PREFIX: &'static str = "chatcmpl-";
    const ASKED_IN: &'static str = "messages";
    type Frames = ChatChunks;

    fn parse<'a>(body: &'a [u8], gateway: &Gateway) -> Result<(Ask<'a>, Self), Rejection> {
        let ask = parse::parse(body, &gateway.message_limits)?;
        let speaks_of_functions = ask.tools.as_ref().is_some_and(|offer| offer.as_functions);
        let style = Style {
            reasoning_field: gateway.reasoning_field,
            calls: match speaks_of_functions {
                true => CallStyle::Function,
                false => CallStyle::Tools,
            },
        };
        Ok((ask, Self { style }))
    }

    fn to_json(&self, head: &Head, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8> {
        write::to_json(head, answer, self.style, notes)
    }

    fn into_frames(self, head: &Head, usage: UsageChunk, notes: Option<&Notes>) -> ChatChunks {
        ChatChunks::new(head, self.style, usage, notes)
    }
}
