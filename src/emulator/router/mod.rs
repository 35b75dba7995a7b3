//! fal's `openrouter/router`, the successor of `any-llm`: the same models behind two more doors.
//!
//! The prompt faces ([`Prompt`]) take a prompt as any-llm does, any model by its name, and tell
//! usage and cost. The [`chat`] face speaks OpenAI's chat completions as OpenRouter serves them.
//!
//! Sources: fal's pages for `openrouter/router`, `/vision`, `/audio` and `/video` with their
//! OpenAPI documents; OpenRouter's documentation; error texts that users have published. What they
//! leave open is played in the way that the most public clients rely on.

pub(super) mod cards;
pub(super) mod chat;
pub(super) mod usage;

use serde_json::json;

use super::{
    http::{
        call::Whole,
        kinds::{self, Mention},
    },
    llm::{Input, Variant},
};
use cards::Reasoning;
use usage::Tally;

/// A prompt face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Plain,
    Enterprise,
    Vision,
    Audio,
    Video,
    VideoEnterprise,
}

impl Prompt {
    /// The face at a path below the application, and what follows it there.
    pub(super) fn at<'s, 'p>(segments: &'s [&'p str]) -> (Prompt, &'s [&'p str]) {
        match segments {
            ["vision", rest @ ..] => (Prompt::Vision, rest),
            ["audio", rest @ ..] => (Prompt::Audio, rest),
            ["video", "enterprise", rest @ ..] => (Prompt::VideoEnterprise, rest),
            ["video", rest @ ..] => (Prompt::Video, rest),
            ["enterprise", rest @ ..] => (Prompt::Enterprise, rest),
            rest => (Prompt::Plain, rest),
        }
    }

    /// The endpoint as fal names it.
    pub(super) fn app(self) -> &'static str {
        match self {
            Prompt::Plain => "openrouter/router",
            Prompt::Enterprise => "openrouter/router/enterprise",
            Prompt::Vision => "openrouter/router/vision",
            Prompt::Audio => "openrouter/router/audio",
            Prompt::Video => "openrouter/router/video",
            Prompt::VideoEnterprise => "openrouter/router/video/enterprise",
        }
    }

    /// Whether its answers have the fields of any-llm's; those about media have an output and usage
    /// alone.
    pub(super) fn tells_progress(self) -> bool {
        matches!(self, Prompt::Plain | Prompt::Enterprise)
    }
}

/// Images that one call may hold; more have been refused.
const MAX_IMAGES: usize = 6;

/// Lets a call to a prompt face in, and begins to count for it.
///
/// # Errors
///
/// OpenRouter's refusals, as the app passes them on.
pub(super) fn admit(input: &Input, prompt: Prompt, relays: bool) -> Result<Tally, Whole> {
    let refuse = |name: &str| {
        let kind = kinds::find(name).expect("the router's refusals are in the table");
        kind.reply(&Mention {
            app: prompt.app(),
            variant: Variant::Plain,
            input: &json!({ "model": input.model }),
        })
    };
    let card = match cards::find(&input.model) {
        _ if relays => cards::of_a_relay(),
        Some(card) => card,
        None => return Err(refuse("model_invalid")),
    };
    let system = input.system_prompt.as_deref().unwrap_or_default();
    let tally = Tally::new(
        card,
        [input.prompt.as_str(), system],
        input.image_urls.len(),
    );
    let refusals = [
        (
            !input.image_urls.is_empty() && !card.sees_images(),
            "no_images",
        ),
        (input.audio_url.is_some() && !card.hears(), "no_audio"),
        (
            !input.video_urls.is_empty() && !card.sees_video(),
            "no_video",
        ),
        (input.image_urls.len() > MAX_IMAGES, "provider_error"),
        (tally.prompt_tokens() > card.context, "context_exceeded"),
        // What is not asked for is told to be off.
        (
            card.reasoning == Reasoning::Mandatory && !input.reasoning,
            "reasoning_mandatory",
        ),
    ];
    match refusals.into_iter().find(|(holds, _)| *holds) {
        Some((_, name)) => Err(refuse(name)),
        None => Ok(tally),
    }
}
