//! Data URIs of files and images, as clients really write them.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// The image types that the vision models of fal's catalogue read.
pub(super) const MEDIA_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A data URI in base64 (RFC 2397), taken apart.
#[derive(Debug)]
pub struct DataUri<'a> {
    /// As it was written, without parameters; empty when none was.
    pub media_type: &'a str,
    /// In the standard alphabet, padded, and nothing else in between.
    encoded: Cow<'a, str>,
}

impl<'a> DataUri<'a> {
    /// Takes an address apart; `None` when it is no data URI in base64.
    ///
    /// Encoders of mails break the lines, URLs are percent-encoded, and some libraries write the
    /// alphabet for URLs, with or without padding: all of it is understood.
    pub fn read(url: &'a str) -> Option<Self> {
        let (head, data) = url.split_once(',')?;
        let scheme = head.get(..5)?;
        let mut parameters = head.get(5..)?.split(';').map(str::trim);
        let media_type = parameters.next()?;
        let is_base64 = parameters.any(|parameter| parameter.eq_ignore_ascii_case("base64"));
        (scheme.eq_ignore_ascii_case("data:") && is_base64).then_some(())?;
        Some(Self {
            media_type,
            encoded: cleaned(data)?,
        })
    }

    /// Base64 alone, without a URI around it; `None` when it is none.
    pub fn of_base64(data: &'a str) -> Option<Self> {
        Some(Self {
            media_type: "",
            encoded: cleaned(data)?,
        })
    }

    /// The base64, in the standard alphabet and padded.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// The bytes, if the text is valid.
    pub fn decode(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.encoded.as_ref()).ok()
    }

    /// How many bytes there are, give or take two.
    pub fn len(&self) -> usize {
        (self.encoded.len() / 4).saturating_mul(3)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// Whether the text decodes, found out in pieces so that no copy of the file is made.
    pub fn is_valid(&self) -> bool {
        const PIECE: usize = 4096;
        let pieces = self.encoded.as_bytes().chunks(PIECE);
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

    /// The type of an image that vision models read: by its first bytes, whatever the label says,
    /// or else by the label. `None` for anything else.
    pub fn image_type(&self) -> Option<&'static str> {
        /// Enough text for the longest signature.
        const SIGNATURE: usize = 16;
        let start = self.encoded.get(..SIGNATURE).unwrap_or(&self.encoded);
        let bytes = BASE64.decode(start).unwrap_or_default();
        type_by_signature(&bytes).or_else(|| type_by_label(self.media_type))
    }

    /// The URI with this type, and with nothing in it that a strict reader would stumble over;
    /// `None` when `url`, of which it was read, is just that.
    pub fn mended(&self, url: &str, media_type: &str) -> Option<String> {
        let head = format!("data:{media_type};base64,");
        let is_clean = url.strip_prefix(&head) == Some(self.encoded.as_ref());
        (!is_clean).then(|| format!("{head}{}", self.encoded))
    }
}

/// What files of these types begin with (sources: the specifications of PNG, section 5.2, JFIF,
/// GIF89a, section 17, and WebP's container).
fn type_by_signature(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Some("image/webp"),
        _ => None,
    }
}

/// The type by its name, or by a name that clients make of a file's ending or of an old browser's.
fn type_by_label(label: &str) -> Option<&'static str> {
    let is = |name: &str| label.eq_ignore_ascii_case(name);
    match MEDIA_TYPES.into_iter().find(|known| is(known)) {
        Some(known) => Some(known),
        None if is("image/jpg") || is("image/pjpeg") => Some("image/jpeg"),
        None if is("image/x-png") => Some("image/png"),
        None => None,
    }
}

