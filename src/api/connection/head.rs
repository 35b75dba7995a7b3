//! The head of a request, as far as it matters before it is parsed: where it ends, and whether it
//! offers to switch protocols.

use memchr::memchr;

/// What an offer is made into: as long as the word, and unknown to everybody.
pub const DECLINED: &str = "x-offer";
const UPGRADE: &[u8] = b"upgrade";

/// Where the head at the beginning of `bytes` ends, behind its blank line. Whatever lies before
/// `from` was searched before.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    // Blank lines before a request are no head (source: RFC 9112, 2.2).
    let is_letter = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    let begins = bytes.iter().position(is_letter)?;
    // The blank line may have begun in what was searched before.
    let mut at = from.saturating_sub(2).max(begins);
    while let Some(newline) = memchr(b'\n', bytes.get(at..)?) {
        at += newline + 1;
        match bytes.get(at..) {
            Some([b'\n', ..]) => return Some(at + 1),
            Some([b'\r', b'\n', ..]) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Makes a head's offers to switch protocols unreadable, as a server that accepts none may do
/// (source: RFC 9110, 7.8). The dispatcher would take the offer of a web socket for a body without
/// end, and answer any other with `connection: upgrade`.
pub(super) fn decline_upgrades(head: &mut [u8]) {
    for line in head.split_mut(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at_mut(colon);
        if name.eq_ignore_ascii_case(UPGRADE) {
            name.copy_from_slice(DECLINED.as_bytes());
        } else if name.eq_ignore_ascii_case(b"connection") {
            // The value begins with the colon.
            let options = value.split_mut(|byte| matches!(byte, b',' | b':'));
            options.for_each(decline_option);
        }
    }
}

fn decline_option(option: &mut [u8]) {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    let begins = option.iter().take_while(|byte| is_blank(byte)).count();
    let ends = option.iter().rposition(|byte| !is_blank(byte));
    let word = ends.and_then(|ends| option.get_mut(begins..=ends));
    if let Some(word) = word.filter(|word| word.eq_ignore_ascii_case(UPGRADE)) {
        word.copy_from_slice(DECLINED.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_blank_line_however_it_comes() {
        for (head, rest) in [
            ("GET / HTTP/1.1\r\na: b\r\n\r\n", "body"),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", "GET /"),
            ("GET / HTTP/1.1\na: b\n\n", "\n"),
            ("GET / HTTP/1.1\r\na: b\n\r\n", ""),
        ] {
            let bytes = [head.as_bytes(), rest.as_bytes()].concat();
            assert_eq!(end(&bytes, 0), Some(head.len()), "{head:?}");
            let (mut found, mut searched) = (None, 0);
            for so_far in 1..=bytes.len() {
                found = found.or(end(&bytes[..so_far], searched));
                searched = so_far;
            }
            assert_eq!(found, Some(head.len()), "{head:?} in drops");
        }
        for half in [
            "",
            "\r\n\r\n\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\n\r",
        ] {
            assert_eq!(end(half.as_bytes(), 0), None, "{half:?}");
        }
    }

    #[test]
    fn only_offers_are_changed_and_the_length_never() {
        for (given, expected) in [
            ("upgrade: h2c", "x-offer: h2c"),
            ("UPGRADE:websocket", "x-offer:websocket"),
            ("connection: Upgrade", "connection: x-offer"),
            (
                "Connection:HTTP2-Settings ,\tupgrade , close",
                "Connection:HTTP2-Settings ,\tx-offer , close",
            ),
            (
                "upgrade-insecure-requests: 1",
                "upgrade-insecure-requests: 1",
            ),
            ("x-note: upgrade", "x-note: upgrade"),
            ("connection: upgraded", "connection: upgraded"),
            ("connection:", "connection:"),
            ("no colon at all upgrade", "no colon at all upgrade"),
        ] {
            let head = |line: &str| format!("POST /upgrade:1 HTTP/1.1\r\n{line}\r\na: b\r\n\r\n");
            let mut bytes = head(given).into_bytes();
            decline_upgrades(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), head(expected));
        }
    }
}
