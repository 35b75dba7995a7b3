//! Texts as they stand in JSON.

/// Bytes that are looked at together, which takes about as long as one by itself.
const STRIDE: usize = 16;

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

/// How many bytes at the beginning of a text stand in JSON as they are.
fn plain_length(text: &[u8]) -> usize {
    let (strides, _) = text.as_chunks::<STRIDE>();
    // Without an early end, so that the compiler compares all of them at once.
    let is_plain = |stride: &&[u8; STRIDE]| {
        let any = stride.iter().fold(0, |any, byte| any | special(*byte));
        any == 0
    };
    let skipped = strides.iter().take_while(is_plain).count();
    let skipped = skipped.saturating_mul(STRIDE);
    let rest = text.get(skipped..).unwrap_or_default();
    let next = rest.iter().position(|byte| special(*byte) != 0);
    skipped.saturating_add(next.unwrap_or(rest.len()))
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
