//! How a response comes to be kept.

use std::time::Duration;

use super::packed::Packed;
use super::room::Evict;
use super::{INPUT, OUTPUT, Owner, Responses, after, conversations, now, room};
use crate::store::error::StoreError;
use crate::store::sql::{Transaction, Value};

/// A response that has come to its end.
#[derive(Clone, Debug)]
pub struct NewResponse {
    pub id: String,
    /// The response that it continues.
    pub parent: Option<String>,
    /// The conversation that its items are added to.
    pub conversation: Option<Joined>,
    /// In its API's words.
    pub status: &'static str,
    /// Its JSON before the items of its output, and behind them.
    pub head: String,
    pub tail: String,
    /// What it was asked.
    pub input: Vec<NewItem>,
    /// What it said.
    pub output: Vec<NewItem>,
    /// How long it and what came before it shall be kept.
    pub retention: Duration,
}

/// A conversation that a response adds to, and who holds it meanwhile.
#[derive(Clone, Debug)]
pub struct Joined {
    pub id: String,
    /// As it was [locked](Responses::lock_conversation).
    pub holder: String,
}

/// An item of it.
#[derive(Clone, Debug)]
pub struct NewItem {
    pub id: String,
    /// Its JSON.
    pub body: String,
}

/// What has become of a response that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Yes,
    /// There is no room for it, even where others made room.
    NoRoom,
    /// The response or the conversation that it continues has gone meanwhile.
    NoParent,
}

/// What a row takes up besides its texts, about.
pub(super) const ROW: usize = 160;

impl NewResponse {
    /// What its items take up.
    fn item_bytes(&self) -> usize {
        bytes_of(&self.input) + bytes_of(&self.output)
    }

    fn bytes(&self) -> usize {
        self.item_bytes() + self.head.len() + self.tail.len() + 2 * ROW
    }
}

/// What items take up.
pub(super) fn bytes_of(items: &[NewItem]) -> usize {
    items.iter().map(|item| item.body.len() + ROW).sum()
}

/// Where a response stands in its thread.
struct Place {
    thread: String,
    depth: i64,
    chain_bytes: i64,
}

impl Responses {
    /// Keeps a response. Once this gives [`Kept::Yes`] it can be asked for and continued, here and
    /// wherever else the database is used.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put(&self, owner: &Owner, new: NewResponse) -> Result<Kept, StoreError> {
        let (owner, max_bytes) = (owner.clone(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let kept = keep(transaction, &owner, &new, 0, (max_bytes, Evict::Anybodys)).await?;
            Ok(kept.err().unwrap_or(Kept::Yes))
        };
        self.database.write_together(deadline, write).await
    }
}

/// Keeps a response and so many bytes that go with it. Gives its thread, or why it is not kept.
pub(super) async fn keep(
    transaction: &Transaction<'_>,
    owner: &Owner,
    new: &NewResponse,
    besides: i64,
    (max_bytes, evict): (i64, Evict),
) -> Result<Result<String, Kept>, StoreError> {
    let Some(place) = place(transaction, owner, new).await? else {
        return Ok(Err(Kept::NoParent));
    };
    let bytes = i64::try_from(new.bytes()).unwrap_or(i64::MAX);
    let all = bytes.saturating_add(besides);
    let mut taken = all;
    let joined = new.conversation.as_ref();
    if let Some(Joined { id, holder }) = joined {
        if !conversations::is_held(transaction, owner, id, holder, new.retention).await? {
            return Ok(Err(Kept::NoParent));
        }
        taken = taken.saturating_add(place.chain_bytes);
    }
    let stays = joined.map_or(&place.thread, |joined| &joined.id);
    if !room::make_of(evict, transaction, owner, taken, max_bytes, stays).await? {
        return Ok(Err(Kept::NoRoom));
    }
    if let Some(Joined { id, .. }) = joined {
        let items = [new.input.as_slice(), new.output.as_slice()].concat();
        if !conversations::append(transaction, owner, id, &items).await? {
            return Ok(Err(Kept::NoRoom));
        }
    }
    insert_thread(transaction, owner, new, &place, all).await?;
    let packed = Packed::of(transaction, new);
    insert(transaction, owner, new, &place, (bytes, &packed)).await?;
    if !packed.has(INPUT) {
        insert_input(transaction, owner, &new.id, &new.input).await?;
    }
    if !packed.has(OUTPUT) {
        insert_output(transaction, owner, &new.id, &new.output).await?;
    }
    // Last, because other transactions of this owner wait for it.
    room::take(transaction, owner, taken).await?;
    Ok(Ok(place.thread))
}

