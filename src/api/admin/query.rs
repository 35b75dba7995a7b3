//! The parameters of what operators ask for.

use super::keys::invalid;
use crate::api::error::ApiError;

/// The most letters of a parameter's name that a refusal repeats.
const SHOWN: usize = 64;

/// The parameters of a request, of which lists come as `group_by[]=a&group_by[]=b`,
/// `group_by=a&group_by=b` or `group_by=a,b`.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart. Whoever misspells a filter would otherwise be told of everything.
    ///
    /// # Errors
    /// 400 for a parameter that is not among those that are known.
    pub(super) fn of(text: &str, known: &[&[&str]]) -> Result<Self, ApiError> {
        let known = || known.iter().copied().flatten().copied();
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        let pairs = pairs.map(|(name, value)| {
            let name = name.strip_suffix("[]").unwrap_or(&name);
            if known().any(|known| known == name) {
                return Ok((name.to_owned(), value.into_owned()));
            }
            let name: String = name.chars().take(SHOWN).collect();
            let known = known().collect::<Vec<_>>().join(", ");
            let known = match known.as_str() {
                "" => "nothing",
                known => known,
            };
            let message = format!(
                "Unknown parameter: '{}'. This takes {known}.",
                name.escape_debug()
            );
            Err(invalid(&name, &message))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// A parameter; where it is there more than once, the last holds.
    pub(super) fn one(&self, wanted: &str) -> Option<&str> {
        let mut last = self.0.iter().rev();
        let found = last.find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    }

    /// The items of a list.
    pub(super) fn all(&self, wanted: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(name, _)| name == wanted);
        let values = values.flat_map(|(_, value)| value.split(','));
        values.filter(|value| !value.is_empty())
    }

    /// The names that a filter lists; `None` where it lists some and none of them can be anybody's.
    pub(super) fn names(&self, wanted: &str) -> Option<Vec<String>> {
        // No name has a NUL in it, and PostgreSQL takes no text that has one.
        let possible = self.all(wanted).filter(|name| !name.contains('\0'));
        let possible: Vec<String> = possible.map(str::to_owned).collect();
        (!possible.is_empty() || self.all(wanted).next().is_none()).then_some(possible)
    }

    /// # Errors
    /// 400 for what is no whole number.
    pub(super) fn number(&self, wanted: &str) -> Result<Option<i64>, ApiError> {
        let number = self.one(wanted).map(|text| text.parse().ok());
        match number.map(|number| number.filter(|number: &i64| *number >= 0)) {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => {
                let message = format!("Invalid '{wanted}': it takes a whole number.");
                Err(invalid(wanted, &message))
            }
        }
    }

    /// # Errors
    /// 400 for what is neither `true` nor `false`.
    pub(super) fn switch(&self, wanted: &str) -> Result<Option<bool>, ApiError> {
        match self.one(wanted) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => {
                let message = format!("Invalid '{wanted}': it takes true or false.");
                Err(invalid(wanted, &message))
            }
        }
    }
}
