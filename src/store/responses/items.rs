//! The items of responses: listed in pages, and looked up by their ids.

use std::collections::{BTreeMap, BTreeSet};

use super::packed::{self, Led, Packed};
use super::{INPUT, Owner, Responses, now, texts};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Transaction, Value};

/// How many bytes a page has at most, unless its first item alone has more.
const MOST_BYTES: i64 = 8 << 20;

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub struct Page {
    /// How many at most; fewer where they are long, so that a page is never much larger than one item.
    pub limit: i64,
    pub order: Order,
    /// The id behind which the page begins.
    pub after: Option<String>,
}

/// In which order a list is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

/// A part of a list.
#[derive(Debug, Default)]
pub struct Listing {
    /// The id and the JSON of each.
    pub items: Vec<(String, String)>,
    pub has_more: bool,
}

/// What a page that was looked for has come to.
#[derive(Debug)]
pub enum Listed {
    Page(Listing),
    /// There is no such list.
    NoList,
    /// Nothing in it has the id behind which the page shall begin.
    NoPlace,
}

impl Listed {
    /// A page of a list that is there.
    pub(super) fn of(page: Option<Listing>) -> Self {
        page.map_or(Self::NoPlace, Self::Page)
    }
}

impl Responses {
    /// A page of what a response was asked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn input_items(
        &self,
        owner: &Owner,
        id: &str,
        page: Page,
    ) -> Result<Listed, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| {
            let found = "select items, parts from response \
                         where id = $1 and owner = $2 and deleted_at is null and expires_at > $3";
            let values = [(&id).into(), (&owner).into(), now().into()];
            let Some(mut row) = transaction.first(found, &values).await? else {
                return Ok(Listed::NoList);
            };
            let packed = Packed::read(&mut row, (0, 1))?;
            let page = match packed.has(INPUT) {
                true => page.of_packed(&packed),
                false => list(transaction, &id, &page).await?,
            };
            Ok(Listed::of(page))
        };
        self.database.read(deadline, read).await
    }
}

/// The page; none where nothing has the id behind which it shall begin.
pub(super) async fn list(
    transaction: &Transaction<'_>,
    response: &str,
    page: &Page,
) -> Result<Option<Listing>, StoreError> {
    let begin = match &page.after {
        None if page.order == Order::OldestFirst => -1,
        None => i64::MAX,
        Some(after) => {
            let place =
                "select position from item where response = $1 and direction = $2 and id = $3";
            let values = [response.into(), INPUT.into(), after.into()];
            match transaction.first(place, &values).await? {
                Some(row) => row.integer(0)?,
                None => return Ok(None),
            }
        }
    };
    let sizes = match page.order {
        Order::OldestFirst => {
            "select position, cast(octet_length(body) as bigint) from item \
             where response = $1 and direction = $2 and position > $3 order by position limit $4"
        }
        Order::NewestFirst => {
            "select position, cast(octet_length(body) as bigint) from item \
             where response = $1 and direction = $2 and position < $3 order by position desc limit $4"
        }
    };
    let values = [
        response.into(),
        INPUT.into(),
        begin.into(),
        page.one_more().into(),
    ];
    let Some((last, has_more)) = page.cut(&transaction.query(sizes, &values).await?)? else {
        return Ok(Some(Listing::default()));
    };
    let rows = match page.order {
        Order::OldestFirst => {
            "select id, body from item where response = $1 and direction = $2 \
             and position > $3 and position <= $4 order by position"
        }
        Order::NewestFirst => {
            "select id, body from item where response = $1 and direction = $2 \
             and position < $3 and position >= $4 order by position desc"
        }
    };
    let values = [response.into(), INPUT.into(), begin.into(), last.into()];
    let rows = transaction.query(rows, &values).await?;
    Listing::of(rows, has_more).map(Some)
}

impl Page {
    /// The page of items that lie in the row of their response; none where nothing among them has the id
    /// behind which it shall begin.
    fn of_packed(&self, packed: &Packed) -> Option<Listing> {
        let mut items: Vec<_> = packed.each(INPUT).collect();
        if self.order == Order::NewestFirst {
            items.reverse();
        }
        if let Some(after) = &self.after {
            let place = items.iter().position(|(id, _)| id == after)?;
            items.drain(..=place);
        }
        let sizes = items.iter().map(|(_, body)| body.len());
        let sizes: Vec<_> = sizes
            .map(|size| i64::try_from(size).unwrap_or(i64::MAX))
            .collect();
        let count = self.fitting(&sizes);
        let shown = items.iter().take(count);
        Some(Listing {
            items: shown
                .map(|(id, body)| ((*id).to_owned(), (*body).to_owned()))
                .collect(),
            has_more: count < items.len(),
        })
    }

    /// How many rows tell whether there are more of them than the page has.
    pub(super) fn one_more(&self) -> i64 {
        self.limit.saturating_add(1)
    }

    /// Where the page ends, and whether there are more, by the place and the length of each row and
    /// of [one more](Self::one_more). None where there are no rows.
    pub(super) fn cut(&self, rows: &[Row]) -> Result<Option<(i64, bool)>, StoreError> {
        let sizes = rows.iter().map(|row| row.integer(1));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        let count = self.fitting(&sizes);
        let last = count.checked_sub(1).and_then(|last| rows.get(last));
        last.map(|row| Ok((row.integer(0)?, count < rows.len())))
            .transpose()
    }

