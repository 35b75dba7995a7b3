//! What a model that cannot see is sent of a conversation with images.

use super::ask::Conversation;
use super::model::ModelInfo;
use super::rejection::{Cause, Rejection};

/// Fits a conversation to what a model can see. Images of earlier messages are left out for a model
/// that cannot: a client that once sent one sends it again with every message, and the chat would
/// be over. Whether there were any.
///
/// # Errors
/// An image in the last message, which is what the answer would be about; `last_image` is its place
/// in the request.
pub fn fit(
    conversation: &mut Conversation<'_>,
    card: Option<&ModelInfo>,
    last_image: &str,
) -> Result<bool, Rejection> {
    let Some(card) = card.filter(|card| card.any_llm.vision == Some(false)) else {
        return Ok(false);
    };
    if conversation.ends_in_image() {
        let message = format!(
            "Unsupported value: the model '{}' cannot see images. Take one with vision, such as \
             'google/gemini-2.5-flash', or send text alone.",
            card.id
        );
        return Err(Rejection::of(Cause::UnsupportedValue, last_image, message));
    }
    Ok(conversation.leave_out_old_images())
}
