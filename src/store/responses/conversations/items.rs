//! The items of a conversation: added, listed, read, deleted.

use std::collections::HashSet;
use std::time::Duration;

use super::lock::is_locked;
use super::{Conversation, ROW, find, room, size, touch};
use crate::store::error::StoreError;
use crate::store::responses::chain::Chain;
use crate::store::responses::{
    Listed, Listing, NewItem, Order, Owner, Page, Responses, now, texts,
};
use crate::store::sql::{Transaction, Value};

/// How many items a conversation may have.
pub const MAX_ITEMS: i64 = 10_000;

/// What has become of a change of a conversation's items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is done; this is the conversation.
    Yes(Conversation),
    /// There is no such conversation, or no such item in it.
    NotThere,
    /// A response is being made in it.
    Locked,
    /// It has an item of this id.
    Twice(String),
    /// It would have too many.
    TooMany,
    NoRoom,
}

impl Responses {
    /// Adds items to a conversation, behind those that it has.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn add_to_conversation(
        &self,
        owner: &Owner,
        id: &str,
        items: Vec<NewItem>,
        retention: Duration,
    ) -> Result<Added, StoreError> {
        let (owner, id, max_bytes) = (owner.clone(), id.to_owned(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !touch(transaction, &owner, &id, retention).await? {
                return Ok(Added::NotThere);
            }
            if is_locked(transaction, &owner, &id).await? {
                return Ok(Added::Locked);
            }
            if let Some(twice) = twice(transaction, &owner, &id, &items).await? {
                return Ok(Added::Twice(twice));
            }
            let bytes = size(&items);
            if !room::make(transaction, &owner, bytes, max_bytes, &id).await? {
                return Ok(Added::NoRoom);
            }
            if !append(transaction, &owner, &id, &items).await? {
                return Ok(Added::TooMany);
            }
            room::take(transaction, &owner, bytes).await?;
            let found = find(transaction, &owner, &id).await?;
            Ok(found.map_or(Added::NotThere, Added::Yes))
        };
        self.database.write(deadline, write).await
    }

    /// A page of a conversation's items.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn conversation_items(
        &self,
        owner: &Owner,
        id: &str,
        page: Page,
    ) -> Result<Listed, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| match find(transaction, &owner, &id)
            .await?
        {
            Some(_) => list(transaction, &owner, &id, &page).await.map(Listed::of),
            None => Ok(Listed::NoList),
        };
        self.database.read(deadline, read).await
    }

    /// The JSON of an item of a conversation.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn conversation_item(
        &self,
        owner: &Owner,
        id: &str,
        item: &str,
    ) -> Result<Option<String>, StoreError> {
        let (owner, id, item) = (owner.clone(), id.to_owned(), item.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| {
            if find(transaction, &owner, &id).await?.is_none() {
                return Ok(None);
            }
            let body = "select body from conversation_item \
                        where owner = $1 and id = $2 and conversation = $3";
            let values = [(&owner).into(), (&item).into(), (&id).into()];
            let row = transaction.first(body, &values).await?;
            row.map(|mut row| row.text(0)).transpose()
        };
        self.database.read(deadline, read).await
    }

    /// Deletes an item of a conversation.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete_conversation_item(
        &self,
        owner: &Owner,
        id: &str,
        item: &str,
    ) -> Result<Added, StoreError> {
        let (owner, id, item) = (owner.clone(), id.to_owned(), item.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !touch(transaction, &owner, &id, Duration::ZERO).await? {
                return Ok(Added::NotThere);
            }
            if is_locked(transaction, &owner, &id).await? {
                return Ok(Added::Locked);
            }
            let delete = "delete from conversation_item \
                          where owner = $1 and id = $2 and conversation = $3 returning body";
            let values = [(&owner).into(), (&item).into(), (&id).into()];
            // Conversations of earlier versions may have several of one id.
            let gone = transaction.query(delete, &values).await?;
            if gone.is_empty() {
                return Ok(Added::NotThere);
            }
            let (mut bytes, items) = (0_i64, i64::try_from(gone.len()).unwrap_or(i64::MAX));
            for mut row in gone {
                let own = row.text(0)?.len().saturating_add(ROW);
                bytes = bytes.saturating_add(i64::try_from(own).unwrap_or(i64::MAX));
            }
            let less = (items.saturating_neg(), bytes.saturating_neg());
            count(transaction, &id, 0, less.0, less.1).await?;
            room::give_back(transaction, &owner, bytes).await?;
            let found = find(transaction, &owner, &id).await?;
            Ok(found.map_or(Added::NotThere, Added::Yes))
        };
        self.database.write(deadline, write).await
    }
}

