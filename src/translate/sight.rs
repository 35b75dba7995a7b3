//! What a model that cannot see or hear is sent of a conversation with images, recordings and videos,
//! and which upstreams take these.

use super::ask::Conversation;
use super::model::Modality;
use super::plan::Target;
use super::rejection::{Cause, Rejection};
use super::upstream::UpstreamId;

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
    if target.takes(Modality::Image) != Some(false) {
        return Ok(false);
    }
    if conversation.asks_about(Modality::Image) {
        let message = format!(
            "Unsupported value: the model '{}' cannot see images. Take one with vision, such as \
             'google/gemini-2.5-flash', or send text alone.",
            target.id
        );
        return Err(Rejection::of(Cause::UnsupportedValue, last_image, message));
    }
    Ok(conversation.leave_out(Modality::Image))
}

/// The same for recordings or videos, of which `last` is the last one's place in the request.
///
/// # Errors
/// One in the question, and any of them for an upstream that knows none.
pub fn fit_media(
    conversation: &mut Conversation<'_>,
    kind: Modality,
    target: &Target<'_>,
    last: &str,
) -> Result<bool, Rejection> {
    if conversation.count(kind) == 0 {
        return Ok(false);
    }
    let word = kind.name();
    let upstream = target.route.upstream;
    if upstream == UpstreamId::AnyLlm {
        let message = format!(
            "Unsupported value: fal's {upstream} takes no {word}. Send text or images, or ask through another \
             upstream (fal.upstream = \"auto\", or where the operator allows it the header \
             'x-gateway-upstream: router-openai')."
        );
        return Err(Rejection::of(Cause::UnsupportedValue, last, message));
    }
    if target.takes(kind) != Some(false) {
        return Ok(false);
    }
    if conversation.asks_about(kind) {
        let message = format!(
            "Unsupported value: the model '{}' takes no {word}. Take one that does, such as \
             'google/gemini-2.5-flash', or send text alone.",
            target.id
        );
        return Err(Rejection::of(Cause::UnsupportedValue, last, message));
    }
    Ok(conversation.leave_out(kind))
}

/// Whether an upstream has a way for all that is shown in a conversation together: messages can hold
/// anything, and beside a prompt there is one recording, or there are videos alone (source: fal's
/// pages of `openrouter/router/audio` and `/video`). Only videos have an enterprise route.
pub fn is_taken(
    conversation: &Conversation<'_>,
    upstream: UpstreamId,
    needs_enterprise: bool,
) -> bool {
    let count = |kind| conversation.count(kind);
    let [images, audio, videos] = [Modality::Image, Modality::Audio, Modality::Video].map(count);
    match (audio, videos) {
        (0, 0) => true,
        (_, _) if upstream == UpstreamId::AnyLlm => false,
        (_, _) if upstream == UpstreamId::RouterOpenai => !needs_enterprise,
        (1, 0) => images == 0 && !needs_enterprise,
        (_, 0) => false,
        (0, _) => images == 0,
        (_, _) => false,
    }
}

/// Refuses what an upstream has no way for.
///
/// # Errors
/// See [`is_taken`]; `last` is the place of the last recording or video.
pub fn refuse_mixed(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    needs_enterprise: bool,
    last: &str,
) -> Result<(), Rejection> {
    let upstream = target.route.upstream;
    if is_taken(conversation, upstream, needs_enterprise) {
        return Ok(());
    }
    let message = match needs_enterprise {
        true => {
            "Unsupported value: fal's enterprise endpoints take videos alone beside a text, and no audio. Send \
             text or images."
                .to_owned()
        }
        false => format!(
            "Unsupported value: fal's {upstream} takes one recording beside a text, or videos alone. Send less at \
             once, or ask through 'router-openai', which takes them together."
        ),
    };
    Err(Rejection::of(Cause::UnsupportedValue, last, message))
}
