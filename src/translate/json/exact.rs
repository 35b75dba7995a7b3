//! Numbers that survive being read and written again.

/// Digits that a double keeps, whichever they are.
const DIGITS_KEPT: usize = 15;

/// Whether all numbers of a valid JSON text keep their value when it is parsed and written again.
///
/// Whole numbers do up to 64 bits, others up to 15 digits. Ids of 20 digits and more are common
/// enough, and one that comes out rounded points to something else.
pub(super) fn keeps_numbers(json: &str) -> bool {
    let mut is_in_string = false;
    let mut is_escaped = false;
    let outside = json.split(|next: char| {
        let was_in_string = is_in_string;
        if is_escaped {
            is_escaped = false;
        } else if next == '"' {
            is_in_string = !is_in_string;
        } else {
            is_escaped = is_in_string && next == '\\';
        }
        was_in_string || !matches!(next, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')
    });
    outside
        .filter(|token| token.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
        .all(keeps_number)
}

/// Whether a JSON number keeps its value.
pub(super) fn keeps_number(number: &str) -> bool {
    let is_whole = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    if is_whole {
        return true;
    }
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    digits.skip_while(|digit| *digit == b'0').count() <= DIGITS_KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_too_long_for_their_type_are_noticed() {
        assert!(keeps_numbers(r#"{"a": [1, -2.50, 18446744073709551615]}"#));
        assert!(keeps_numbers(r#"{"a": "12345678901234567890123", "e": 1}"#));
        assert!(!keeps_numbers(r#"{"a": 123456789012345678901}"#));
        assert!(!keeps_numbers("[0.12345678901234567]"));
    }
}