/// An id that one of these has, and another of these or of the conversation's.
async fn twice(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    items: &[NewItem],
) -> Result<Option<String>, StoreError> {
    let mut seen = HashSet::new();
    for item in items {
        let is_there = "select 1 from conversation_item \
                        where owner = $1 and id = $2 and conversation = $3";
        let values = [owner.into(), (&item.id).into(), id.into()];
        if !seen.insert(&item.id) || transaction.first(is_there, &values).await?.is_some() {
            return Ok(Some(item.id.clone()));
        }
    }
    Ok(None)
}

/// Adds items behind the others; whether there may be so many. The owner's space is not counted
/// here.
pub(in super::super) async fn append(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    items: &[NewItem],
) -> Result<bool, StoreError> {
    let place = "select next_position, items from conversation where id = $1 and owner = $2";
    let Some(row) = transaction.first(place, &[id.into(), owner.into()]).await? else {
        return Ok(false);
    };
    let (next, so_far) = (row.integer(0)?, row.integer(1)?);
    let new = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if so_far.saturating_add(new) > MAX_ITEMS {
        return Ok(false);
    }
    let rows = (next..).zip(items).map(|(position, item)| {
        [
            id.into(),
            position.into(),
            (&item.id).into(),
            owner.into(),
            (&item.body).into(),
        ]
    });
    let rows: Vec<[Value<'_>; 5]> = rows.collect();
    let insert = "insert into conversation_item (conversation, position, id, owner, body) \
                  values ($1, $2, $3, $4, $5)";
    transaction.execute_each(insert, &rows).await?;
    count(transaction, id, new, new, size(items)).await?;
    Ok(true)
}

/// Counts items that were added or taken away.
async fn count(
    transaction: &Transaction<'_>,
    id: &str,
    places: i64,
    items: i64,
    bytes: i64,
) -> Result<(), StoreError> {
    let conversation = "update conversation set next_position = next_position + $1, \
                        items = items + $2, item_bytes = item_bytes + $3, version = version + 1 \
                        where id = $4";
    let values = [places.into(), items.into(), bytes.into(), id.into()];
    transaction.execute(conversation, &values).await?;
    let thread = "update thread set bytes = bytes + $1 where id = $2";
    transaction
        .execute(thread, &[bytes.into(), id.into()])
        .await
        .map(drop)
}

async fn list(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    page: &Page,
) -> Result<Option<Listing>, StoreError> {
    let begin = match &page.after {
        None if page.order == Order::OldestFirst => -1,
        None => i64::MAX,
        Some(after) => {
            let place = "select position from conversation_item \
                         where owner = $1 and id = $2 and conversation = $3";
            let values = [owner.into(), after.into(), id.into()];
            match transaction.first(place, &values).await? {
                Some(row) => row.integer(0)?,
                None => return Ok(None),
            }
        }
    };
    let sizes = match page.order {
        Order::OldestFirst => {
            "select position, cast(octet_length(body) as bigint) from conversation_item \
             where conversation = $1 and position > $2 order by position limit $3"
        }
        Order::NewestFirst => {
            "select position, cast(octet_length(body) as bigint) from conversation_item \
             where conversation = $1 and position < $2 order by position desc limit $3"
        }
    };
    let values = [id.into(), begin.into(), page.one_more().into()];
    let Some((last, has_more)) = page.cut(&transaction.query(sizes, &values).await?)? else {
        return Ok(Some(Listing::default()));
    };
    let rows = match page.order {
        Order::OldestFirst => {
            "select id, body from conversation_item where conversation = $1 \
             and position > $2 and position <= $3 order by position"
        }
        Order::NewestFirst => {
            "select id, body from conversation_item where conversation = $1 \
             and position < $2 and position >= $3 order by position desc"
        }
    };
    let values = [id.into(), begin.into(), last.into()];
    let rows = transaction.query(rows, &values).await?;
    Listing::of(rows, has_more).map(Some)
}

/// The JSON of all items, the oldest first, and which state of the conversation that is; or why
/// not.
pub(in super::super) async fn all(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    most: i64,
) -> Result<Result<(Vec<String>, i64), Chain>, StoreError> {
    let state = "select conversation.item_bytes, conversation.version from conversation \
                 join thread on thread.id = conversation.id \
                 where conversation.id = $1 and conversation.owner = $2 and thread.expires_at > $3";
    let values = [id.into(), owner.into(), now().into()];
    let Some(row) = transaction.first(state, &values).await? else {
        return Ok(Err(Chain::NoConversation));
    };
    if row.integer(0)? > most {
        return Ok(Err(Chain::TooLong));
    }
    let version = row.integer(1)?;
    let bodies = "select body from conversation_item where conversation = $1 order by position";
    let rows = transaction.query(bodies, &[id.into()]).await?;
    texts(rows).map(|items| Ok((items, version)))
}