    /// How many rows of these lengths the page has: one at least, if there is one.
    pub(super) fn fitting(&self, sizes: &[i64]) -> usize {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut bytes = 0_i64;
        let fitting = sizes
            .iter()
            .take(limit)
            .enumerate()
            .take_while(|(at, size)| {
                bytes = bytes.saturating_add(**size);
                *at == 0 || bytes <= MOST_BYTES
            });
        fitting.count()
    }
}

impl Listing {
    /// A page of rows with an id and a JSON each.
    pub(super) fn of(rows: Vec<Row>, has_more: bool) -> Result<Self, StoreError> {
        let items = rows
            .into_iter()
            .map(|mut row| Ok((row.text(0)?, row.text(1)?)));
        let items = items.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self { items, has_more })
    }
}

/// The JSON of all items of a response in one direction.
pub(super) async fn bodies(
    transaction: &Transaction<'_>,
    response: &str,
    direction: i64,
) -> Result<Vec<String>, StoreError> {
    let bodies = "select body from item where response = $1 and direction = $2 order by position";
    let values = [response.into(), direction.into()];
    texts(transaction.query(bodies, &values).await?)
}

/// A statement with the texts of the JSON list `$2` as the rows of `named`.
macro_rules! with_named {
    ($transaction:expr, $before:expr, $behind:literal) => {
        match $transaction.is_postgres() {
            true => concat!(
                $before,
                "json_array_elements_text(cast(cast($2 as text) as json)) as named ",
                $behind
            ),
            false => concat!($before, "json_each($2) as named ", $behind),
        }
    };
}

/// The latest item of each id, or its length. Output goes before what a client has sent again. An index
/// holds the copies of an item in this order, so that the first that can be read ends the search, however
/// many there are.
macro_rules! latest {
    ($transaction:expr, $column:literal) => {
        with_named!(
            $transaction,
            concat!(
                "select named.value, (select ", $column, " from item cross join response cross join thread \
                     where item.owner = $1 and item.id = named.value \
                     and response.id = item.response and thread.id = response.thread \
                     and thread.expires_at > $3 \
                     order by item.direction desc, item.created_at desc nulls last limit 1) from "
            ),
            ""
        )
    };
}

/// The same of items in conversations.
macro_rules! in_conversations {
    ($transaction:expr, $column:literal) => {
        with_named!(
            $transaction,
            concat!(
                "select named.value, (select ", $column, " from conversation_item as item \
                     join thread on thread.id = item.conversation \
                     where item.owner = $1 and item.id = named.value and thread.expires_at > $3 \
                     limit 1) from "
            ),
            ""
        )
    };
}

/// The items of this owner that have these ids, wherever they were said, if they have no more bytes than
/// that. It takes a few statements, however many they are. What several responses have under one id is what
/// a client has sent again: what a model said goes before that, and else what was sent last.
pub(super) async fn by_ids(
    transaction: &Transaction<'_>,
    owner: &Owner,
    ids: &[String],
    most: i64,
) -> Result<Option<BTreeMap<String, String>>, StoreError> {
    // No store keeps a text with a NUL under its name.
    let mut wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    wanted.retain(|id| !id.contains('\0'));
    if wanted.is_empty() {
        return Ok(Some(BTreeMap::new()));
    }
    let Some(Led { output, input }) = packed::by_ids(transaction, owner, &wanted, most).await?
    else {
        return Ok(None);
    };
    let rows = [
        latest!(transaction, "cast(octet_length(item.body) as bigint)"),
        latest!(transaction, "item.body"),
    ];
    let Some(mut found) = add(transaction, (owner, &wanted), rows, output, most).await? else {
        return Ok(None);
    };
    // The gateway made these ids with their response, so whatever has a row under one was sent later.
    for (id, body) in input {
        found.entry(id).or_insert(body);
    }
    let rows = [
        in_conversations!(transaction, "cast(octet_length(item.body) as bigint)"),
        in_conversations!(transaction, "item.body"),
    ];
    add(transaction, (owner, &wanted), rows, found, most).await
}

/// What was found, and what a statement finds of the other items that are wanted; another one gives their
/// lengths. None where all of it has more bytes than `most`.
async fn add(
    transaction: &Transaction<'_>,
    (owner, wanted): (&Owner, &BTreeSet<&str>),
    [length, body]: [&'static str; 2],
    mut found: BTreeMap<String, String>,
    most: i64,
) -> Result<Option<BTreeMap<String, String>>, StoreError> {
    let missing = wanted.iter().filter(|id| !found.contains_key(**id));
    let list = json_list(missing.copied())?;
    let now = now();
    let bytes: usize = found.values().map(String::len).sum();
    let mut bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut there = Vec::new();
    let values: [Value<'_>; 3] = [owner.into(), (&list).into(), now.into()];
    for mut row in transaction.query(length, &values).await? {
        if let Some(length) = row.optional_integer(1)? {
            bytes = bytes.saturating_add(length);
            there.push(row.text(0)?);
        }
    }
    if bytes > most {
        return Ok(None);
    }
    if there.is_empty() {
        return Ok(Some(found));
    }
    let list = json_list(there.iter().map(String::as_str))?;
    let values: [Value<'_>; 3] = [owner.into(), (&list).into(), now.into()];
    for mut row in transaction.query(body, &values).await? {
        if let Some(body) = row.optional_text(1)? {
            found.insert(row.text(0)?, body);
        }
    }
    Ok(Some(found))
}

fn json_list<'i>(ids: impl Iterator<Item = &'i str>) -> Result<String, StoreError> {
    let ids: Vec<&str> = ids.collect();
    serde_json::to_string(&ids).map_err(|error| StoreError::Failed(error.to_string()))
}
