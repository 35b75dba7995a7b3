//! A text that one request after another holds, with what is known of it.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::json::escaped;
use super::key::MarkerKey;
use super::likeness::{Found, Likeness};
use super::usage::EstimatedText;

/// A text that was read before.
#[derive(Debug)]
pub struct KnownText {
    /// With its tokens.
    pub estimated: EstimatedText,
    /// See [`Self::escaped_within`].
    escaped: OnceLock<String>,
    /// What looks like the key that was looked for last: an application's, most likely.
    alike: Mutex<Option<(MarkerKey, Found)>>,
}

impl KnownText {
    pub fn new(text: String) -> Self {
        Self {
            estimated: EstimatedText::new(text),
            escaped: OnceLock::new(),
            alike: Mutex::new(None),
        }
    }

    pub fn as_str(&self) -> &str {
        self.estimated.as_str()
    }

    /// The inside of the JSON string of a text that holds this one, in three parts; `None` where it is
    /// not found in there.
    pub fn escaped_within(&self, whole: &str) -> Option<[Cow<'_, str>; 3]> {
        let (before, after) = self.estimated.split(whole)?;
        let known = self.escaped.get_or_init(|| escaped(self.as_str()));
        Some([escaped(before).into(), known.into(), escaped(after).into()])
    }

    /// How often the like of a key occurs in this text, which is looked through once for a key, and what
    /// stands around it in a text that holds it. `None` where it is not found in there on lines of its
    /// own: neither a key nor an escape goes on beyond a line.
    pub fn alike_within<'t>(
        &self,
        whole: &'t str,
        key: &MarkerKey,
    ) -> Option<(Found, [&'t str; 2])> {
        let (before, after) = self.estimated.split(whole)?;
        let is_apart = before.ends_with('\n') && self.as_str().ends_with('\n');
        is_apart.then(|| (self.alike(key), [before, after]))
    }

    fn alike(&self, key: &MarkerKey) -> Found {
        let alike = || self.alike.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, found)) = &*alike()
            && known == key
        {
            return *found;
        }
        // To look takes too long to do under the lock.
        let found = Likeness::of(key.as_str()).count(self.as_str());
        *alike() = Some((key.clone(), found));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::KnownText;
    use crate::translate::key::MarkerKey;
    use crate::translate::likeness::Likeness;

    #[test]
    fn knowing_a_part_makes_no_other_json() {
        for known in ["", "\"", "a\n\u{1}\\", "\u{e9}"].map(|text| KnownText::new(text.to_owned()))
        {
            for around in ["", "\\", "\"b\"\t", "\u{1f600}"] {
                let whole = format!("{around}{}{around}", known.as_str());
                let parts = known.escaped_within(&whole).unwrap();
                let json = format!("\"{}\"", parts.concat());
                assert_eq!(json, serde_json::to_string(&whole).unwrap(), "{whole}");
            }
        }
        assert!(KnownText::new("a".to_owned()).escaped_within("b").is_none());
    }

    #[test]
    fn a_key_is_found_wherever_it_stands_beside_what_is_known() {
        let known = [
            "known\n",
            "7k2q\n",
            "7K&#50;Q\n",
            "\u{200b}2Q\n",
            "2Q \\\n",
            "2Q known",
        ];
        let around = [
            "", "\n", "7K2Q\n", "7K\n", "7K", "2Q", "x37;K2Q", "u0037K2Q", "&#55\n",
        ];
        let mut compared = 0;
        for known in known.map(|text| KnownText::new(text.to_owned())) {
            let pairs = around
                .iter()
                .flat_map(|one| around.map(|other| (*one, other)));
            for (before, after) in pairs {
                let whole = format!("{before}{}{after}", known.as_str());
                for key in ["7K2Q", "7K2QX"].map(MarkerKey::of_text) {
                    let mut likeness = Likeness::of(key.as_str());
                    let Some((mut found, around)) = known.alike_within(&whole, &key) else {
                        continue;
                    };
                    compared += 1;
                    around.iter().for_each(|text| found += likeness.count(text));
                    assert_eq!(found, likeness.count(&whole), "{whole}");
                }
            }
        }
        assert!(compared > 100, "{compared}");
    }
}
