//! Texts as they stand in JSON.

/// Bytes that are looked at together.
const WORD: usize = size_of::<u64>();
/// The same in a long stretch without anything to escape, which takes about as long as a word.
const STRIDE: usize = 16;
/// So many words without anything to escape begin such a stretch.
const FEW_WORDS: usize = 4;

/// Adds the inside of a JSON string behind what is there: the same bytes that `serde_json` writes, but
/// many at once where nothing is escaped, as in most of a text.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    let mut plain_words = 0_usize;
    while let Some((word, after)) = rest.split_first_chunk::<WORD>() {
        let found = specials(u64::from_le_bytes(*word));
        // All of it, which is one store: what is to be escaped is taken off again.
        out.extend_from_slice(word);
        if found == 0 {
            rest = after;
            plain_words = plain_words.saturating_add(1);
            if plain_words >= FEW_WORDS {
                let (plain, behind) = plain_strides(rest);
                out.extend_from_slice(plain);
                rest = behind;
            }
            continue;
        }
        let plain = found.trailing_zeros() as usize / 8;
        out.truncate(out.len().saturating_sub(WORD.saturating_sub(plain)));
        let behind = rest.get(plain..).unwrap_or_default();
        let Some((byte, after)) = behind.split_first() else {
            return;
        };
        escape_byte(out, *byte);
        rest = after;
        plain_words = 0;
    }
    for byte in rest {
        match special(*byte) {
            0 => out.push(*byte),
            _ => escape_byte(out, *byte),
        }
    }
}

/// The inside of a JSON string.
pub fn escaped(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len().saturating_add(text.len() / 8));
    escape_into(&mut json, text);
    // Only what is ASCII was changed.
    String::from_utf8(json).unwrap_or_default()
}

/// The strides at the beginning of a text that stand in JSON as they are, and what follows them.
fn plain_strides(text: &[u8]) -> (&[u8], &[u8]) {
    let (strides, _) = text.as_chunks::<STRIDE>();
    // Without an early end, so that the compiler compares all of them at once.
    let is_plain = |stride: &&[u8; STRIDE]| {
        let any = stride.iter().fold(0, |any, byte| any | special(*byte));
        any == 0
    };
    let plain = strides.iter().take_while(is_plain).count();
    text.split_at_checked(plain.saturating_mul(STRIDE))
        .unwrap_or((text, &[]))
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
