//! Who may see the console. A page in a browser can send requests anywhere, so each of them has to
//! show that it comes from the console's own page, whatever keys the gateway asks for elsewhere.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderName, HeaderValue, ORIGIN};

use crate::api::auth::presented_key;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::snapshot::Snapshot;
use crate::api::{paths, strangers};
use crate::translate::problem::ProblemKind;
use secrecy::ExposeSecret;

/// Sent by the console's page alone. A page of another origin would have to ask before it sends it,
/// and is never answered.
const OWN_HEADER: HeaderName = HeaderName::from_static("x-console");
/// Where a browser says a request comes from (source: W3C Fetch Metadata, 2.3).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody: there is no console.
    Shut,
    /// Whoever has the admin key.
    Key,
    /// Whoever is on this machine.
    Open,
}

impl Door {
    /// The door that a request finds, which there is on one listener alone.
    pub fn before(context: &Context) -> Self {
        match context.has_console {
            true => Self::of(&context.snapshot),
            false => Self::Shut,
        }
    }

    /// Without an admin key the console is for the one person who runs the gateway for himself:
    /// where others have keys or names for it, they could look at each other's requests.
    pub fn of(snapshot: &Snapshot) -> Self {
        let config = &snapshot.config;
        if !config.console.enabled {
            return Self::Shut;
        }
        if !snapshot.admin_keys.is_empty() {
            return Self::Key;
        }
        let is_for_one = config.beyond().is_none()
            && !snapshot.access.knows_keys()
            && !config.auth.allow_unauthenticated
            && config.server.public_hosts.is_empty()
            && config.server.trusted_proxies.is_empty();
        match is_for_one {
            true => Self::Open,
            false => Self::Shut,
        }
    }
}

/// What of the console is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A page: also by a link or a bookmark, but never into a frame.
    Page,
    /// A file that a page loads.
    File,
    /// What only the console's own page may have.
    Data,
}

/// Lets a request to the console come as far as it may without a token.
///
/// # Errors
/// 404 where there is no console, 403 for a foreign host and a foreign page.
pub fn approach(request: &HttpRequest, context: &Context, wanted: Wanted) -> Result<(), ApiError> {
    if Door::before(context) == Door::Shut {
        return Err(paths::unknown(request, context));
    }
    let host = host(request);
    let name = host.map(strangers::without_port);
    if !name.is_some_and(|name| strangers::is_ours(name, &context.snapshot)) {
        return Err(strangers::foreign_host());
    }
    match comes_from_here(request, wanted) {
        true => Ok(()),
        false => Err(foreign()),
    }
}

/// Lets a request for data in.
///
/// # Errors
/// Those of [`approach`], and 401 without a token where one is needed.
pub fn enter(request: &HttpRequest, context: &Context) -> Result<(), ApiError> {
    approach(request, context, Wanted::Data)?;
    let needs_token = Door::before(context) == Door::Key;
    if !needs_token || has_token(request, context) {
        return Ok(());
    }
    Err(ApiError::refusal(
        ProblemKind::Unauthenticated,
        "invalid_api_key",
        "The console is not open. Enter the admin key.",
    ))
}

/// Whether a request shows a token that opens the console.
pub fn has_token(request: &HttpRequest, context: &Context) -> bool {
    let key = presented_key(request.headers()).ok().flatten();
    let sessions = &context.gateway.sessions;
    key.is_some_and(|key| sessions.is_open(key.expose_secret(), &origin(request)))
}

/// What a token is bound to: the name and the port under which the browser knows the gateway.
pub fn origin(request: &HttpRequest) -> String {
    host(request).unwrap_or_default().to_ascii_lowercase()
}

fn comes_from_here(request: &HttpRequest, wanted: Wanted) -> bool {
    let text = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
    if wanted == Wanted::Data && text(OWN_HEADER) != Some(b"1") {
        return false;
    }
    if request.headers().get_all(SITE).count() > 1 {
        return false;
    }
    match (text(SITE), wanted) {
        (Some(b"same-origin"), _) | (Some(b"none"), Wanted::Page | Wanted::File) => true,
        (Some(_), Wanted::Page) => {
            text(MODE) == Some(b"navigate") && text(DESTINATION) == Some(b"document")
        }
        (Some(_), Wanted::File | Wanted::Data) => false,
        // Old browsers and programs do not say.
        (None, _) => {
            let own = origin(request);
            request.headers().get_all(ORIGIN).all(|given| {
                let authority = given.to_str().ok().and_then(|text| text.split_once("://"));
                authority.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(&own))
            })
        }
    }
}

fn host(request: &HttpRequest) -> Option<&str> {
    let authority = request.uri().authority();
    let header = || request.headers().get(HOST)?.to_str().ok();
    authority
        .map(|authority| authority.as_str())
        .or_else(header)
}

fn foreign() -> ApiError {
    ApiError::refusal(
        ProblemKind::Forbidden,
        "forbidden_host",
        "Only the console's own page may ask for this. Open the console itself.",
    )
}
