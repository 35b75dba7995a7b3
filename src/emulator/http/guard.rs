//! Keeps web pages out: a browser on this machine carries every page to `127.0.0.1`.
//!
//! A page shows itself by its origin, or, where it has made its own name lead here (DNS rebinding),
//! by the host it asks for. fal lets every page call its apps, because a page needs a key there; we
//! do the same where we have a key that a page cannot know.

use std::net::IpAddr;

use actix_web::http::{
    Uri,
    header::{HOST, HeaderMap, ORIGIN},
};

use super::call::{Host, Whole};
use crate::emulator::options::Options;

/// What a call may be refused for before it is read.
///
/// # Errors
///
/// A 403 that says what to change.
pub(in crate::emulator) fn admit(
    options: &Options,
    host: Host,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Whole> {
    let asked = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        // A host that cannot be read is nobody's.
        None => headers.get(HOST).map(|host| host.to_str().unwrap_or("?")),
    };
    // HTTP/1.0 needs no host, and no browser speaks it.
    if asked.is_some_and(|asked| !is_ours(options, name_of(asked))) {
        return Err(refusal(
            "this name is not the emulator's; call it as 127.0.0.1 or localhost, or start it with --public-host NAME",
        ));
    }
    let mut origins = headers.get_all(ORIGIN);
    if !gives_cors(options, host) || options.key.is_none() {
        let is_stranger = |origin: &str| {
            let name = origin.strip_prefix("http://");
            let name = name.or_else(|| origin.strip_prefix("https://"));
            !name.is_some_and(|name| is_loopback(name_of(name)))
        };
        if origins.any(|origin| is_stranger(origin.to_str().unwrap_or_default())) {
            return Err(refusal(
                "a web page of another machine may not call this; with --key, and without --relay, pages may call fal's own paths",
            ));
        }
    }
    Ok(())
}

/// Whether answers carry the header with which fal lets every page read them. Our own pages show
/// what others asked, the proxy adds a key, and a relay spends one.
pub(in crate::emulator) fn gives_cors(options: &Options, host: Host) -> bool {
    let is_fals = matches!(host, Host::Run | Host::Queue | Host::Rest | Host::Cdn);
    is_fals && options.relay.is_none()
}

/// Whether `host`, without a port, is a name or address of this machine alone.
pub(in crate::emulator) fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || address(&name).is_some_and(|address| address.is_loopback())
}

/// An address cannot be made to lead elsewhere, so it is as good as a name that we know.
fn is_ours(options: &Options, host: &str) -> bool {
    let listed = |known: &String| known.eq_ignore_ascii_case(host);
    is_loopback(host) || address(host).is_some() || options.public_hosts.iter().any(listed)
}

fn address(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

/// `host` without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn refusal(why: &str) -> Whole {
    Whole::detail(403, format!("fal-gateway emulator: {why}"))
}
