//! Headers that ask for something about a request. All of them are read before anything is paid for,
//! and one that cannot be understood is refused: whoever is not heard may pay for what he did not want.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::ApiError;

const NOTES: HeaderName = HeaderName::from_static("x-gateway-notes");
/// Asks for what would be sent to fal, in the place of an answer.
pub(super) const EXPLAIN: HeaderName = HeaderName::from_static("x-gateway-explain");
const RETRY: HeaderName = HeaderName::from_static("x-gateway-retry");

/// What the headers of a request ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wants {
    /// What would be sent to fal, in the place of an answer.
    pub explains: bool,
    /// Another call, although the same request has just failed and may have been paid for.
    pub retries: bool,
    /// The notes in the body of the answer.
    pub shows_notes: bool,
}

impl Wants {
    /// Reads them. `shows_notes` says whether everybody gets the notes in the body.
    ///
    /// # Errors
    /// The one that cannot be understood.
    pub(super) fn of(headers: &HeaderMap, shows_notes: bool) -> Result<Self, ApiError> {
        let notes = only(headers, &NOTES)?;
        if notes.is_some_and(|notes| notes != "body") {
            return Err(ApiError::invalid_header(NOTES.as_str(), "It must be body."));
        }
        Ok(Self {
            explains: flag(headers, &EXPLAIN)?.unwrap_or(false),
            retries: flag(headers, &RETRY)?.unwrap_or(false),
            shows_notes: shows_notes || notes.is_some(),
        })
    }
}

/// A header that says yes or no.
///
/// # Errors
/// It says something else, or is there twice.
pub(super) fn flag(headers: &HeaderMap, name: &HeaderName) -> Result<Option<bool>, ApiError> {
    match only(headers, name)?.map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"true") => Ok(Some(true)),
        Some(b"false") => Ok(Some(false)),
        Some(_) => Err(ApiError::invalid_header(
            name.as_str(),
            "It must be true or false.",
        )),
    }
}

/// A header that means something, which may be there once.
///
/// # Errors
/// It is there twice.
pub(super) fn only<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, ApiError> {
    let mut given = headers.get_all(name);
    match (given.next(), given.next()) {
        (_, Some(_)) => Err(ApiError::invalid_header(name.as_str(), "Send it once.")),
        (only, None) => Ok(only),
    }
}
