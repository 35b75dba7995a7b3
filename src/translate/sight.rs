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
    let is_blind = target.takes(Modality::Image) == Some(false);
    if !is_blind && !target.lacks.takes_no(Modality::Image) {
        return Ok(false);
    }
    if conversation.asks_about(Modality::Image) {
        // What has been learnt of a model refuses nothing: fal says so itself.
        if !is_blind {
            return Ok(false);
        }
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
/// One in the question.
pub fn fit_media(
    conversation: &mut Conversation<'_>,
    kind: Modality,
    target: &Target<'_>,
    needs_enterprise: bool,
    last: &str,
) -> Result<bool, Rejection> {
    if conversation.count(kind) == 0 {
        return Ok(false);
    }
    let upstream = target.route.upstream;
    let is_deaf = target.takes(kind) == Some(false);
    let knows_none = upstream == UpstreamId::AnyLlm;
    if !is_deaf && !knows_none && !target.lacks.takes_no(kind) {
        return Ok(false);
    }
    if !conversation.asks_about(kind) {
        return Ok(conversation.leave_out(kind));
    }
    let word = kind.name();
    let message = match (knows_none, is_deaf) {
        (true, _) if needs_enterprise => return Ok(false),
        (true, _) => format!(
            "Unsupported value: fal's {upstream} takes no {word}. Send text or images, or ask through another \
             upstream (fal.upstream = \"auto\", or where the operator allows it the header \
             'x-gateway-upstream: router-openai')."
        ),
        (false, true) => format!(
            "Unsupported value: the model '{}' takes no {word}. Take one that does, such as \
             'google/gemini-2.5-flash', or send text alone.",
            target.id
        ),
        (false, false) => return Ok(false),
    };
    Err(Rejection::of(Cause::UnsupportedValue, last, message))
}

/// Whether an upstream has a way for all that is shown in a conversation together: messages can hold
/// anything, and beside a prompt there are images, or one recording, or videos alone (source: fal's
/// pages of `openrouter/router/vision`, `/audio` and `/video`). Of these only videos have an enterprise
/// route.
pub fn is_taken(
    conversation: &Conversation<'_>,
    upstream: UpstreamId,
    needs_enterprise: bool,
) -> bool {
    is_way_for(Shown::of(conversation), upstream, needs_enterprise)
}

/// How much of each kind is shown.
#[derive(Clone, Copy)]
struct Shown {
    images: usize,
    audio: usize,
    videos: usize,
}

impl Shown {
    fn of(conversation: &Conversation<'_>) -> Self {
        let [images, audio, videos] = KINDS.map(|kind| conversation.count(kind));
        Self {
            images,
            audio,
            videos,
        }
    }

    /// The same without one of this kind.
    fn without(self, kind: Modality) -> Self {
        let Self {
            images,
            audio,
            videos,
        } = self;
        let less = |count: usize, of| count.saturating_sub(usize::from(kind == of));
        Self {
            images: less(images, Modality::Image),
            audio: less(audio, Modality::Audio),
            videos: less(videos, Modality::Video),
        }
    }
}

const KINDS: [Modality; 3] = [Modality::Image, Modality::Audio, Modality::Video];

fn is_way_for(shown: Shown, upstream: UpstreamId, needs_enterprise: bool) -> bool {
    let Shown {
        images,
        audio,
        videos,
    } = shown;
    match (audio, videos) {
        (0, 0) => images == 0 || !needs_enterprise,
        (_, _) if upstream == UpstreamId::AnyLlm => false,
        (_, _) if upstream == UpstreamId::RouterOpenai => !needs_enterprise,
        (1, 0) => images == 0 && !needs_enterprise,
        (_, 0) => false,
        (0, _) => images == 0,
        (_, _) => false,
    }
}

/// Leaves out the oldest of what earlier messages have shown until the upstream has a way for the rest;
/// nothing where that would not help. Which kinds were left out.
pub fn fit_together(
    conversation: &mut Conversation<'_>,
    upstream: UpstreamId,
    needs_enterprise: bool,
) -> Vec<Modality> {
    let has_way = |shown| is_way_for(shown, upstream, needs_enterprise);
    let mut shown = Shown::of(conversation);
    let mut left_out = Vec::new();
    let mut count = 0_usize;
    for kind in conversation.shown_before_question() {
        if has_way(shown) {
            break;
        }
        shown = shown.without(kind);
        count = count.saturating_add(1);
        if !left_out.contains(&kind) {
            left_out.push(kind);
        }
    }
    if count == 0 || !has_way(shown) {
        return Vec::new();
    }
    conversation.leave_out_first(&KINDS, count);
    left_out
}

/// Refuses what an upstream has no way for.
///
/// # Errors
/// See [`is_taken`]; `last_image` and `last_media` are the places of the last image, and of the last
/// recording or video.
pub fn refuse_mixed(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    needs_enterprise: bool,
    (last_image, last_media): (&str, &str),
) -> Result<(), Rejection> {
    let upstream = target.route.upstream;
    if is_taken(conversation, upstream, needs_enterprise) {
        return Ok(());
    }
    let message = match needs_enterprise {
        true => {
            "Unsupported value: the gateway is set up for fal's enterprise endpoints (fal.enterprise), which take \
             neither images nor audio, and videos only through 'router'. Send text alone."
                .to_owned()
        }
        false => format!(
            "Unsupported value: fal's {upstream} takes one recording beside a text, or videos alone. Send less at \
             once, or ask through 'router-openai', which takes them together."
        ),
    };
    let is_about = |kind| conversation.asks_about(kind);
    let last = match is_about(Modality::Audio) || is_about(Modality::Video) {
        true => last_media,
        false => last_image,
    };
    Err(Rejection::of(Cause::UnsupportedValue, last, message))
}
