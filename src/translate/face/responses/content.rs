//! The content of messages and the outputs of calls: a text, or a list of parts.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::translate::ask::{Part, push_text};
use crate::translate::draft::read_at;
use crate::translate::face::chat::messages::MessageLimits;
use crate::translate::face::files::{self, FileContent};
use crate::translate::image::{self, ImageCount};
use crate::translate::notes::Members;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::object::Unknown;
use crate::wire::openai::message::File;
use crate::wire::openai::responses::InputPart;
use crate::wire::text::Text;

/// Reads contents, and counts their images.
pub struct Parts<'l> {
    limits: &'l MessageLimits,
    images: ImageCount,
    /// Where the last image stands.
    pub last_image: Option<String>,
}

impl<'l> Parts<'l> {
    pub fn new(limits: &'l MessageLimits) -> Self {
        Self {
            limits,
            images: ImageCount::default(),
            last_image: None,
        }
    }

    /// The assistant has replied to the images so far.
    pub fn replied(&mut self) {
        self.images.replied();
    }

    /// Reads the content at `path`.
    ///
    /// # Errors
    /// A part that cannot be carried, or of a type nobody knows.
    pub fn read<'a>(
        &mut self,
        raw: Option<&'a RawValue>,
        path: &str,
        members: &mut Members,
    ) -> Result<Vec<Part<'a>>, Rejection> {
        let Some(raw) = raw else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        if raw.get().starts_with('[') {
            let parts: Vec<InputPart<'a>> = read_at(raw, path, "a list of parts")?;
            for (position, part) in parts.into_iter().enumerate() {
                self.part(&mut out, format!("{path}[{position}]"), part, members)?;
            }
        } else {
            let Text(text) = read_at(raw, path, "a string or a list of parts")?;
            push_text(&mut out, text);
        }
        Ok(out)
    }

    fn part<'a>(
        &mut self,
        out: &mut Vec<Part<'a>>,
        path: String,
        part: InputPart<'a>,
        members: &mut Members,
    ) -> Result<(), Rejection> {
        const PATH: &str = "input[].content[]";
        members.add_unknown(PATH, &part.unknown);
        let missing = |field: &str| Rejection::missing(format!("{path}.{field}"));
        match part.kind.as_str() {
            "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
                push_text(out, part.text.ok_or_else(|| missing("text"))?.0);
            }
            "refusal" => push_text(out, part.refusal.ok_or_else(|| missing("refusal"))?.0),
            "input_image" => {
                // fal takes images in one size, so a wish for another has no effect.
                let detail = part.detail.as_ref().map(Text::as_str);
                let is_wish = detail.is_some_and(|detail| detail != "auto");
                members.add_if(is_wish, PATH, "detail");
                let Some(Text(url)) = part.image_url else {
                    return Err(match part.file_id {
                        Some(_) => no_files(format!("{path}.file_id")),
                        None => missing("image_url"),
                    });
                };
                self.image(out, path, url)?;
            }
            "input_file" => {
                if part.file_url.is_some() && part.file_data.is_none() {
                    return Err(no_files(format!("{path}.file_url")));
                }
                let file = File {
                    file_data: part.file_data,
                    file_id: part.file_id,
                    filename: part.filename,
                    unknown: Unknown::default(),
                };
                match files::read(file, &path)? {
                    FileContent::Text(text) => push_text(out, Cow::Owned(text)),
                    FileContent::Image(url) => self.image(out, path, url)?,
                }
            }
            "input_audio" | "video_url" => {
                let message = format!(
                    "Unsupported value: '{path}': the Responses API takes no recordings or videos. Send the \
                     request to /v1/chat/completions, which does."
                );
                return Err(Rejection::of(Cause::UnsupportedValue, path, message));
            }
            _ => {
                let path = format!("{path}.type");
                let message = format!(
                    "Invalid '{path}': it must be input_text, input_image, input_file, output_text or refusal."
                );
                return Err(Rejection::invalid(path, message));
            }
        }
        Ok(())
    }

    fn image<'a>(
        &mut self,
        out: &mut Vec<Part<'a>>,
        path: String,
        url: Cow<'a, str>,
    ) -> Result<(), Rejection> {
        let url = image::accept(url, &path, &mut self.images, &self.limits.images)?;
        out.push(Part::Image(url));
        self.last_image = Some(path);
        Ok(())
    }
}

fn no_files(param: String) -> Rejection {
    let message = format!(
        "Unsupported value: '{param}': no files are stored or fetched here. Send the data itself, as a data URI."
    );
    Rejection::of(Cause::UnsupportedValue, param, message)
}
