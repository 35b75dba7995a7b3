//! Image addresses: which of them fal may be given.
//!
//! The gateway never fetches an image. It passes addresses on as text, and refuses those that fal
//! could not or should not fetch, with the place in the request where they stand.
#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use url::{Host, Url};

use super::rejection::{Cause, Rejection};

/// What images a request may hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Images in one request.
    pub max_images: usize,
    /// Bytes of one image sent as a data URI, decoded.
    pub max_image_bytes: usize,
    /// Whether plain `http:` addresses are passed on.
    pub allow_http: bool,
}

/// The image types that the vision models of fal's catalogue read.
const MEDIA_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// The longest address that is not a data URI.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Base64 with or without padding: clients send both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Accepts the address of the request's `count`th image, found at `path`.
///
/// # Errors
/// Too many images, a data URI that is malformed, too large or of another type, an address that is
/// not `https:`, or one that points into a private network.
pub fn parse_url(url: &str, path: &str, count: usize, limits: &Limits) -> Result<(), Rejection> {
    let refuse = |message: String| {
        Rejection::of(
            Cause::InvalidImage,
            path,
            format!("Invalid image at '{path}': {message}"),
        )
    };
    if count > limits.max_images {
        let most = limits.max_images;
        return Err(refuse(format!(
            "a request may hold at most {most} images. Send fewer."
        )));
    }
    let outcome = match is_data_uri(url) {
        true => parse_data_uri(url, limits),
        false => parse_address(url, limits),
    };
    outcome.map_err(refuse)
}

/// Whether an address that somebody else than the caller named is one that fal could fetch.
pub fn is_fetchable(url: &str) -> bool {
    let limits = Limits {
        max_images: 1,
        max_image_bytes: 0,
        allow_http: false,
    };
    parse_address(url, &limits).is_ok()
}

/// Whether an address is a data URI, by its scheme.
pub fn is_data_uri(url: &str) -> bool {
    url.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// The address as fal understands it: the head of a data URI in small letters.
pub fn normalised(url: Cow<'_, str>) -> Cow<'_, str> {
    let is_data = url
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    match url.split_once(',') {
        Some((head, data)) if is_data && head.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Cow::Owned(format!("{},{data}", head.to_ascii_lowercase()))
        }
        _ => url,
    }
}

/// A data URI taken apart: its media type and its bytes.
pub struct DataUri<'a> {
    pub media_type: &'a str,
    pub bytes: Vec<u8>,
}

/// Decodes `data:image/png;base64,...`; `None` when the address is no such thing.
pub fn decode_data_uri(url: &str) -> Option<DataUri<'_>> {
    if !is_data_uri(url) {
        return None;
    }
    let (media_type, encoded) = split_data_uri(url).ok()?;
    let bytes = BASE64.decode(encoded).ok()?;
    Some(DataUri { media_type, bytes })
}

fn split_data_uri(url: &str) -> Result<(&str, &str), String> {
    let malformed = || "a data URI must look like data:image/png;base64,....".to_owned();
    let (head, encoded) = url.split_once(',').ok_or_else(malformed)?;
    let media = head
        .get(5..)
        .and_then(|head| head.strip_suffix(";base64"))
        .ok_or_else(malformed)?;
    let media_type = media.split(';').next().unwrap_or_default();
    Ok((media_type, encoded))
}

fn parse_data_uri(url: &str, limits: &Limits) -> Result<(), String> {
    let (media_type, encoded) = split_data_uri(url)?;
    if !MEDIA_TYPES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(media_type))
    {
        return Err(format!(
            "its type must be one of {}.",
            MEDIA_TYPES.join(", ")
        ));
    }
    if (encoded.len() / 4).saturating_mul(3) > limits.max_image_bytes {
        let most = limits.max_image_bytes;
        return Err(format!(
            "a data URI may hold at most {most} bytes. Send a smaller image or a URL."
        ));
    }
    if encoded.is_empty() || !is_base64(encoded) {
        return Err("its data is not valid base64.".to_owned());
    }
    Ok(())
}

/// Whether a text decodes, found out in pieces so that no copy of the image is made.
fn is_base64(encoded: &str) -> bool {
    const PIECE: usize = 4096;
    let pieces = encoded.as_bytes().chunks(PIECE);
    let last = pieces.len().saturating_sub(1);
    let mut buffer = [0u8; PIECE];
    pieces
        .enumerate()
        .all(|(position, piece)| match position == last {
            true => BASE64.decode_slice(piece, &mut buffer).is_ok(),
            false => general_purpose::STANDARD_NO_PAD
                .decode_slice(piece, &mut buffer)
                .is_ok(),
        })
}

fn parse_address(url: &str, limits: &Limits) -> Result<(), String> {
    if url.len() > MAX_URL_BYTES {
        return Err("the URL is longer than 8192 bytes.".to_owned());
    }
    if url.contains(|letter: char| letter.is_control() || letter == '\\' || letter == ' ') {
        return Err("the URL holds a space, a backslash or a control character.".to_owned());
    }
    let parsed = Url::parse(url).map_err(|_| "it is neither a URL nor a data URI.".to_owned())?;
    match parsed.scheme() {
        "https" => {}
        "http" if limits.allow_http => {}
        _ => return Err("the URL must begin with https:// (or be a data URI).".to_owned()),
    }
    // Readers of addresses disagree on what `https:example.com` and `https:///example.com` name.
    let rest = url.get(parsed.scheme().len()..).unwrap_or_default();
    if !rest.starts_with("://") || rest.starts_with(":///") {
        return Err("the URL must have two slashes and a host after its scheme.".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("the URL must not hold a user name or password.".to_owned());
    }
    match parsed.host() {
        Some(host) if is_public(&host) => Ok(()),
        _ => {
            Err("the URL points into a private network, from where fal cannot fetch it.".to_owned())
        }
    }
}

/// Whether a host could be on the public internet. Names are taken at their word: the gateway
/// resolves nothing, and fal guards its own network.
fn is_public(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name != "localhost"
                && ![".localhost", ".local", ".internal"]
                    .iter()
                    .any(|end| name.ends_with(end))
        }
        Host::Ipv4(address) => is_public_address(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_public_address(IpAddr::V6(*address)),
    }
}

fn is_public_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

/// Addresses that the public internet routes (source: IANA's special-purpose registries).
fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = (a, b, c) == (192, 0, 0);
    let is_benchmark = a == 198 && (18..20).contains(&b);
    let is_reserved = a == 0 || a >= 224;
    let is_special = is_shared || is_protocol || is_benchmark || is_reserved;
    !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_special)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [first, ..] = v6.segments();
    let is_site_local = first & 0xffc0 == 0xfec0;
    let is_local = v6.is_unique_local() || v6.is_unicast_link_local() || is_site_local;
    !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || is_local)
}

/// The IPv4 address inside a mapped, 6to4 or NAT64 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(w, x, y, z)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(v4(g, h)),
        // The old compatible form; `::` and `::1` are left to the checks for themselves.
        (0, 0, 0, 0, 0, 0) if (g, h) > (0, 1) => Some(v4(g, h)),
        (0x2002, high, low, ..) => Some(v4(high, low)),
        _ => None,
    }
}
