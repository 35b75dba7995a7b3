//! Chat completions that are kept, with the messages that they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::put::{Kept, NewItem, ROW, bytes_of, insert_input};
use super::{Listed, Listing, Order, Owner, Page, Responses, items, now, room};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Transaction, Value};

/// How many completions one search looks at.
const MOST_SEARCHED: usize = 5_000;
/// How many of them in one transaction.
const AT_ONCE: i64 = 250;

/// A completion that is to be kept.
#[derive(Clone, Debug)]
pub struct NewCompletion {
    pub id: String,
    pub model: String,
    /// A JSON object of strings.
    pub metadata: String,
    /// Its JSON, without the metadata and the brace behind it.
    pub body: String,
    pub messages: Vec<NewItem>,
    pub retention: Duration,
}

/// Which completions are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub model: Option<String>,
    /// Pairs that the metadata has to hold, all of them.
    pub metadata: BTreeMap<String, String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.model.is_none() && self.metadata.is_empty()
    }

    fn lets_through(&self, model: &str, metadata: &str) -> bool {
        if self.model.as_deref().is_some_and(|wanted| wanted != model) {
            return false;
        }
        if self.metadata.is_empty() {
            return true;
        }
        let has: BTreeMap<String, String> = serde_json::from_str(metadata).unwrap_or_default();
        self.metadata
            .iter()
            .all(|(name, value)| has.get(name) == Some(value))
    }
}

/// What a search has found.
#[derive(Debug)]
pub enum Search {
    Found(Listing),
    /// There is no completion behind which the page could begin.
    NotThere,
    /// None of those that one search looks at matches, and there are more behind the last of them.
    TooMany {
        searched: usize,
        last: String,
    },
}

impl Responses {
    /// Keeps a completion. Once this gives [`Kept::Yes`] it can be asked for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_completion(
        &self,
        owner: &Owner,
        new: NewCompletion,
    ) -> Result<Kept, StoreError> {
        let (owner, max_bytes) = (owner.clone(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let bytes = bytes_of(&new.messages) + new.body.len() + new.metadata.len() + 2 * ROW;
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            if !room::make(transaction, &owner, bytes, max_bytes, &new.id).await? {
                return Ok(Kept::NoRoom);
            }
            room::open(transaction, &owner, &new.id, new.retention, bytes).await?;
            let completion = "insert into chat_completion (id, owner, created_at, model, metadata, body) \
                              values ($1, $2, $3, $4, $5, $6)";
            let values: [Value<'_>; 6] = [
                (&new.id).into(),
                (&owner).into(),
                now().into(),
                (&new.model).into(),
                (&new.metadata).into(),
                (&new.body).into(),
            ];
            transaction.execute(completion, &values).await?;
            insert_input(transaction, &owner, &new.id, &new.messages).await?;
            room::take(transaction, &owner, bytes).await?;
            Ok(Kept::Yes)
        };
        self.database.write(deadline, write).await
    }

    /// The JSON of a completion.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn completion(&self, owner: &Owner, id: &str) -> Result<Option<String>, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| json(transaction, &owner, &id).await;
        self.database.read(deadline, read).await
    }

    /// Gives a completion other metadata, which is a JSON object of strings.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn update_completion(
        &self,
        owner: &Owner,
        id: &str,
        metadata: String,
    ) -> Result<Option<String>, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let update = "update chat_completion set metadata = $1 where id = $2 and owner = $3";
            let values = [(&metadata).into(), (&id).into(), (&owner).into()];
            transaction.execute(update, &values).await?;
            json(transaction, &owner, &id).await
        };
        self.database.write(deadline, write).await
    }

    /// Deletes a completion, with the messages that it answers. Whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete_completion(&self, owner: &Owner, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if json(transaction, &owner, &id).await?.is_none() {
                return Ok(false);
            }
            Ok(room::delete(transaction, &id, &owner).await? > 0)
        };
        self.database.write(deadline, write).await
    }

    /// A page of the messages that a completion answers.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn completion_messages(
        &self,
        owner: &Owner,
        id: &str,
        page: Page,
    ) -> Result<Listed, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| match json(transaction, &owner, &id)
            .await?
        {
            Some(_) => items::list(transaction, &id, &page).await.map(Listed::of),
            None => Ok(Listed::NoList),
        };
        self.database.read(deadline, read).await
    }

    /// A page of the completions that a filter lets through. They are looked through in many short
    /// transactions, so that others read meanwhile.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn completions(
        &self,
        owner: &Owner,
        filter: Filter,
        page: Page,
    ) -> Result<Search, StoreError> {
        let deadline = self.database.deadline();
        let (begin_owner, begin_page) = (owner.clone(), page.clone());
        let begin = async move |transaction: &Transaction<'_>| {
            beginning(transaction, &begin_owner, &begin_page).await
        };
        let Some(mut place) = self.database.read(deadline, begin).await? else {
            return Ok(Search::NotThere);
        };
        let at_once = match filter.is_empty() {
            true => page.one_more(),
            false => AT_ONCE,
        };
        let wanted = usize::try_from(page.one_more()).unwrap_or(usize::MAX);
        let (mut found, mut searched, mut is_end) = (Vec::new(), 0_usize, false);
        while found.len() < wanted && !is_end && searched < MOST_SEARCHED {
            let (owner, order, behind) = (owner.clone(), page.order, place.clone());
            let read = async move |transaction: &Transaction<'_>| {
                some_behind(transaction, &owner, order, &behind, at_once).await
            };
            let rows = self.database.read(deadline, read).await?;
            is_end = i64::try_from(rows.len()).is_ok_and(|count| count < at_once);
            searched = searched.saturating_add(rows.len());
            for mut row in rows {
                let id = row.text(0)?;
                place = (row.integer(1)?, id.clone());
                let matches = filter.lets_through(&row.text(3)?, &row.text(4)?);
                if matches && row.integer(5)? > now() && found.len() < wanted {
                    found.push((id, row.integer(2)?));
                }
            }
        }
        if found.is_empty() && !is_end {
            let last = place.1;
            return Ok(Search::TooMany { searched, last });
        }
        let sizes: Vec<i64> = found.iter().map(|(_, size)| *size).collect();
        let count = page.fitting(&sizes);
        let has_more = count < found.len() || !is_end;
        found.truncate(count);
        let items = self.completion_bodies(owner, found, deadline).await?;
        Ok(Search::Found(Listing { items, has_more }))
    }

    /// The JSON of completions that were found. Some may be gone by now.
    async fn completion_bodies(
        &self,
        owner: &Owner,
        found: Vec<(String, i64)>,
        deadline: Instant,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let owner = owner.clone();
        let read = async move |transaction: &Transaction<'_>| {
            let mut items = Vec::with_capacity(found.len());
            for (id, _) in found {
                if let Some(json) = json(transaction, &owner, &id).await? {
                    items.push((id, json));
                }
            }
            Ok(items)
        };
        self.database.read(deadline, read).await
    }
}

