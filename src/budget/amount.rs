//! Amounts of what a budget counts, in whole numbers: sums of floats drift.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// fal's units of any-llm (source: fal's any-llm page: a request to a standard model is one).
    Units,
    /// US dollars.
    Dollars,
    /// Requests that reached a model.
    Requests,
    /// Tokens of prompts and answers.
    Tokens,
}

/// An amount in the smallest part of its [`Unit`]: thousandths of a unit, billionths of a dollar,
/// requests, tokens. Sums that do not fit stay at the largest amount, which no limit reaches.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
)]
pub struct Amount(pub i64);

impl Unit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Units, Self::Dollars, Self::Requests, Self::Tokens];

    /// The word for it in settings, messages and headers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Dollars => "usd",
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }

    /// The unit that a word of the settings means.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "unit" | "units" => Some(Self::Units),
            "usd" => Some(Self::Dollars),
            "req" | "request" | "requests" => Some(Self::Requests),
            "tok" | "token" | "tokens" => Some(Self::Tokens),
            _ => None,
        }
    }

    /// How many decimals of it are kept.
    pub fn decimals(self) -> u32 {
        match self {
            Self::Units => 3,
            Self::Dollars => 9,
            Self::Requests | Self::Tokens => 0,
        }
    }

    /// One whole unit.
    pub fn one(self) -> Amount {
        Amount(10_i64.pow(self.decimals()))
    }

    /// Reads a decimal number without a sign; `None` for anything else, for more decimals than are
    /// kept, and for more than [`Amount::MAX_LIMIT`].
    pub fn parse(self, text: &str) -> Option<Amount> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let missing = self
            .decimals()
            .checked_sub(u32::try_from(fraction.len()).ok()?)?;
        let whole: i64 = whole.parse().ok()?;
        let fraction: i64 = match fraction {
            "" => 0,
            digits => digits.parse().ok()?,
        };
        let whole = whole.checked_mul(self.one().0)?;
        let amount = whole.checked_add(fraction.checked_mul(10_i64.checked_pow(missing)?)?)?;
        Some(Amount(amount)).filter(|amount| *amount <= Amount::MAX_LIMIT)
    }

    /// The same with a sign, `+` or `-`, or without.
    pub fn parse_signed(self, text: &str) -> Option<Amount> {
        match text.strip_prefix('-') {
            Some(text) => self.parse(text).map(Neg::neg),
            None => self.parse(text.strip_prefix('+').unwrap_or(text)),
        }
    }

    /// The number as people write it: `7`, `0.25`.
    pub fn number(self, amount: Amount) -> String {
        let sign = if amount.0 < 0 { "-" } else { "" };
        let one = self.one().0.unsigned_abs();
        let (whole, rest) = (amount.0.unsigned_abs() / one, amount.0.unsigned_abs() % one);
        if rest == 0 {
            // What most answers tell is put together without a formatter.
            return sign.to_owned() + &whole.to_string();
        }
        let decimals = format!("{rest:0width$}", width = self.decimals() as usize);
        format!("{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }

    /// The number as the nearest floating-point number, for APIs that have no other.
    pub fn to_f64(self, amount: Amount) -> f64 {
        self.number(amount).parse().unwrap_or(f64::MAX)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest limit that a budget can have; sums of a few of them still fit.
    pub const MAX_LIMIT: Self = Self(1_000_000_000_000_000_000);

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(i64::from(count)))
    }

    /// A count of things as an amount.
    pub fn of_count(count: u64) -> Self {
        Self(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Itself, or nothing where it is below that.
    #[must_use]
    pub fn or_zero(self) -> Self {
        self.max(Self::ZERO)
    }

    /// Whether there is nothing of it.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (unit, text, amount) in [
            (Unit::Units, "7", 7000),
            (Unit::Units, "0.5", 500),
            (Unit::Units, "0.001", 1),
            (Unit::Dollars, "25", 25_000_000_000),
            (Unit::Dollars, "0.000000001", 1),
            (Unit::Requests, "100", 100),
            (Unit::Tokens, "1", 1),
        ] {
            assert_eq!(unit.parse(text), Some(Amount(amount)), "{text} {unit}");
            assert_eq!(unit.number(Amount(amount)), text);
        }
        assert_eq!(Unit::Units.parse("1.500"), Some(Amount(1500)));
        assert_eq!(Unit::Units.number(Amount(-1500)), "-1.5");
        assert_eq!(Unit::Dollars.to_f64(Amount(250_000_000)), 0.25);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            "-1",
            "+1",
            "1.",
            ".5",
            "1e3",
            "NaN",
            "1_000",
            " 1",
            "0.0001",
            "٣",
            "1.5.5",
            "1000000000000001",
            "99999999999999999999",
        ] {
            assert_eq!(Unit::Units.parse(text), None, "{text:?}");
        }
        assert_eq!(Unit::Requests.parse("1.5"), None);
        assert_eq!(
            Unit::Requests.parse("1000000000000000000"),
            Some(Amount::MAX_LIMIT)
        );
        assert_eq!(Unit::Requests.parse("1000000000000000001"), None);
    }

    #[test]
    fn sums_stay_at_the_largest_amount() {
        let most = Amount(i64::MAX);
        assert_eq!(most + Amount(1), most);
        assert_eq!(most.times(3), most);
        assert_eq!(Amount(i64::MIN) - Amount(1), Amount(i64::MIN));
        assert_eq!(Amount::of_count(u64::MAX), most);
    }
}
