//! Responses that are kept: what they said, what they were asked, and which came before them.
//!
//! Everything is asked for by its [`Owner`]; what belongs to somebody else is not there. A response
//! belongs to a thread, which is the first response and all that grew out of it: continuing one
//! keeps all of them longer, so that a conversation never loses its beginning before its end.

mod chain;
mod completions;
mod conversations;
mod events;
mod idempotency;
mod items;
mod jobs;
mod leases;
mod packed;
mod put;
mod room;
mod submissions;

use std::time::Duration;

pub use chain::{Chain, Continued};
pub use completions::{Filter, NewCompletion, Search};
pub use conversations::{Added, Conversation, Locked, MAX_ITEMS};
pub use events::{EventBatch, EventPage};
pub use idempotency::{Claimed, KeptAnswer, Keyed};
pub use items::{Listed, Listing, Order, Page};
pub use jobs::{Begun, Cancelled, End, NewJob};
pub use leases::Job;
pub use put::{Joined, Kept, NewItem, NewResponse};
pub use submissions::{Sent, Submission};

use jiff::Timestamp;
use packed::Packed;

use super::error::StoreError;
use super::sql::{Row, Value};
use super::{Database, Transaction};

/// How many responses a thread may have, one behind the other.
pub const MAX_DEPTH: i64 = 1000;

/// Into the response, and out of it.
const INPUT: i64 = 0;
const OUTPUT: i64 = 1;

/// Whose something is: nobody else can tell that it exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// Whoever goes by this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl<'v> From<&'v Owner> for Value<'v> {
    fn from(owner: &'v Owner) -> Self {
        Self::Text(owner.name())
    }
}

/// A response as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// In its API's words.
    pub status: String,
    pub json: String,
}

impl Stored {
    /// Whether it is still being made.
    pub fn is_running(&self) -> bool {
        is_running(&self.status)
    }
}

/// Whether a response of this status is still being made.
fn is_running(status: &str) -> bool {
    matches!(status, "queued" | "in_progress")
}

/// The responses in a database.
#[derive(Clone, Debug)]
pub struct Responses {
    database: Database,
    /// How many bytes may be kept.
    max_bytes: i64,
}

impl Responses {
    /// Those in this database, which may take up so many bytes. One owner may have half of them.
    pub fn new(database: Database, max_bytes: usize) -> Self {
        Self {
            database,
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
        }
    }

    /// A response.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn get(&self, owner: &Owner, id: &str) -> Result<Option<Stored>, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| {
            let found = "select head, tail, status, items, parts from response \
                         where id = $1 and owner = $2 and deleted_at is null and expires_at > $3";
            let values = [(&id).into(), (&owner).into(), now().into()];
            let Some(mut row) = transaction.first(found, &values).await? else {
                return Ok(None);
            };
            let (head, tail) = (row.text(0)?, row.text(1)?);
            let packed = Packed::read(&mut row, (3, 4))?;
            let output = match packed.has(OUTPUT) {
                true => joined(packed.each(OUTPUT).map(|(_, body)| body)),
                false => joined(items::bodies(transaction, &id, OUTPUT).await?),
            };
            Ok(Some(Stored {
                status: row.text(2)?,
                json: [head, output, tail].concat(),
            }))
        };
        self.database.read(deadline, read).await
    }

    /// Deletes what a response said and was asked. Those that grew out of it can still be read, but
    /// not be continued. Whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete(&self, owner: &Owner, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let mark = "update response set deleted_at = $1, head = '', tail = '', \
                        items = null, parts = null \
                        where id = $2 and owner = $3 and deleted_at is null \
                        and thread in (select id from thread where expires_at > $1) \
                        returning thread, bytes";
            let values = [now().into(), (&id).into(), (&owner).into()];
            let Some(mut row) = transaction.first(mark, &values).await? else {
                return Ok(false);
            };
            transaction.erases();
            let (thread, bytes) = (row.text(0)?, row.integer(1)?);
            let items = "delete from item where response = $1";
            transaction.execute(items, &[(&id).into()]).await?;
            events::forget(transaction, &id).await?;
            let shrink = "update thread set bytes = bytes - $1 where id = $2";
            transaction
                .execute(shrink, &[bytes.into(), (&thread).into()])
                .await?;
            // After the thread: who ends a response in it locks the two in this order.
            idempotency::forget_answer(transaction, &owner, &id).await?;
            room::give_back(transaction, &owner, bytes).await?;
            Ok(true)
        };
        self.database.write(deadline, write).await
    }

    /// Deletes some threads and events whose time is over, and gives room back that is free. Whether there
    /// may be more of either.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep(&self) -> Result<bool, StoreError> {
        let deadline = self.database.deadline();
        let threads = self.database.write(deadline, room::sweep).await?;
        let over = self.database.read(deadline, events::over).await?;
        for response in over.clone() {
            let sweep = async move |transaction: &Transaction<'_>| {
                events::sweep(transaction, &response).await
            };
            self.database.write(self.database.deadline(), sweep).await?;
        }
        let is_free = self.database.shrink().await?;
        Ok(threads || !events::are_all(&over) || is_free)
    }
}

/// Items as they stand in a list.
fn joined(items: impl IntoIterator<Item: AsRef<str>>) -> String {
    let mut list = String::new();
    for item in items {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(item.as_ref());
    }
    list
}

/// Now, in milliseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// When something ends that is kept for so long from now on.
fn after(retention: Duration) -> i64 {
    now().saturating_add(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX))
}

/// The texts of the first column.
fn texts(rows: Vec<Row>) -> Result<Vec<String>, StoreError> {
    rows.into_iter().map(|mut row| row.text(0)).collect()
}
