//! Texts as they stand in JSON.

/// Bytes that are looked at together, which takes about as long as one by itself.
const STRIDE: usize = 16;
/// So many are looked at first.
const NEAR: usize = 32;

/// Adds the inside of a JSON string behind what is there: the same bytes that `serde_json` writes, but
/// many at once where nothing is escaped, as in most of a text.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, behind) = rest
            .split_at_checked(plain_length(rest))
            .unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((byte, after)) = behind.split_first() else {
            return;
        };
        escape_byte(out, *byte);
        rest = after;
    }
}

/// The inside of a JSON string.
pub fn escaped(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len().saturating_add(text.len() / 8));
    escape_into(&mut json, text);
    // Only what is ASCII was changed.
    String::from_utf8(json).unwrap_or_default()
}

/// How many bytes at the beginning of a text stand in JSON as they are. Texts have something to escape
/// every few dozen bytes, so it is looked for in words, which need no time to begin; where they find
/// nothing, many words are taken at once.
fn plain_length(text: &[u8]) -> usize {
    let near = text.get(..NEAR).unwrap_or(text);
    let found = first_special(near);
    if found < near.len() || near.len() == text.len() {
        return found;
    }
    let far = text.get(NEAR..).unwrap_or_default();
    let (strides, _) = far.as_chunks::<STRIDE>();
    // Without an early end, so that the compiler compares all of them at once.
    let is_plain = |stride: &&[u8; STRIDE]| {
        let any = stride.iter().fold(0, |any, byte| any | special(*byte));
        any == 0
    };
    let skipped = strides.iter().take_while(is_plain).count();
    let skipped = NEAR.saturating_add(skipped.saturating_mul(STRIDE));
    let rest = text.get(skipped..).unwrap_or_default();
    skipped.saturating_add(first_special(rest))
}

/// Where the first byte stands that JSON has to escape, eight bytes at a time; the length of the text
/// where there is none.
fn first_special(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<{ size_of::<u64>() }>();
    let mut at = 0_usize;
    for word in words {
        let found = specials(u64::from_le_bytes(*word));
        if found != 0 {
            return at.saturating_add(found.trailing_zeros() as usize / 8);
        }
        at = at.saturating_add(word.len());
    }
    let next = rest.iter().position(|byte| special(*byte) != 0);
    at.saturating_add(next.unwrap_or(rest.len()))
}

/// The highest bit of each byte that JSON has to escape, and perhaps of others above the first one.
const fn specials(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(EACH) & !word
    }
    let controls = word.wrapping_sub(EACH.wrapping_mul(0x20)) & !word;
    let quotes = zeros(word ^ EACH.wrapping_mul(b'"' as u64));
    let backslashes = zeros(word ^ EACH.wrapping_mul(b'\\' as u64));
    (controls | quotes | backslashes) & EACH.wrapping_mul(0x80)
}

/// Not zero for what JSON has to escape (RFC 8259, section 7).
fn special(byte: u8) -> u8 {
    u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
}

fn escape_byte(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or(b'0');
            out.extend_from_slice(b"\\u00");
            out.extend([digit(byte >> 4), digit(byte & 0xf)]);
            return;
        }
    };
    out.extend([b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn texts_are_escaped_as_the_library_does() {
        let special: String = ('\0'..'\u{80}').chain("\u{e9}\u{1f600}".chars()).collect();
        for before in (0..40).map(|length| "x".repeat(length)) {
            for letter in special.chars() {
                let text = format!("{before}{letter}{before}{letter}");
                let json = serde_json::to_string(&text).unwrap();
                assert_eq!(format!("\"{}\"", escaped(&text)), json);
            }
        }
    }
}
