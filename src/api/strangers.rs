//! Web pages, and the names under which they find the gateway.
//!
//! A page in a browser can send requests to any address that its machine can reach. It shows itself
//! by its origin, or, where it has made a name of its own lead here (DNS rebinding), by that name.
//! Whatever a key does not protect is kept from it.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderValue, ORIGIN,
};
use actix_web::http::{Method, Version};

use super::auth::{Access, Denial, presented_key};
use super::connection::local_port;
use super::context::Context;
use super::error::ApiError;
use super::paths;
use super::snapshot::Snapshot;
use crate::translate::problem::ProblemKind;

/// Refuses what a foreign page could have sent, unless a key vouches for it. `route` is the label
/// of the route.
///
/// # Errors
/// 403 for a host that is not the gateway's, and for a page of another origin.
pub fn refuse(request: &ServiceRequest, context: &Context, route: &str) -> Result<(), ApiError> {
    let snapshot = &context.snapshot;
    let is_open = matches!(snapshot.access, Access::Open { .. });
    // Whoever allowed everybody in, and named no hosts, answers under names that are not known here.
    let any_host = snapshot.config.auth.allow_unauthenticated
        && snapshot.config.server.public_hosts.is_empty();
    let is_checked = match route {
        // Its handler asks for a key, where there are keys.
        route if paths::takes_body(route) => is_open && !any_host,
        // Probes come under addresses and many names, and learn next to nothing; but nobody
        // probes this machine under a name of the Internet.
        "health" => {
            let is_local = snapshot.config.beyond().is_none();
            is_local && !any_host && host(request).is_some_and(is_domain)
        }
        "metrics" => true,
        // Their own guards are stricter.
        "console" | "admin" => false,
        _ => !any_host,
    };
    // A preflight brings no key, costs nothing and learns what its own page may do.
    let is_preflight = !is_open
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_checked || (is_preflight && request.method() == Method::OPTIONS) {
        return Ok(());
    }
    let refusal = match is_known_host(request, snapshot) {
        false => foreign_host(),
        true if has_foreign_origin(request, snapshot) && route != "health" => foreign_page(),
        true => return Ok(()),
    };
    vouch(request, context, route, refusal)
}

/// Lets a request in for the key that it shows, or refuses it. Wrong keys count here as elsewhere.
fn vouch(
    request: &ServiceRequest,
    context: &Context,
    route: &str,
    refusal: ApiError,
) -> Result<(), ApiError> {
    let (access, headers) = (&context.snapshot.access, request.headers());
    let is_wrong = match route {
        "health" => false,
        "metrics"
            if context
                .snapshot
                .is_admin(headers, context.gateway.purses().now()) =>
        {
            return Ok(());
        }
        "metrics" => presented_key(headers).is_ok_and(|key| key.is_some()),
        _ if matches!(access, Access::Open { .. }) => false,
        _ => match access.admit(headers, context.gateway.purses().now()) {
            Ok(_) => return Ok(()),
            Err(denial) => matches!(denial, Denial::WrongKey(_)),
        },
    };
    Err(match is_wrong {
        true => context.count_failure(request.request(), refusal),
        false => refusal,
    })
}

/// Whether the request calls the gateway by a name of its own.
fn is_known_host(request: &ServiceRequest, snapshot: &Snapshot) -> bool {
    let Some(host) = host(request) else {
        // Nobody has to name one there (source: RFC 9112, 3.2), and every browser does.
        return request.version() < Version::HTTP_11;
    };
    let name = without_port(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    // No page can make an address its own. Where everybody is let in, only the usual ones count.
    let is_address =
        !matches!(snapshot.access, Access::Open { .. }) && bare.parse::<IpAddr>().is_ok();
    is_address || is_ours(name, snapshot)
}

/// Whether a request calls the gateway by an address, which no page can make its own, or by a name
/// that it is known under.
pub(super) fn is_called_by_address_or_name(request: &HttpRequest, snapshot: &Snapshot) -> bool {
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let header = || text(request.headers().get(HOST)?);
    let Some(host) = authority.or_else(header) else {
        return request.version() < Version::HTTP_11;
    };
    let name = without_port(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || is_ours(name, snapshot)
}

/// Whether a host is a name that a page in the Internet can have.
fn is_domain(host: &str) -> bool {
    let name = without_port(host);
    name.contains('.') && name.parse::<IpAddr>().is_err()
}

fn host(request: &ServiceRequest) -> Option<&str> {
    let authority = request.uri().authority();
    let header = || text(request.headers().get(HOST)?);
    authority
        .map(|authority| authority.as_str())
        .or_else(header)
}

/// Every origin counts, and one that cannot be read is a foreign one.
fn has_foreign_origin(request: &ServiceRequest, snapshot: &Snapshot) -> bool {
    let own = host(request).unwrap_or_default();
    let port = local_port(request);
    let listed = &snapshot.config.server.cors_origins;
    let is_friendly = |origin: &HeaderValue| {
        let Some(origin) = text(origin) else {
            return false;
        };
        if listed.iter().any(|known| known == origin || known == "*") {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let is_same = authority.eq_ignore_ascii_case(own)
            && matches!(scheme, "http" | "https")
            && is_ours(without_port(authority), snapshot);
        // The same page under another of this machine's names.
        let is_here = scheme == "http"
            && is_this_machine(without_port(authority))
            && authority
                .rsplit_once(':')
                .is_some_and(|(_, given)| given.parse().ok() == port);
        is_same || is_here
    };
    !origins(request.headers()).all(is_friendly)
}

fn origins(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    headers.get_all(ORIGIN)
}

pub(super) fn is_ours(name: &str, snapshot: &Snapshot) -> bool {
    is_this_machine(name)
        || snapshot
            .config
            .server
            .public_hosts
            .iter()
            .any(|known| known == name)
}

fn is_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]")
}

pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|letter| letter.is_ascii_digit()) => name,
        _ => host,
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

pub(super) fn foreign_host() -> ApiError {
    forbidden(
        "The request names a host that is not this gateway's. Call it as 127.0.0.1 or localhost, allow the name in server.public_hosts, or send a key where the gateway has keys.",
    )
}

/// The answer to a page of another origin.
pub fn foreign_page() -> ApiError {
    forbidden(
        "The request comes from a web page that may not call this gateway. Allow its origin in server.cors_origins.",
    )
}

fn forbidden(message: &str) -> ApiError {
    ApiError::refusal(ProblemKind::Forbidden, "forbidden_host", message)
}
