//! Money, in whole numbers: a price of a token has up to twelve decimals, and sums of floats drift.

use std::fmt;
use std::str::FromStr;

/// An amount in millionths of a millionth of a US dollar. The largest is about 18 million dollars;
/// sums and products that would be larger stay there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoDollars(pub u64);

/// What a model costs that is paid by the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPrice {
    /// For each token that the model reads.
    pub prompt: PicoDollars,
    /// For each token that the model writes, reasoning included.
    pub completion: PicoDollars,
    /// For each token of a recording that it hears, where that has a price of its own.
    pub audio: Option<PicoDollars>,
}

/// A text that is no amount of money: no decimal number, or one below zero or beyond the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no amount in dollars")]
pub struct NoAmount;

/// The decimals of a dollar that are kept.
const DECIMALS: i32 = 12;

impl PicoDollars {
    /// The sum, or the largest amount there is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The floating-point number that is nearest.
    pub fn to_f64(self) -> f64 {
        // A decimal text is rounded once; a quotient would be rounded twice.
        self.to_string().parse().unwrap_or(f64::MAX)
    }

    /// So many times as much, or the largest amount there is.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl TokenPrice {
    /// What a token of a recording or a video costs at most.
    pub fn of_media(self) -> PicoDollars {
        self.audio.unwrap_or_default().max(self.prompt)
    }

    /// What a call costs with so many tokens of each sort.
    pub fn of(self, prompt_tokens: u64, completion_tokens: u64) -> PicoDollars {
        let prompt = self.prompt.times(prompt_tokens);
        prompt.plus(self.completion.times(completion_tokens))
    }
}

impl FromStr for PicoDollars {
    type Err = NoAmount;

    /// Reads dollars as JSON writes numbers (`0.0000001`, `4e-05`). What is finer than a picodollar
    /// is rounded to the nearest one.
    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| NoAmount)?)
            }
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || text.len() > 64 || !is_number(whole) || !is_number(fraction) {
            return Err(NoAmount);
        }
        let fraction_length = i32::try_from(fraction.len()).map_err(|_| NoAmount)?;
        // The place of the decimal point behind all digits, once the amount is in picodollars.
        let shift = exponent
            .saturating_add(DECIMALS)
            .saturating_sub(fraction_length);
        let digits = whole.bytes().chain(fraction.bytes());
        let digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
        if digits.is_empty() {
            return Ok(Self(0));
        }
        let count = i32::try_from(digits.len()).map_err(|_| NoAmount)?;
        let kept = usize::try_from(count.saturating_add(shift)).unwrap_or(0);
        if kept > 20 {
            return Err(NoAmount);
        }
        let zeros = std::iter::repeat(&b'0');
        let mut amount: u128 = 0;
        for digit in digits.iter().chain(zeros).take(kept) {
            amount = amount * 10 + u128::from(digit - b'0');
        }
        let is_half_or_more = count.saturating_add(shift) >= 0
            && digits.get(kept).is_some_and(|digit| *digit >= b'5');
        amount += u128::from(is_half_or_more);
        u64::try_from(amount).map(Self).map_err(|_| NoAmount)
    }
}

impl fmt::Display for PicoDollars {
    /// Dollars as a decimal number without an exponent and without zeros at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const IN_A_DOLLAR: u64 = 1_000_000_000_000;
        let (whole, rest) = (self.0 / IN_A_DOLLAR, self.0 % IN_A_DOLLAR);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{rest:012}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}
