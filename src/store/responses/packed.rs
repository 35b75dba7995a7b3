//! Items that lie in the row of their response, since their ids lead to it.
//!
//! A row of its own, with an index for its id, costs an item more than all the rest of keeping it. So an
//! item whose id has the same letters behind its prefix as the id of its response needs none: whoever
//! asks for it by its id finds the response by these. Items with other ids have rows of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{from_str, to_string};

use super::{INPUT, NewItem, NewResponse, OUTPUT, Owner, now};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Transaction};

/// What ids begin with of responses that their items lead to.
const PREFIX: &str = "resp_";
/// How many letters they have in common behind that.
const COMMON: usize = 16;

/// The items of one response as its row holds them.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// The JSON of what came out of it, and behind that of what went into it, with commas between them.
    pub items: String,
    parts: Vec<Part>,
}

/// The direction, the id and the length in bytes of an item.
type Part = (i64, String, usize);

impl Packed {
    /// What can be packed of a response's items: of each direction all or nothing. On PostgreSQL nothing
    /// is, where a program that knows nothing of it may look for them.
    pub(super) fn of(transaction: &Transaction<'_>, new: &NewResponse) -> Self {
        let mut packed = Self::default();
        for (direction, items) in [(OUTPUT, &new.output), (INPUT, &new.input)] {
            if !transaction.is_postgres() && items.iter().all(|item| leads_to(&item.id, &new.id)) {
                packed.add(direction, items);
            }
        }
        packed
    }

    fn add(&mut self, direction: i64, items: &[NewItem]) {
        for item in items {
            if !self.parts.is_empty() {
                self.items.push(',');
            }
            self.items.push_str(&item.body);
            self.parts
                .push((direction, item.id.clone(), item.body.len()));
        }
    }

    /// Reads it from two columns of a row.
    ///
    /// # Errors
    /// When they hold something else.
    pub(super) fn read(row: &mut Row, columns: (usize, usize)) -> Result<Self, StoreError> {
        let (items, parts) = (row.optional_text(columns.0)?, row.optional_text(columns.1)?);
        let parts = parts.map_or(Ok(Vec::new()), |parts| {
            from_str(&parts).map_err(|error| StoreError::Corrupt(error.to_string()))
        })?;
        Ok(Self {
            items: items.unwrap_or_default(),
            parts,
        })
    }

    /// Both columns, empty where there are no items.
    pub(super) fn columns(&self) -> Result<Option<(&str, String)>, StoreError> {
        if self.parts.is_empty() {
            return Ok(None);
        }
        let parts = to_string(&self.parts);
        let parts = parts.map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Some((&self.items, parts)))
    }

    /// Whether the items of a direction are in here; none may be anywhere.
    pub(super) fn has(&self, direction: i64) -> bool {
        self.parts.iter().any(|(other, ..)| *other == direction)
    }

    /// The id and the JSON of the items of a direction.
    pub(super) fn each(&self, direction: i64) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0_usize;
        let all = self.parts.iter().map(move |(direction, id, length)| {
            let end = begin.saturating_add(*length);
            let body = self.items.get(begin..end).unwrap_or_default();
            // Behind it comes a comma.
            begin = end.saturating_add(1);
            (*direction, id.as_str(), body)
        });
        all.filter(move |(of, ..)| *of == direction)
            .map(|(_, id, body)| (id, body))
    }
}

/// Whether a response is found by the id of an item of its own.
fn leads_to(item: &str, response: &str) -> bool {
    let common = response
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.get(..COMMON));
    common.is_some() && common == letters(item)
}

/// The letters of an item's id that its response has too, if it leads to one.
fn letters(item: &str) -> Option<&str> {
    let (_, rest) = item.split_once('_')?;
    let letters = rest.get(..COMMON)?;
    let is_plain = letters.bytes().all(|letter| letter.is_ascii_alphanumeric());
    is_plain.then_some(letters)
}

/// A statement that reads from the responses whose ids begin with one of the texts of the JSON list `$1`,
/// which is one response for each as a rule. It goes from these texts to the responses, and not the other
/// way. The tilde is behind all letters that ids have.
macro_rules! led_to {
    ($columns:literal) => {
        concat!(
            "select ",
            $columns,
            " from json_each($1) as named cross join response cross join thread \
             where response.id > named.value and response.id < named.value || '~' \
             and response.owner = $2 and thread.id = response.thread and thread.expires_at > $3"
        )
    };
}

/// What lies in responses of the items that were looked for: the JSON of each, by its id.
#[derive(Debug, Default)]
pub(super) struct Led {
    /// What came out of a response.
    pub output: BTreeMap<String, String>,
    /// What went into one.
    pub input: BTreeMap<String, String>,
}

/// The items of this owner that lie in the responses that their ids lead to. All of these responses are read
/// at once, unless those without the longest have more bytes than `most`: then there is no result.
pub(super) async fn by_ids(
    transaction: &Transaction<'_>,
    owner: &Owner,
    ids: &BTreeSet<&str>,
    most: i64,
) -> Result<Option<Led>, StoreError> {
    let mut led = Led::default();
    let leading: BTreeSet<&str> = ids.iter().filter_map(|id| letters(id)).collect();
    if transaction.is_postgres() || leading.is_empty() {
        return Ok(Some(led));
    }
    let begins: Vec<String> = leading.iter().map(|it| format!("{PREFIX}{it}")).collect();
    let begins = to_string(&begins).map_err(|error| StoreError::Failed(error.to_string()))?;
    let values = [(&begins).into(), owner.into(), now().into()];
    let lengths = led_to!(
        "coalesce(sum(octet_length(response.items)) - max(octet_length(response.items)), 0)"
    );
    let row = transaction.first(lengths, &values).await?;
    if row.map_or(Ok(0), |row| row.integer(0))? > most {
        return Ok(None);
    }
    let rows = led_to!("response.items, response.parts");
    for mut row in transaction.query(rows, &values).await? {
        let packed = Packed::read(&mut row, (0, 1))?;
        for (direction, found) in [(OUTPUT, &mut led.output), (INPUT, &mut led.input)] {
            for (id, body) in packed.each(direction).filter(|(id, _)| ids.contains(id)) {
                found.insert(id.to_owned(), body.to_owned());
            }
        }
    }
    Ok(Some(led))
}
