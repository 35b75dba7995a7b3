//! Large images on their way to fal's storage (`images.upload_threshold`).
//!
//! An image inside a request makes fal's input as large as itself, a third more for base64, once
//! for every choice. One that is larger than the threshold is stored at fal first, and the input
//! carries its address.

use std::borrow::Cow;
use std::time::Duration;

use futures::future::try_join_all;

use crate::translate::image::{DataUri, is_data_uri, is_fetchable};
use crate::translate::plan::Plan;
use crate::upstream::{FalClient, FalKey, Upload, UpstreamError};

/// What `x-gateway-emulated` calls it, for images and for recordings and videos.
const IMAGE_NOTE: &str = "image_upload";
const MEDIA_NOTE: &str = "media_upload";

/// The images, recordings and videos of one request that are stored at fal: each is uploaded once, for however many models.
#[derive(Debug, Default)]
pub struct Uploads {
    /// Data URIs and the addresses that took their places.
    stored: Vec<(String, String)>,
}

impl Uploads {
    /// Uploads the images, recordings and videos of a plan that are larger than `threshold` bytes, all at once, and puts
    /// their addresses in their places.
    ///
    /// # Errors
    /// The first one that cannot be uploaded within `limit`; no model has been called then.
    pub async fn store(
        &mut self,
        plan: &mut Plan<'_>,
        threshold: usize,
        fal: &FalClient,
        key: &FalKey,
        limit: Duration,
    ) -> Result<(), UpstreamError> {
        let is_large = |url: &&mut Cow<'_, str>| url.len() > threshold && is_data_uri(url);
        let large = plan.call.urls_mut().into_iter().filter(is_large);
        let mut large: Vec<_> = large.collect();
        if large.is_empty() {
            return Ok(());
        }
        let is_image = |url: &&mut Cow<'_, str>| url.starts_with("data:image/");
        let images = large.iter().filter(|url| is_image(url)).count();
        if images > 0 {
            plan.notes.emulated(IMAGE_NOTE);
        }
        if images < large.len() {
            plan.notes.emulated(MEDIA_NOTE);
        }
        large.retain_mut(|url| match self.address(url) {
            Some(address) => {
                **url = Cow::Owned(address);
                false
            }
            None => true,
        });
        let uploads = large.iter().map(|url| upload(url, fal, key));
        let addresses = tokio::time::timeout(limit, try_join_all(uploads)).await;
        let addresses = addresses.unwrap_or(Err(UpstreamError::TimedOut))?;
        for (url, address) in large.into_iter().zip(addresses) {
            if let Some(address) = address {
                let uri = std::mem::replace(url, Cow::Owned(address.clone()));
                self.stored.push((uri.into_owned(), address));
            }
        }
        Ok(())
    }

    fn address(&self, url: &str) -> Option<String> {
        let mut stored = self.stored.iter();
        let (_, address) = stored.find(|(uri, _)| uri == url)?;
        Some(address.clone())
    }
}

async fn upload(url: &str, fal: &FalClient, key: &FalKey) -> Result<Option<String>, UpstreamError> {
    let Some(uri) = DataUri::read(url) else {
        return Ok(None);
    };
    let Some(bytes) = uri.decode() else {
        return Ok(None);
    };
    let media_type = uri.media_type;
    let file = Upload {
        media_type,
        name: &name(media_type),
        bytes,
    };
    let storage = fal.storage();
    storage.upload(file, key, is_fetchable).await.map(Some)
}

/// A name with the ending that files of a media type usually have, by which fal tells recordings and
/// videos apart.
fn name(media_type: &str) -> String {
    let (family, kind) = media_type.split_once('/').unwrap_or(("file", media_type));
    let ending = match (family, kind) {
        ("audio", "mpeg") => "mp3",
        ("audio", "mp4") => "m4a",
        ("video", "quicktime") => "mov",
        _ => kind.strip_prefix("x-").unwrap_or(kind),
    };
    format!("{family}.{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_endings_of_their_kind() {
        for (media_type, expected) in [
            ("image/png", "image.png"),
            ("audio/mpeg", "audio.mp3"),
            ("audio/mp4", "audio.m4a"),
            ("audio/x-aiff", "audio.aiff"),
            ("video/quicktime", "video.mov"),
            ("video/webm", "video.webm"),
        ] {
            assert_eq!(name(media_type), expected);
        }
    }
}