async fn json(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
) -> Result<Option<String>, StoreError> {
    let found = "select chat_completion.body, chat_completion.metadata from chat_completion \
                 join thread on thread.id = chat_completion.id \
                 where chat_completion.id = $1 and chat_completion.owner = $2 \
                 and thread.expires_at > $3";
    let values = [id.into(), owner.into(), now().into()];
    let row = transaction.first(found, &values).await?;
    row.map(|mut row| Ok(with_metadata(&row.text(0)?, &row.text(1)?)))
        .transpose()
}

fn with_metadata(body: &str, metadata: &str) -> String {
    format!("{body},\"metadata\":{metadata}}}")
}

/// A place in the list of an owner's completions: when the one before it was made, and its id.
type Place = (i64, String);

/// Where a page begins; none where there is no completion of the id behind which that shall be.
async fn beginning(
    transaction: &Transaction<'_>,
    owner: &Owner,
    page: &Page,
) -> Result<Option<Place>, StoreError> {
    let Some(after) = &page.after else {
        let end = match page.order {
            Order::OldestFirst => i64::MIN,
            Order::NewestFirst => i64::MAX,
        };
        return Ok(Some((end, String::new())));
    };
    let place = "select created_at from chat_completion where id = $1 and owner = $2";
    let row = transaction
        .first(place, &[after.into(), owner.into()])
        .await?;
    row.map(|row| Ok((row.integer(0)?, after.clone())))
        .transpose()
}

/// The next completions behind a place, whether they match or not: the id, time, length, model,
/// metadata and end of each.
async fn some_behind(
    transaction: &Transaction<'_>,
    owner: &Owner,
    order: Order,
    (created_at, id): &Place,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let rows = match order {
        Order::OldestFirst => {
            "select chat_completion.id, chat_completion.created_at, \
             cast(octet_length(chat_completion.body) as bigint), chat_completion.model, \
             chat_completion.metadata, thread.expires_at \
             from chat_completion join thread on thread.id = chat_completion.id \
             where chat_completion.owner = $1 \
             and (chat_completion.created_at, chat_completion.id) > ($2, $3) \
             order by chat_completion.created_at, chat_completion.id limit $4"
        }
        Order::NewestFirst => {
            "select chat_completion.id, chat_completion.created_at, \
             cast(octet_length(chat_completion.body) as bigint), chat_completion.model, \
             chat_completion.metadata, thread.expires_at \
             from chat_completion join thread on thread.id = chat_completion.id \
             where chat_completion.owner = $1 \
             and (chat_completion.created_at, chat_completion.id) < ($2, $3) \
             order by chat_completion.created_at desc, chat_completion.id desc limit $4"
        }
    };
    let values: [Value<'_>; 4] = [owner.into(), (*created_at).into(), id.into(), limit.into()];
    transaction.query(rows, &values).await
}

/// Deletes what a thread holds of a completion.
pub(super) async fn clear(transaction: &Transaction<'_>, thread: &str) -> Result<(), StoreError> {
    let gone = "delete from chat_completion where id = $1 returning id";
    if transaction.first(gone, &[thread.into()]).await?.is_some() {
        let messages = "delete from item where response = $1";
        transaction.execute(messages, &[thread.into()]).await?;
    }
    Ok(())
}