async fn place(
    transaction: &Transaction<'_>,
    owner: &Owner,
    new: &NewResponse,
) -> Result<Option<Place>, StoreError> {
    let own = i64::try_from(new.item_bytes()).unwrap_or(i64::MAX);
    let Some(parent) = &new.parent else {
        return Ok(Some(Place {
            thread: new.id.clone(),
            depth: 0,
            chain_bytes: own,
        }));
    };
    let found = "select thread, depth, chain_bytes from response \
                 where id = $1 and owner = $2 and deleted_at is null";
    let row = transaction
        .first(found, &[parent.into(), owner.into()])
        .await?;
    let place = row.map(|mut row| {
        Ok(Place {
            thread: row.text(0)?,
            depth: row.integer(1)?.saturating_add(1),
            chain_bytes: row.integer(2)?.saturating_add(own),
        })
    });
    place.transpose()
}

/// Begins the thread of a response, or lets it grow by so many bytes and be kept longer.
async fn insert_thread(
    transaction: &Transaction<'_>,
    owner: &Owner,
    new: &NewResponse,
    place: &Place,
    bytes: i64,
) -> Result<(), StoreError> {
    if new.parent.is_none() {
        return room::open(transaction, owner, &place.thread, new.retention, bytes).await;
    }
    let thread = "insert into thread (id, owner, expires_at, bytes) values ($1, $2, $3, $4) \
                  on conflict (id) do update set expires_at = excluded.expires_at, \
                  bytes = thread.bytes + excluded.bytes";
    let values = [
        (&place.thread).into(),
        owner.into(),
        after(new.retention).into(),
        bytes.into(),
    ];
    transaction.execute(thread, &values).await.map(drop)
}

async fn insert(
    transaction: &Transaction<'_>,
    owner: &Owner,
    new: &NewResponse,
    place: &Place,
    (bytes, packed): (i64, &Packed),
) -> Result<(), StoreError> {
    let response = "insert into response (id, owner, thread, parent, depth, chain_bytes, status, \
                    created_at, expires_at, bytes, head, tail, conversation, items, parts) \
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let conversation = new.conversation.as_ref().map(|joined| joined.id.as_str());
    let columns = packed.columns()?;
    let (items, parts) = columns
        .as_ref()
        .map(|(items, parts)| (*items, parts.as_str()))
        .unzip();
    let values = [
        (&new.id).into(),
        owner.into(),
        (&place.thread).into(),
        new.parent.as_deref().into(),
        place.depth.into(),
        place.chain_bytes.into(),
        new.status.into(),
        now().into(),
        after(new.retention).into(),
        bytes.into(),
        (&new.head).into(),
        (&new.tail).into(),
        conversation.into(),
        items.into(),
        parts.into(),
    ];
    transaction.execute(response, &values).await.map(drop)
}

/// Keeps what a response, or whatever has this id, was asked.
pub(super) async fn insert_input(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    input: &[NewItem],
) -> Result<(), StoreError> {
    insert_rows(transaction, &item_rows(owner, id, INPUT, input)).await
}

/// Keeps what a response has said that is kept already.
pub(super) async fn insert_output(
    transaction: &Transaction<'_>,
    owner: &Owner,
    response: &str,
    output: &[NewItem],
) -> Result<(), StoreError> {
    insert_rows(transaction, &item_rows(owner, response, OUTPUT, output)).await
}

async fn insert_rows(
    transaction: &Transaction<'_>,
    rows: &[[Value<'_>; 7]],
) -> Result<(), StoreError> {
    let item = "insert into item (response, direction, position, id, owner, body, created_at) \
                values ($1, $2, $3, $4, $5, $6, $7)";
    match rows {
        [] => Ok(()),
        _ => transaction.execute_each(item, rows).await,
    }
}

/// A row for each item, in the order of the columns.
fn item_rows<'v>(
    owner: &'v Owner,
    response: &'v str,
    direction: i64,
    items: &'v [NewItem],
) -> Vec<[Value<'v>; 7]> {
    let now = now();
    let items = (0_i64..).zip(items);
    let rows = items.map(|(position, item)| {
        [
            response.into(),
            direction.into(),
            position.into(),
            (&item.id).into(),
            owner.into(),
            (&item.body).into(),
            now.into(),
        ]
    });
    rows.collect()
}
