//! What escapes by number stand for: of JSON and programs, of HTML, of URLs.
//!
//! Each function takes what follows the sign that begins the escape, and gives the character, or
//! `None` where the number stands for none, and what follows the escape. `None` alone: it is none.

use std::ops::RangeInclusive;

/// `#55;` and `#x37;`, behind `&`. The semicolon may be missing.
pub(super) fn entity_number(text: &str) -> Option<(Option<char>, &str)> {
    let number = text.strip_prefix('#')?;
    let (code, rest) = match number.strip_prefix(['x', 'X']) {
        Some(hex) => digits(hex, 16, 1..=8)?,
        None => digits(number, 10, 1..=10)?,
    };
    let rest = rest.strip_prefix(';').unwrap_or(rest);
    Some((char::from_u32(code), rest))
}

/// `u0037`, also as a pair of surrogates, `u{37}` and `x37`, behind a backslash.
pub(super) fn backslash(text: &str) -> Option<(Option<char>, &str)> {
    if let Some(hex) = text.strip_prefix(['x', 'X']) {
        let (code, rest) = digits(hex, 16, 2..=2)?;
        return Some((char::from_u32(code), rest));
    }
    let hex = text.strip_prefix(['u', 'U'])?;
    if let Some(hex) = hex.strip_prefix('{') {
        let (code, rest) = digits(hex, 16, 1..=6)?;
        return Some((char::from_u32(code), rest.strip_prefix('}')?));
    }
    let (code, rest) = digits(hex, 16, 4..=4)?;
    let low = rest
        .strip_prefix("\\u")
        .and_then(|hex| digits(hex, 16, 4..=4));
    match (code, low) {
        (0xD800..=0xDBFF, Some((low @ 0xDC00..=0xDFFF, rest))) => {
            let code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            Some((char::from_u32(code), rest))
        }
        _ => Some((char::from_u32(code), rest)),
    }
}

/// `37`, behind `%`; a byte of a longer character counts as nothing.
pub(super) fn percent(text: &str) -> Option<(Option<char>, &str)> {
    let (code, rest) = digits(text, 16, 2..=2)?;
    Some((char::from_u32(code).filter(char::is_ascii), rest))
}

/// As many digits as a number may have, its value, and what follows.
fn digits(text: &str, radix: u32, lengths: RangeInclusive<usize>) -> Option<(u32, &str)> {
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let length = text
        .bytes()
        .take(*lengths.end())
        .take_while(is_digit)
        .count();
    let (number, rest) = text.split_at_checked(length)?;
    lengths.contains(&length).then_some(())?;
    Some((u32::from_str_radix(number, radix).ok()?, rest))
}
