//! Image addresses: which of them fal may be given.
//!
//! The gateway never fetches an image. It passes addresses on as text, data URIs in their cleanest
//! form, and refuses those that fal could not or should not fetch, with the place in the request
//! where they stand.
#![deny(clippy::arithmetic_side_effects)]

mod address;
mod data_uri;

use std::borrow::Cow;

use super::rejection::{Cause, Rejection};
pub use data_uri::DataUri;
use data_uri::MEDIA_TYPES;

/// What images a request may hold.
#[derive(Clone, Debug)]
pub struct ImageLimits {
    /// Images in one request, and recordings and videos in one.
    pub max_images: usize,
    /// What becomes of more of them.
    pub excess: Excess,
    /// Bytes of one image, recording or video that is sent in the request, decoded.
    pub max_image_bytes: usize,
    /// Whether plain `http:` addresses are passed on.
    pub allow_http: bool,
}

/// What becomes of more images than a request may hold, and of more recordings and videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// The oldest are left out, but for those that came since the last reply: an agent that sends all
    /// that it has ever seen would be refused from its first image too many on, for good.
    DropOldest,
    /// The request is refused.
    Refuse,
}

/// Counts the images of a conversation while it is read, or its recordings and videos.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageCount {
    all: usize,
    since_reply: usize,
}

impl ImageCount {
    /// Counts one more; whether there are more than the limits allow.
    pub fn add(&mut self, limits: &ImageLimits) -> bool {
        self.all = self.all.saturating_add(1);
        self.since_reply = self.since_reply.saturating_add(1);
        let counted = match limits.excess {
            Excess::DropOldest => self.since_reply,
            Excess::Refuse => self.all,
        };
        counted > limits.max_images
    }

    /// The assistant has replied to the images so far.
    pub fn replied(&mut self) {
        self.since_reply = 0;
    }
}

/// Accepts the address of the request's next image, found at `path`, and gives it as fal understands
/// it.
///
/// # Errors
/// Too many images, a data URI that is malformed, too large or of another type, an address that is
/// not `https:`, or one that points into a private network.
pub fn accept<'a>(
    url: Cow<'a, str>,
    path: &str,
    count: &mut ImageCount,
    limits: &ImageLimits,
) -> Result<Cow<'a, str>, Rejection> {
    let refuse = |message: String| {
        Rejection::of(
            Cause::InvalidImage,
            path,
            format!("Invalid image at '{path}': {message}"),
        )
    };
    if count.add(limits) {
        let most = limits.max_images;
        return Err(refuse(format!(
            "a request may hold at most {most} images. Send fewer."
        )));
    }
    match is_data_uri(&url) {
        false => check_address(&url, limits).map(|()| url).map_err(refuse),
        true => match mended(&url, limits) {
            Ok(None) => Ok(url),
            Ok(Some(mended)) => Ok(Cow::Owned(mended)),
            Err(message) => Err(refuse(message)),
        },
    }
}

/// Accepts an address on the web.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub(super) fn check_address(url: &str, limits: &ImageLimits) -> Result<(), String> {
    address::check(url, limits.allow_http)
}

/// Whether an address that somebody else than the caller named is one that fal could fetch.
pub fn is_fetchable(url: &str) -> bool {
    address::check(url, false).is_ok()
}

/// Whether an address is a data URI, by its scheme.
pub fn is_data_uri(url: &str) -> bool {
    url.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// A data URI in its cleanest form; `None` when it is in it.
fn mended(url: &str, limits: &ImageLimits) -> Result<Option<String>, String> {
    let Some((head, _)) = url.split_once(',') else {
        return Err(MALFORMED.to_owned());
    };
    let uri = DataUri::read(url).ok_or(match head.to_ascii_lowercase().contains("base64") {
        true => NOT_BASE64,
        false => MALFORMED,
    })?;
    if uri.len() > limits.max_image_bytes {
        let most = limits.max_image_bytes;
        return Err(format!(
            "a data URI may hold at most {most} bytes. Send a smaller image or a URL."
        ));
    }
    if uri.is_empty() || !uri.is_valid() {
        return Err(NOT_BASE64.to_owned());
    }
    let media_type = uri.image_type().ok_or_else(|| {
        let types = MEDIA_TYPES.join(", ");
        format!("its type must be one of {types}.")
    })?;
    Ok(uri.mended(url, media_type))
}

const MALFORMED: &str = "a data URI must look like data:image/png;base64,....";
const NOT_BASE64: &str = "its data is not valid base64.";
