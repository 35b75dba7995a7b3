//! How large JSON is, before anything of it is read.

/// How large a JSON text is once it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many values it holds, itself included.
    pub values: usize,
    /// How many of them stand in it directly.
    pub items: usize,
    /// How many objects and arrays are within one another.
    pub depth: usize,
}

impl Extent {
    /// Measures a valid JSON text. Looks at each byte once, at those of strings eight at a time, and
    /// needs no stack, so no text can exhaust it.
    pub fn of(json: &str) -> Self {
        let mut extent = Self {
            values: 1,
            items: 0,
            depth: 0,
        };
        let mut depth = 0_usize;
        // What an opener is followed by is its first member, unless it closes at once.
        let mut follows_opener = false;
        let mut rest = json.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let is_member = match byte {
                b' ' | b'\n' | b'\r' | b'\t' => continue,
                b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    false
                }
                b',' => true,
                b'"' => {
                    rest = after_string(rest);
                    follows_opener
                }
                _ => follows_opener,
            };
            if is_member {
                extent.values = extent.values.saturating_add(1);
                extent.items = extent.items.saturating_add((depth == 1).into());
            }
            follows_opener = matches!(byte, b'[' | b'{');
            if follows_opener {
                depth = depth.saturating_add(1);
                extent.depth = extent.depth.max(depth);
            }
        }
        extent
    }
}

/// What follows the string whose inside begins here, behind its quotation mark.
pub(super) fn after_string(mut inside: &[u8]) -> &[u8] {
    loop {
        let end = sign(inside).unwrap_or(inside.len());
        let skipped = match inside.get(end) {
            Some(b'\\') => end.saturating_add(2),
            _ => return inside.get(end.saturating_add(1)..).unwrap_or_default(),
        };
        inside = inside.get(skipped..).unwrap_or_default();
    }
}

/// Where the next quotation mark or backslash stands. Strings of JSON are short, or have escapes,
/// too often for a search that has to be set up to be worth it.
fn sign(text: &[u8]) -> Option<usize> {
    const WORD: usize = size_of::<u64>();
    let is_sign = |byte: &u8| matches!(byte, b'"' | b'\\');
    let (words, rest) = text.as_chunks::<WORD>();
    let find = |word: &[u8; WORD]| {
        let word = u64::from_le_bytes(*word);
        zeros(word ^ ONES.wrapping_mul(u64::from(b'"')))
            | zeros(word ^ ONES.wrapping_mul(u64::from(b'\\')))
    };
    let mut found = words.iter().map(find).enumerate();
    let skipped = words.len().saturating_mul(WORD);
    match found.find(|(_, found)| *found != 0) {
        // The lowest mark is right, whatever stands above it.
        Some((at, found)) => {
            let within = found.trailing_zeros() as usize / 8;
            Some(at.saturating_mul(WORD).saturating_add(within))
        }
        None => {
            let at = rest.iter().position(is_sign)?;
            Some(skipped.saturating_add(at))
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Marks the highest bit of the lowest byte that is zero, and perhaps of others above it.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & ONES.wrapping_shl(7)
}

#[cfg(test)]
mod tests {
    use super::{Extent, after_string};

    #[test]
    fn values_and_levels_are_counted_without_being_read() {
        for (json, values, items, depth) in [
            ("1", 1, 0, 0),
            ("[]", 1, 0, 1),
            ("[ ]", 1, 0, 1),
            ("{\"a\": [1, \"],[\", {}]}", 5, 1, 3),
            ("[[[\"\\\"\"]]]", 4, 1, 3),
            ("[true, {\"a\\\\\": null}, [[ 2 ]], \"\"]", 8, 4, 3),
        ] {
            let extent = Extent {
                values,
                items,
                depth,
            };
            assert_eq!(Extent::of(json), extent, "{json}");
        }
    }

    #[test]
    fn a_string_ends_at_its_quotation_mark_wherever_it_stands() {
        for before in (0..20).map(|length| "!\u{a3}#]\u{dc}[".repeat(length)) {
            for escape in ["", "\\\"", "\\\\", "\\\\\\\""] {
                let text = format!("{before}{escape}{before}\"rest\"");
                assert_eq!(after_string(text.as_bytes()), b"rest\"", "{text}");
            }
        }
        assert_eq!(after_string(b"has no end \\"), b"");
    }
}
