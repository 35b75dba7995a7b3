//! Recordings and videos in messages: which of them fal may be given, and in what form.
//!
//! The gateway fetches none and looks into none. As with images, what came is passed on as text, in
//! its cleanest form.
#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::image::{self, DataUri, ImageCount, ImageLimits};
use super::model::Modality;
use super::rejection::Rejection;

/// A recording or a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media<'a> {
    /// A recording, as base64 in the standard alphabet.
    Audio {
        format: AudioFormat,
        data: Cow<'a, str>,
    },
    /// A video's address: `https:` or a data URI.
    Video(Cow<'a, str>),
}

/// The format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// OpenAI's and OpenRouter's word for it.
    pub word: &'static str,
    pub media_type: &'static str,
}

/// The formats that both of the router's faces take (sources: fal's page of `openrouter/router/audio`;
/// openrouter.ai/docs, "Audio inputs").
const AUDIO_FORMATS: [AudioFormat; 7] = [
    audio("wav", "audio/wav"),
    audio("mp3", "audio/mpeg"),
    audio("aiff", "audio/aiff"),
    audio("aac", "audio/aac"),
    audio("ogg", "audio/ogg"),
    audio("flac", "audio/flac"),
    audio("m4a", "audio/mp4"),
];

/// The types of videos (sources: fal's page of `openrouter/router/video`; openrouter.ai/docs, "Video
/// inputs"), and the name that a file's ending `.mov` stands for.
const VIDEO_TYPES: [&str; 5] = [
    "video/mp4",
    "video/mpeg",
    "video/webm",
    "video/mov",
    "video/quicktime",
];

const fn audio(word: &'static str, media_type: &'static str) -> AudioFormat {
    AudioFormat { word, media_type }
}

impl Media<'_> {
    /// What it is.
    pub fn kind(&self) -> Modality {
        match self {
            Self::Audio { .. } => Modality::Audio,
            Self::Video(_) => Modality::Video,
        }
    }

    /// How many bytes of the request it takes up.
    pub fn len(&self) -> usize {
        match self {
            Self::Audio { data, .. } => data.len(),
            Self::Video(url) => url.len(),
        }
    }

    /// Whether there is nothing of it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Media<'a> {
    /// Its address, which is a data URI for a recording.
    pub fn into_url(self) -> Cow<'a, str> {
        match self {
            Self::Audio { format, data } => {
                Cow::Owned(format!("data:{};base64,{data}", format.media_type))
            }
            Self::Video(url) => url,
        }
    }
}

/// Counts one more recording or video of a request, found at `path`.
///
/// # Errors
/// More than the limits allow.
pub fn count(seen: &mut ImageCount, path: &str, limits: &ImageLimits) -> Result<(), Rejection> {
    let most = limits.max_images;
    match seen.add(limits) {
        true => Err(refuse(
            path,
            &format!("a request may hold at most {most} recordings and videos. Send fewer."),
        )),
        false => Ok(()),
    }
}

/// Accepts a recording, found at `path`: base64, or a data URI, whose type is then of no interest.
///
/// # Errors
/// A format that is not taken, and data that is no base64 or too large.
pub fn accept_audio<'a>(
    data: Cow<'a, str>,
    format: &str,
    path: &str,
    limits: &ImageLimits,
) -> Result<Media<'a>, Rejection> {
    let is_named = |known: &AudioFormat| known.word.eq_ignore_ascii_case(format);
    let Some(format) = AUDIO_FORMATS.into_iter().find(is_named) else {
        let words = AUDIO_FORMATS.map(|format| format.word).join(", ");
        let message = format!("'input_audio.format' must be one of {words}.");
        return Err(refuse(path, &message));
    };
    let cleaned = {
        let uri = match image::is_data_uri(&data) {
            true => DataUri::read(&data),
            false => DataUri::of_base64(&data),
        };
        let uri = uri.filter(|uri| !uri.is_empty() && uri.is_valid());
        let uri = uri.ok_or_else(|| {
            refuse(
                path,
                "'input_audio.data' is not valid base64. Send the file itself; an address is not fetched.",
            )
        })?;
        refuse_large(uri.len(), path, limits)?;
        let is_clean = uri.encoded() == data;
        (!is_clean).then(|| uri.encoded().to_owned())
    };
    let data = cleaned.map_or(data, Cow::Owned);
    Ok(Media::Audio { format, data })
}

/// Accepts the address of a video, found at `path`.
///
/// # Errors
/// An address that fal could not or should not fetch, and a data URI that is malformed, too large
/// or of another type.
pub fn accept_video<'a>(
    url: Cow<'a, str>,
    path: &str,
    limits: &ImageLimits,
) -> Result<Media<'a>, Rejection> {
    if !image::is_data_uri(&url) {
        let checked = image::check_address(&url, limits);
        checked.map_err(|message| refuse(path, &message))?;
        return Ok(Media::Video(url));
    }
    let mended = {
        let uri = DataUri::read(&url).filter(|uri| !uri.is_empty() && uri.is_valid());
        let uri = uri
            .ok_or_else(|| refuse(path, "a data URI must look like data:video/mp4;base64,...."))?;
        refuse_large(uri.len(), path, limits)?;
        let is_labelled = |known: &&str| uri.media_type.eq_ignore_ascii_case(known);
        let media_type = VIDEO_TYPES.into_iter().find(is_labelled).ok_or_else(|| {
            let types = VIDEO_TYPES.join(", ");
            refuse(path, &format!("its type must be one of {types}."))
        })?;
        uri.mended(&url, media_type)
    };
    Ok(Media::Video(mended.map_or(url, Cow::Owned)))
}

fn refuse_large(bytes: usize, path: &str, limits: &ImageLimits) -> Result<(), Rejection> {
    let most = limits.max_image_bytes;
    match bytes > most {
        true => Err(refuse(
            path,
            &format!("it may hold at most {most} bytes. Send a shorter one."),
        )),
        false => Ok(()),
    }
}

fn refuse(path: &str, message: &str) -> Rejection {
    Rejection::invalid(path, format!("Invalid '{path}': {message}"))
}
