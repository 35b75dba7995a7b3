//! The input of the router's prompt faces, parsed as fal's app parses it. Source: the OpenAPI
//! documents of fal's router pages; unknown fields are ignored, `priority` among them.

use serde_json::{Map, Value, json};

use super::{
    Input,
    catalogue::Variant,
    input::{Reader, parse_image, read_object},
    pydantic::{Invalid, parse_bool, parse_float_within, parse_int},
};
use crate::emulator::router::Prompt;

impl Input {
    /// Reads a request body for a prompt face; `limit` is the length in characters that `prompt`
    /// and `system_prompt` may have.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the schema's fields.
    pub(in crate::emulator) fn parse_for_router(
        body: &[u8],
        prompt: Prompt,
        limit: Option<usize>,
    ) -> Result<Input, Vec<Invalid>> {
        read_object(body, |fields, whole| {
            let mut reader = Reader::new(fields, whole, limit);
            let media = media(&mut reader, fields, whole, prompt);
            let input = Input {
                endpoint: prompt.app().trim_start_matches("openrouter/"),
                variant: Variant::Plain,
                prompt: reader.prompt(),
                system_prompt: reader.system_prompt(),
                model: reader.free_model(),
                reasoning: reader
                    .unless_absent("reasoning", parse_bool)
                    .unwrap_or(false),
                priority: "latency",
                // The schema's default, and not the model's own.
                temperature: Some(
                    reader
                        .unless_absent("temperature", |field, value| {
                            parse_float_within(field, value, 0.0, 2.0)
                        })
                        .unwrap_or(1.0),
                ),
                max_tokens: reader.optional("max_tokens", parse_int),
                image_urls: media.images,
                audio_url: media.audio,
                video_urls: media.videos,
            };
            reader.finish(input)
        })
    }
}

#[derive(Default)]
struct Media {
    images: Vec<String>,
    audio: Option<String>,
    videos: Vec<String>,
}

/// What the face asks for besides the prompt; it is required.
fn media(
    reader: &mut Reader<'_>,
    fields: &Map<String, Value>,
    whole: &Value,
    prompt: Prompt,
) -> Media {
    let mut media = Media::default();
    let field = match prompt {
        Prompt::Plain | Prompt::Enterprise => return media,
        Prompt::Vision => "image_urls",
        Prompt::Audio => "audio_url",
        Prompt::Video | Prompt::VideoEnterprise if fields.contains_key("video_url") => "video_url",
        Prompt::Video | Prompt::VideoEnterprise => "video_urls",
    };
    if !fields.contains_key(field) {
        reader.refuse(Invalid::missing(&[json!(field)], whole));
        return media;
    }
    match field {
        "image_urls" => media.images = reader.list(field, parse_image),
        "audio_url" => media.audio = reader.one(field),
        "video_url" => media.videos = reader.one(field).into_iter().collect(),
        _ => media.videos = reader.list(field, parse_image),
    }
    media
}
