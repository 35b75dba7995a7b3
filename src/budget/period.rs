//! When a budget begins anew.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How long a budget's window lasts. Windows are those of the calendar, in the budget's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Day,
    /// From Monday (source: ISO 8601).
    Week,
    Month,
    /// There is one window, for ever.
    Total,
}

/// The time of one window: from its start to right before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: Timestamp,
    /// `None` is never.
    pub end: Option<Timestamp>,
}

impl Period {
    /// The words for periods in settings and messages.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("total", Self::Total),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The window that a moment falls in. All moments between its start and its end give the same
    /// one, across changes of daylight saving time too. Where the calendar or the clock ends, the
    /// window has no end.
    pub fn span(self, now: Timestamp, zone: &TimeZone) -> Span {
        let today = zone.to_datetime(now).date();
        let first = match self {
            Self::Day => Some(today),
            Self::Week => monday(today),
            Self::Month => Some(today.first_of_month()),
            Self::Total => None,
        };
        let after = first.and_then(|first| match self {
            Self::Day => first.tomorrow().ok(),
            Self::Week => first.checked_add(7.days()).ok(),
            Self::Month => first.checked_add(1.month()).ok(),
            Self::Total => None,
        });
        let midnight = |date: Date| date.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
        Span {
            start: match self {
                Self::Total => Timestamp::UNIX_EPOCH,
                _ => first.and_then(midnight).unwrap_or(Timestamp::MIN),
            },
            end: after.and_then(midnight),
        }
    }
}

/// The Monday of a day's week.
fn monday(day: Date) -> Option<Date> {
    let since = day.weekday().since(Weekday::Monday);
    day.checked_sub(i64::from(since).days()).ok()
}

impl Span {
    /// Whether a moment is in it.
    pub fn contains(&self, now: Timestamp) -> bool {
        self.start <= now && self.end.is_none_or(|end| now < end)
    }
}
