//! What a model that cannot see is sent of a conversation with images.

use super::ask::Conversation;
use super::plan::Target;
use super::rejection::{Cause, Rejection};

/// Fits a conversation to what a model can see. Images of earlier messages, and those that a tool has
/// brought, are left out for a model that cannot: a client that once sent one sends it again with
/// every message, and the chat would be over. Whether there were any.
///
/// # Errors
/// An image in the question, which is what the answer would be about; `last_image` is its place in
/// the request.
pub fn fit(
    conversation: &mut Conversation<'_>,
    target: &Target<'_>,
    last_image: &str,
) -> Result<bool, Rejection> {
    if target.sees() != Some(false) {
        return Ok(false);
    }
    if conversation.asks_about_image() {
        let message = format!(
            "Unsupported value: the model '{}' cannot see images. Take one with vision, such as \
             'google/gemini-2.5-flash', or send text alone.",
            target.id
        );
        return Err(Rejection::of(Cause::UnsupportedValue, last_image, message));
    }
    Ok(conversation.leave_out_images())
}