/// Base64 in its standard form; borrowed if it was in it. `None` for what is no base64 at all.
fn cleaned(data: &str) -> Option<Cow<'_, str>> {
    let is_standard = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let body = data.trim_end_matches('=');
    let padding = data.len().saturating_sub(body.len());
    if body.bytes().all(|byte| is_standard(&byte)) && data.len().is_multiple_of(4) && padding < 3 {
        return Some(Cow::Borrowed(data));
    }
    let mut out = String::with_capacity(data.len().saturating_add(3));
    let mut is_padded = false;
    let mut bytes = data.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex(bytes.next()?, bytes.next()?)?,
            plain => plain,
        };
        let letter = match byte {
            blank if blank.is_ascii_whitespace() => continue,
            b'=' => {
                is_padded = true;
                continue;
            }
            b'-' => b'+',
            b'_' => b'/',
            letter => letter,
        };
        if is_padded || !is_standard(&letter) {
            return None;
        }
        out.push(char::from(letter));
    }
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    Some(Cow::Owned(out))
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digits = [high, low];
    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn clean(url: &str) -> Option<String> {
        let uri = DataUri::read(url)?;
        let media_type = uri.image_type()?;
        let mended = uri.mended(url, media_type);
        uri.is_valid()
            .then(|| mended.unwrap_or_else(|| url.to_owned()))
    }

    #[test]
    fn the_type_is_that_of_the_first_bytes() {
        for (bytes, media_type) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"GIF87a\x01\0\x01\0", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        ] {
            let encoded = STANDARD.encode(bytes);
            let expected = format!("data:{media_type};base64,{encoded}");
            for label in [
                media_type,
                "image/jpg",
                "image/pjpeg",
                "image/x-png",
                "IMAGE/PNG",
                "application/octet-stream",
                "image/*",
                "",
                "image/png;charset=utf-8",
                " image/png ",
            ] {
                let url = format!("data:{label};base64,{encoded}");
                assert_eq!(clean(&url).as_deref(), Some(expected.as_str()), "{label}");
            }
        }
    }

    #[test]
    fn a_label_is_believed_where_the_bytes_say_nothing() {
        for (label, media_type) in [
            ("image/jpg", "image/jpeg"),
            ("image/pjpeg", "image/jpeg"),
            ("image/x-png", "image/png"),
            ("Image/WebP", "image/webp"),
        ] {
            let expected = format!("data:{media_type};base64,AQID");
            let url = format!("data:{label};base64,AQID");
            assert_eq!(clean(&url), Some(expected));
        }
        let heic = STANDARD.encode(b"\0\0\0\x18ftypheic\0\0\0\0");
        for label in [
            "image/heic",
            "image/tiff",
            "image/svg+xml",
            "text/plain",
            "",
        ] {
            assert_eq!(
                clean(&format!("data:{label};base64,{heic}")),
                None,
                "{label}"
            );
        }
    }

    #[test]
    fn base64_is_understood_however_it_is_written() {
        let bytes = (0..=255).chain([0xfb, 0xff, 0xfe]).collect::<Vec<u8>>();
        let bytes = [&b"\x89PNG\r\n\x1a\n"[..], &bytes, b"."].concat();
        let standard = STANDARD.encode(&bytes);
        let expected = format!("data:image/png;base64,{standard}");
        let (front, back) = standard.split_at(76);
        let unpadded = standard.trim_end_matches('=').to_owned();
        for written in [
            standard.clone(),
            unpadded.clone(),
            format!("{front}\r\n{back}"),
            format!("{front}\n{back}\n"),
            format!(" {standard}"),
            format!("{front}%0D%0A{back}"),
            standard.replace('=', "%3D"),
            standard.replace('+', "%2B").replace('/', "%2f"),
            URL_SAFE.encode(&bytes),
            URL_SAFE.encode(&bytes).trim_end_matches('=').to_owned(),
            format!("{unpadded}===="),
        ] {
            let url = format!("data:image/png;base64,{written}");
            assert_eq!(clean(&url).as_deref(), Some(expected.as_str()), "{written}");
        }
        for broken in [
            "A",
            "AAAAA",
            "AA=A",
            "A!AA",
            "%3",
            "%zz",
            "AAA\u{e9}",
            "====",
        ] {
            let url = format!("data:image/png;base64,{broken}");
            let is_nothing = DataUri::read(&url).is_some_and(|uri| uri.is_empty());
            assert!(is_nothing || clean(&url).is_none(), "{broken}");
        }
    }

    #[test]
    fn what_is_no_data_uri_is_none() {
        for url in [
            "",
            "data:",
            "data:image/png,AAAA",
            "data:image/png;base64",
            "date:;base64,AAAA",
            "é,;base64",
        ] {
            assert!(DataUri::read(url).is_none(), "{url}");
        }
    }
}
