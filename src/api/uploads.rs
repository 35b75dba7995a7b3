//! Large images on their way to fal's storage (`images.upload_threshold`).
//!
//! An image inside a request makes fal's input as large as itself, a third more for base64, once
//! for every choice. One that is larger than the threshold is stored at fal first, and the input
//! carries its address.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use futures::future::try_join_all;

use super::auth::Caller;
use super::error::ApiError;
use super::gateway::Worker;
use crate::observe::record::Record;
use crate::translate::image::{DataUri, is_data_uri, is_fetchable};
use crate::translate::plan::Plan;
use crate::upstream::{RefusalKind, Upload, UpstreamError};

/// What `x-gateway-emulated` calls it.
const NOTE: &str = "image_upload";

/// Uploads the large images of a plan, all at once, and puts their addresses in their places.
///
/// # Errors
/// The first image that cannot be uploaded fails the request; no model has been called then.
pub async fn upload_images(
    worker: &Worker,
    caller: &Caller,
    plan: &mut Plan<'_>,
    record: &Record,
) -> Result<(), ApiError> {
    let config = &worker.gateway.config;
    let Some(threshold) = config.images.upload_threshold else {
        return Ok(());
    };
    let images = plan.input.image_urls.iter_mut();
    let uploads = images
        .filter(|url| url.len() > threshold && is_data_uri(url))
        .map(|url| upload(worker, caller, url))
        .collect::<Vec<_>>();
    if uploads.is_empty() {
        return Ok(());
    }
    let limit = worker.gateway.first_byte_timeout(plan.endpoint.stream);
    let outcome = tokio::time::timeout(limit, try_join_all(uploads)).await;
    outcome
        .unwrap_or(Err(UpstreamError::TimedOut))
        .map_err(|error| failed(&error, caller, record))?;
    plan.notes.emulated(NOTE);
    Ok(())
}

async fn upload(
    worker: &Worker,
    caller: &Caller,
    url: &mut Cow<'_, str>,
) -> Result<(), UpstreamError> {
    let Some(uri) = DataUri::read(url) else {
        return Ok(());
    };
    let Some(bytes) = uri.decode() else {
        return Ok(());
    };
    let media_type = uri.media_type;
    let kind = media_type.rsplit('/').next().unwrap_or_default();
    let file = Upload {
        media_type,
        name: &format!("image.{kind}"),
        bytes,
    };
    let storage = worker.fal.storage();
    let address = storage.upload(file, &caller.fal_key, is_fetchable).await?;
    *url = Cow::Owned(address);
    Ok(())
}

/// Unlike a failed call of a model, a failed upload costs nothing. It may be repeated unless fal has
/// said that this will not help.
fn failed(error: &UpstreamError, caller: &Caller, record: &Record) -> ApiError {
    record.upstream_error(error.label());
    match error {
        UpstreamError::Unreachable | UpstreamError::ConnectTimedOut => {
            ApiError::upstream(error, caller.brought_fal_key)
        }
        UpstreamError::Refused(refusal)
            if matches!(
                refusal.kind,
                RefusalKind::Key
                    | RefusalKind::Forbidden
                    | RefusalKind::Balance
                    | RefusalKind::Busy
                    | RefusalKind::Unavailable
            ) =>
        {
            ApiError::upstream(error, caller.brought_fal_key)
        }
        UpstreamError::TimedOut => ApiError::repeatable(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "fal's storage did not take an image of the request in time. No model was called; \
             the request can be repeated.",
        ),
        UpstreamError::Disconnected
        | UpstreamError::Unusable(_)
        | UpstreamError::UnusableHead(..)
        | UpstreamError::Refused(_) => {
            tracing::warn!(request.id = record.request_id(), %error, "an image could not be uploaded");
            match is_final(error) {
                true => ApiError::not_repeatable(
                    "upstream_upload_failed",
                    "fal's storage refused an image of the request. No model was called.",
                ),
                false => ApiError::repeatable(
                    StatusCode::BAD_GATEWAY,
                    "upstream_upload_failed",
                    "fal's storage did not take an image of the request. No model was called; \
                     the request can be repeated.",
                ),
            }
        }
    }
}

/// Whether the storage has said no in a way that the next try would meet again.
fn is_final(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Refused(refusal) => refusal.status < 500,
        _ => false,
    }
}
