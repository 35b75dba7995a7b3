//! Names, hashes, times and patterns, as the tables of client keys have them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Found, Kind};
use crate::budget::Terms;
use crate::config::auth::is_key_name;
use crate::config::problem::Problems;
use crate::config::settings::Secrecy;
use crate::config::{KeyHash, ModelPattern};

/// The name of a key or a project.
pub(crate) struct KeyName;

impl Kind for KeyName {
    type Value = String;

    fn takes(&self) -> String {
        "a name of up to 64 letters, digits and any of `.`, `_`, `-`, `@`".to_owned()
    }

    fn short(&self) -> String {
        "name".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<String> {
        let name = found.text().filter(|text| is_key_name(text));
        name.map(str::to_owned)
            .or_else(|| found.refuse(self, problems))
    }
}

/// The hash of a key that has its name elsewhere.
pub(crate) struct PlainHash;

impl Kind for PlainHash {
    type Value = KeyHash;

    fn takes(&self) -> String {
        "`sha256:` and 64 hex digits".to_owned()
    }

    fn short(&self) -> String {
        "`sha256:HEX`".to_owned()
    }

    fn secrecy(&self) -> Secrecy {
        Secrecy::KeyHashes
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<KeyHash> {
        let hash = found.text().and_then(KeyHash::parse);
        hash.filter(|hash| hash.name().is_none()).or_else(|| {
            let words = format!(
                "is not the hash of a key (the value is not shown); it takes {}, which \
                 `fal-gateway keys hash` prints for a plain key",
                self.takes()
            );
            found.refuse_because(&words, problems)
        })
    }
}

/// A point in time.
pub(crate) struct Moment;

impl Kind for Moment {
    type Value = Timestamp;

    fn takes(&self) -> String {
        "a date such as `2027-01-31`, or a time with its zone such as `2027-01-31T18:00:00Z`"
            .to_owned()
    }

    fn short(&self) -> String {
        "date or time".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Timestamp> {
        let moment = found.text().and_then(|text| {
            let beginning = |date: Date| date.to_zoned(TimeZone::UTC).ok();
            let of_date = || Some(beginning(text.parse().ok()?)?.timestamp());
            // A time without a zone would be taken for a date.
            match text.contains(['T', 't', ' ']) {
                true => text.parse().ok(),
                false => of_date(),
            }
        });
        moment.or_else(|| found.refuse(self, problems))
    }
}

/// A pattern of model ids.
pub(crate) struct Pattern;

impl Kind for Pattern {
    type Value = ModelPattern;

    fn takes(&self) -> String {
        "a model id, in which `*` stands for any letters, with `!` in front to take models out"
            .to_owned()
    }

    fn short(&self) -> String {
        "pattern".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<ModelPattern> {
        const LONGEST: usize = 256;
        let pattern = found.text().and_then(|text| {
            let (excludes, id) = match text.strip_prefix('!') {
                Some(id) => (true, id),
                None => (false, text),
            };
            let is_id =
                (1..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
            is_id.then(|| ModelPattern {
                excludes,
                text: id.to_owned(),
            })
        });
        pattern.or_else(|| found.refuse(self, problems))
    }
}

/// What may be spent in a time.
pub(crate) struct Budget;

impl Kind for Budget {
    type Value = Terms;

    fn takes(&self) -> String {
        "a budget such as `1000/day`, `25 usd/month`, `500 req/week` or `1000000 tok/total`"
            .to_owned()
    }

    fn short(&self) -> String {
        "budget".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Terms> {
        let Some(text) = found.text() else {
            return found.refuse(self, problems);
        };
        match text.parse() {
            Ok(terms) => Some(terms),
            Err(why) => {
                let text: String = text.chars().take(80).collect();
                let text = text.escape_debug();
                let words = format!("is `{text}`, which {why}; it takes {}", self.takes());
                found.refuse_because(&words, problems)
            }
        }
    }
}
