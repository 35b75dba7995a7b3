//! The console's pages and files.

use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::door::{self, Door, Wanted};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::{describe, paths};
use crate::console::assets::{self, PAGES};

/// Nothing but our own files runs, is shown or is asked; no text becomes HTML (Trusted Types); no
/// page shows this one in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// `/`: the console for browsers, a word of welcome for everybody else.
///
/// # Errors
/// 403 for what comes from a foreign page.
pub async fn welcome(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    let is_browser = request
        .headers()
        .get_all(ACCEPT)
        .filter_map(|accepted| accepted.to_str().ok())
        .any(|accepted| accepted.contains("text/html"));
    if is_browser && Door::before(&context) != Door::Shut {
        return page(request, context).await;
    }
    let mut answer = describe::welcome();
    answer.headers_mut().insert(VARY, HeaderValue::from(ACCEPT));
    Ok(answer)
}

/// A page.
///
/// # Errors
/// 404 where there is no console, 403 for a foreign host or a frame of another page.
pub async fn page(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    door::approach(&request, &context, Wanted::Page)?;
    let page = PAGES.iter().find(|page| page.path == request.path());
    let page = page.ok_or_else(|| paths::unknown(&request, &context))?;
    Ok(guarded(HttpResponse::Ok())
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((VARY, ACCEPT.as_str()))
        .content_type("text/html; charset=utf-8")
        .body(assets::shell(page)))
}

/// A file. Browsers keep it, and ask each time whether it is still the same.
///
/// # Errors
/// 404 for one that is not there, 403 for a foreign host or page.
pub async fn asset(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    door::approach(&request, &context, Wanted::File)?;
    let asset = assets::find(&name).ok_or_else(|| paths::unknown(&request, &context))?;
    let known = request.headers().get(IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known == asset.etag.as_str());
    let response = match is_known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    let mut response = guarded(response);
    response
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, asset.etag.as_str()))
        .content_type(asset.content_type);
    Ok(match is_known {
        true => response.finish(),
        false => response.body(asset.text),
    })
}

fn guarded(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"))
        .insert_header((
            "permissions-policy",
            "camera=(), microphone=(), geolocation=()",
        ));
    response
}
