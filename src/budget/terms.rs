//! A budget as somebody writes it: `1000/day`, `25 usd/month`, `500 req/week soft`.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use super::amount::{Amount, Unit};
use super::period::Period;

/// What a budget allows. Two terms are the same budget, of one owner, if everything but the limit
/// and the hardness is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub limit: Amount,
    pub unit: Unit,
    pub period: Period,
    pub zone: Zone,
    /// Whether it is only counted, and refuses nothing.
    pub is_soft: bool,
    /// Whether only models at the premium rate count.
    pub only_premium: bool,
}

/// The time zone whose midnights begin a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// As the IANA database calls it.
    name: Box<str>,
    zone: TimeZone,
}

/// Why a text is no budget, in a sentence to be read after the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoTerms(String);

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self {
            name: "UTC".into(),
            zone: TimeZone::UTC,
        }
    }

    /// The zone of this name, such as `Europe/Amsterdam`, out of the database that is compiled in.
    pub fn of_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("utc") {
            return Some(Self::utc());
        }
        let zone = TimeZone::get(name).ok()?;
        let name = zone.iana_name()?.into();
        Some(Self { name, zone })
    }

    /// As the IANA database calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For the arithmetic of the calendar.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl Terms {
    /// Reads what stands behind the period.
    fn take<'w>(&mut self, words: impl Iterator<Item = &'w str>) -> Result<(), NoTerms> {
        let mut zone = None;
        for word in words {
            let is_new = match word {
                "soft" => !std::mem::replace(&mut self.is_soft, true),
                "premium" => !std::mem::replace(&mut self.only_premium, true),
                word => {
                    let named = Zone::of_name(word).ok_or_else(|| {
                        let word = word.escape_debug();
                        NoTerms(format!(
                            "says `{word}`, which is neither `soft` nor `premium` nor a time zone"
                        ))
                    })?;
                    zone.replace(named).is_none()
                }
            };
            if !is_new {
                let word = word.escape_debug();
                return Err(NoTerms(format!(
                    "says `{word}` besides: it takes one time zone, and `soft` and `premium` once"
                )));
            }
        }
        self.zone = zone.unwrap_or_else(Zone::utc);
        Ok(())
    }

    /// What tells the budget from the others of its owner, for a store: `units/day/UTC`,
    /// `usd/month/Europe/Amsterdam/premium`.
    pub fn name(&self) -> String {
        let premium = if self.only_premium { "/premium" } else { "" };
        let (unit, period) = (self.unit.word(), self.period.word());
        format!("{unit}/{period}/{}{premium}", self.zone.name())
    }
}

impl FromStr for Terms {
    type Err = NoTerms;

    /// Reads `NUMBER [UNIT]/PERIOD [ZONE] [soft] [premium]`.
    fn from_str(text: &str) -> Result<Self, NoTerms> {
        let no = |sentence: String| Err(NoTerms(sentence));
        let Some((amount, rest)) = text.split_once('/') else {
            return no("lacks its period: day, week, month or total, behind a slash".to_owned());
        };
        let (number, unit) = match amount.trim().split_once(' ') {
            Some((number, unit)) => (number, unit.trim()),
            None => (amount.trim(), "units"),
        };
        let Some(unit) = Unit::of_word(unit) else {
            let unit = unit.escape_debug();
            return no(format!(
                "counts `{unit}`, but can count units, usd, req or tok"
            ));
        };
        let Some(limit) = unit.parse(number) else {
            let number = number.escape_debug();
            let most = unit.number(Amount::MAX_LIMIT);
            return no(format!(
                "has `{number}` where a number of {unit} stands, of {most} at most with up to {} \
                 decimals",
                unit.decimals()
            ));
        };
        if limit.is_zero() {
            return no("allows nothing; to refuse a key, set `disabled`".to_owned());
        }
        let mut words = rest.split_whitespace();
        let word = words.next().unwrap_or_default();
        let known = Period::WORDS.iter().find(|(known, _)| *known == word);
        let Some((_, period)) = known else {
            let word = word.escape_debug();
            return no(format!(
                "is for a `{word}`, but can be for a day, week, month or total"
            ));
        };
        let mut terms = Self {
            limit,
            unit,
            period: *period,
            zone: Zone::utc(),
            is_soft: false,
            only_premium: false,
        };
        terms.take(words)?;
        Ok(terms)
    }
}

impl fmt::Display for Terms {
    /// As it can be read again.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.unit.number(self.limit);
        write!(formatter, "{number} {}/{}", self.unit, self.period.word())?;
        if self.zone != Zone::utc() {
            write!(formatter, " {}", self.zone.name())?;
        }
        if self.only_premium {
            formatter.write_str(" premium")?;
        }
        if self.is_soft {
            formatter.write_str(" soft")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_as_they_are_written() {
        for (text, written) in [
            ("1000/day", "1000 units/day"),
            ("0.5 units/week", "0.5 units/week"),
            ("25 usd/month", "25 usd/month"),
            ("100 req/total soft", "100 requests/total soft"),
            (
                "20 / month Europe/Amsterdam premium",
                "20 units/month Europe/Amsterdam premium",
            ),
            ("5000 tok/day UTC", "5000 tokens/day"),
        ] {
            let terms: Terms = text.parse().unwrap();
            assert_eq!(terms.to_string(), written);
            assert_eq!(written.parse::<Terms>().unwrap(), terms);
        }
        let terms: Terms = "1 usd/month asia/tokyo premium soft".parse().unwrap();
        assert_eq!(terms.name(), "usd/month/Asia/Tokyo/premium");
    }

    #[test]
    fn what_is_no_budget_is_told_why() {
        for (text, why) in [
            ("", "period"),
            ("1000", "period"),
            ("/day", "number"),
            ("0/day", "allows nothing"),
            ("0.0 usd/day", "allows nothing"),
            ("-5/day", "number"),
            ("1e3/day", "number"),
            ("5 eur/day", "eur"),
            ("5/year", "year"),
            ("5/day Mars/Olympus", "Mars/Olympus"),
            ("1.5 req/day", "number"),
            ("9007199254740993000/day", "1000000000000000 at most"),
            ("5/day Asia/Tokyo UTC", "UTC"),
            ("5/day soft soft", "soft"),
            ("5/day premium premium", "premium"),
        ] {
            let error = text.parse::<Terms>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
