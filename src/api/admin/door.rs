//! Who may administer the gateway. Programs with an admin key may, and pages in a browser never.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, ORIGIN};
use secrecy::ExposeSecret;

use crate::api::auth::presented_key;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::strangers;
use crate::config::AdminScope;
use crate::translate::problem::ProblemKind;

/// Where a browser says a request comes from (source: W3C Fetch Metadata, 2.3).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whoever has come in, as the log names him.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) name: String,
}

/// Lets somebody in who wants this.
///
/// # Errors
/// 403 for a page in a browser, a foreign name, and a key that is for something else; 401 without an
/// admin key; 429 after too many wrong ones.
pub(super) fn enter(
    request: &HttpRequest,
    context: &Context,
    scope: AdminScope,
) -> Result<Operator, ApiError> {
    let headers = request.headers();
    let is_program = |value: &[u8]| value == b"none";
    let comes_from_page = headers.contains_key(ORIGIN)
        || headers
            .get_all(&SITE)
            .any(|site| !is_program(site.as_bytes()));
    if comes_from_page {
        return Err(forbidden(
            "Pages in a browser cannot administer the gateway.",
        ));
    }
    let snapshot = &context.snapshot;
    if !strangers::is_called_by_address_or_name(request, snapshot) {
        return Err(strangers::foreign_host());
    }
    if snapshot.admin_keys.is_empty() {
        return match is_for_one(request, context) {
            true => Ok(Operator {
                name: "local".to_owned(),
            }),
            false => Err(context.wrong_admin_key(
                request,
                "Others than the operator may use this gateway, which has no key for operators: set \
                 auth.admin_key, or use the commands `fal-gateway keys`, `projects` and `budgets`, which \
                 need none.",
            )),
        };
    }
    let key = presented_key(headers)?;
    let verify = |key: &secrecy::SecretString| {
        // The store's clock, as for the keys of clients.
        let now = context.gateway.purses().now();
        let known = snapshot.admin_keys.verify(key.expose_secret(), now);
        known.cloned()
    };
    let Some(known) = key.as_ref().and_then(verify) else {
        let message = "This needs an admin key. Send it as: Authorization: Bearer YOUR_ADMIN_KEY.";
        return Err(context.wrong_admin_key(request, message));
    };
    match known.is_for(scope) {
        true => Ok(Operator {
            name: known.name.clone(),
        }),
        false => Err(ApiError::refusal(
            ProblemKind::Forbidden,
            "insufficient_permissions",
            format!(
                "Your admin key '{}' is not for this: it lacks the scope '{}'.",
                known.name,
                scope.word()
            ),
        )),
    }
}

/// Without an admin key the gateway is for the one person who runs it for himself: once others have
/// keys or names for it, that is over.
fn is_for_one(request: &HttpRequest, context: &Context) -> bool {
    let config = &context.snapshot.config;
    let is_here = request
        .peer_addr()
        .is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    is_here
        && config.beyond().is_none()
        && !context.snapshot.access.knows_keys()
        && !config.auth.allow_unauthenticated
        && config.server.public_hosts.is_empty()
        && config.server.trusted_proxies.is_empty()
}

fn forbidden(message: &str) -> ApiError {
    ApiError::refusal(ProblemKind::Forbidden, "forbidden_host", message)
}
