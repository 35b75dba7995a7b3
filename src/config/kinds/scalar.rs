//! Switches, numbers, durations, sizes, choices of words.

use std::time::Duration;

use config::ValueKind;

use super::{Found, Kind};
use crate::config::problem::{Problems, nearest};
use crate::config::settings::Secrecy;

/// `true` or `false`.
pub(crate) struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn takes(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn short(&self) -> String {
        "`true`, `false`".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<bool> {
        match found.kind() {
            ValueKind::Boolean(switch) => Some(*switch),
            ValueKind::String(text) if text == "true" => Some(true),
            ValueKind::String(text) if text == "false" => Some(false),
            _ => found.refuse(self, problems),
        }
    }
}

/// A whole number between two others, both included.
pub(crate) struct Count(pub usize, pub usize);

impl Kind for Count {
    type Value = usize;

    fn takes(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }

    fn short(&self) -> String {
        format!("`{}` to `{}`", self.0, self.1)
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<usize> {
        let number = match found.kind() {
            ValueKind::I64(number) => usize::try_from(*number).ok(),
            ValueKind::String(text) => whole_number(text).and_then(|n| usize::try_from(n).ok()),
            _ => None,
        };
        number
            .filter(|number| (self.0..=self.1).contains(number))
            .or_else(|| found.refuse(self, problems))
    }
}

/// A duration between two others, both included and spelled as settings are.
pub(crate) struct Span(pub &'static str, pub &'static str);

impl Kind for Span {
    type Value = Duration;

    fn takes(&self) -> String {
        let (shortest, longest) = (self.0, self.1);
        format!("a duration such as `500ms`, `3s`, `2m` or `1h`, from {shortest} to {longest}")
    }

    fn short(&self) -> String {
        format!("`{}` to `{}`", self.0, self.1)
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Duration> {
        let bounds = duration(self.0)..=duration(self.1);
        let span = found.text().and_then(duration);
        span.filter(|&span| bounds.contains(&Some(span)))
            .or_else(|| found.refuse(self, problems))
    }
}

/// A number of bytes between two others, both included and spelled as settings are.
pub(crate) struct Size(pub &'static str, pub &'static str);

impl Kind for Size {
    type Value = usize;

    fn takes(&self) -> String {
        let (least, most) = (self.0, self.1);
        format!(
            "a size such as `16MiB`, `64KiB`, `4MB` or a number of bytes, from {least} to {most}"
        )
    }

    fn short(&self) -> String {
        format!("`{}` to `{}`", self.0, self.1)
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<usize> {
        let bounds = size(self.0)..=size(self.1);
        let bytes = match found.kind() {
            ValueKind::I64(bytes) => usize::try_from(*bytes).ok(),
            ValueKind::String(text) => size(text),
            _ => None,
        };
        bytes
            .filter(|&bytes| bounds.contains(&Some(bytes)))
            .or_else(|| found.refuse(self, problems))
    }
}

/// One of some words, each with what it stands for.
pub(crate) struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy> Kind for Choice<T> {
    type Value = T;

    fn takes(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("`{word}`")).collect();
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    fn short(&self) -> String {
        let words = self.0.iter().map(|(word, _)| format!("`{word}`"));
        words.collect::<Vec<_>>().join(", ")
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<T> {
        let text = found.text().unwrap_or_default();
        if let Some((_, meaning)) = self.0.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let guess = nearest(text, self.0.iter().map(|(word, _)| *word));
        found.refuse_guessing(self, guess, problems)
    }
}

/// A value that may be missing; empty text means that it is.
pub(crate) struct Optional<K>(pub K);

impl<K: Kind> Kind for Optional<K> {
    type Value = Option<K::Value>;

    fn takes(&self) -> String {
        self.0.takes()
    }

    fn short(&self) -> String {
        self.0.short()
    }

    fn secrecy(&self) -> Secrecy {
        self.0.secrecy()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Self::Value> {
        if found.text().is_some_and(|text| text.trim().is_empty()) {
            return Some(None);
        }
        self.0.read(found, problems).map(Some)
    }
}

/// A value whose zero means "none".
pub(crate) struct ZeroMeansNone<K>(pub K);

impl<K: Kind<Value: Default + PartialEq>> Kind for ZeroMeansNone<K> {
    type Value = Option<K::Value>;

    fn takes(&self) -> String {
        self.0.takes()
    }

    fn short(&self) -> String {
        self.0.short()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Self::Value> {
        let value = self.0.read(found, problems)?;
        Some(Some(value).filter(|value| *value != K::Value::default()))
    }
}

/// Digits only: `parse` alone would take a sign.
fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// A number and the unit behind it.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text.strip_suffix(unit)?;
    Some((whole_number(number)?, unit.trim_start()))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

fn size(text: &str) -> Option<usize> {
    let (number, unit) = split_unit(text)?;
    let bytes: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    usize::try_from(number.checked_mul(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_do_not_overflow() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("3s"), Some(Duration::from_secs(3)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Some(Duration::from_secs(3600)));
        for bad in [
            "",
            "3",
            "s",
            "-3s",
            "+3s",
            "1.5s",
            "3 minutes-ish",
            "3d",
            "٣s",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(duration("99999999999999999999s"), None);
        assert_eq!(duration("18446744073709551615h"), None);
    }

    #[test]
    fn sizes_know_binary_and_decimal_units() {
        assert_eq!(size("64KiB"), Some(64 * 1024));
        assert_eq!(size("1 MiB"), Some(1024 * 1024));
        assert_eq!(size("4MB"), Some(4_000_000));
        assert_eq!(size("17"), Some(17));
        for bad in [
            "",
            "KiB",
            "1.5MiB",
            "-1",
            "1mib",
            "1TB",
            "18446744073709551615GiB",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
