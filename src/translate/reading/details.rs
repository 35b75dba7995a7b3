//! Blocks of reasoning that a model wants to have back, put together from their pieces.
//!
//! What is signed is a whole block, so the pieces of one must come back as one.

use serde_json::value::RawValue;

use crate::wire::list::List;
use crate::wire::openrouter::answer::ReasoningDetail;

/// The blocks of one answer.
#[derive(Debug, Default)]
pub struct Details {
    blocks: Vec<ReasoningDetail>,
}

/// The most blocks that are kept of an answer. A model that is not given all of them back thinks anew.
const MAX_BLOCKS: usize = 256;

impl Details {
    /// Adds the pieces of a list, and gives what they say in words. What is no such list is passed
    /// over: the answer is complete without it.
    pub fn add(&mut self, raw: &RawValue) -> String {
        let pieces: List<ReasoningDetail, MAX_BLOCKS> = match serde_json::from_str(raw.get()) {
            Ok(pieces) => pieces,
            Err(_) => return String::new(),
        };
        let mut told = String::new();
        for mut piece in pieces.items {
            piece.model = None;
            let words = piece.text.as_deref().or(piece.summary.as_deref());
            told.push_str(words.unwrap_or_default());
            self.add_piece(piece);
        }
        told
    }

    /// The blocks as a JSON list; `None` where there are none.
    pub fn take(&mut self) -> Option<String> {
        let blocks = std::mem::take(&mut self.blocks);
        if blocks.is_empty() {
            return None;
        }
        serde_json::to_string(&blocks).ok()
    }

    fn add_piece(&mut self, piece: ReasoningDetail) {
        let goes_on = |block: &&mut ReasoningDetail| {
            block.kind == piece.kind
                && block.index == piece.index
                && (piece.id.is_none() || block.id.is_none() || block.id == piece.id)
                && block.signature.is_none()
        };
        let has_room = self.blocks.len() < MAX_BLOCKS;
        match self.blocks.last_mut().filter(goes_on) {
            Some(block) => {
                append(&mut block.text, piece.text);
                append(&mut block.summary, piece.summary);
                append(&mut block.data, piece.data);
                block.id = block.id.take().or(piece.id);
                block.format = block.format.take().or(piece.format);
                block.signature = piece.signature;
            }
            None if has_room => self.blocks.push(piece),
            None => {}
        }
    }
}

fn append(text: &mut Option<String>, more: Option<String>) {
    match (text, more) {
        (Some(text), Some(more)) => text.push_str(&more),
        (text @ None, more) => *text = more,
        (Some(_), None) => {}
    }
}
