//! What came before: the items of the responses that one continues, and items by their ids.

use std::collections::BTreeMap;

use super::items::by_ids;
use super::packed::Packed;
use super::{INPUT, MAX_DEPTH, OUTPUT, Owner, Responses, conversations, now};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Transaction};

/// What a request refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Continued {
    /// The response that it continues.
    pub previous: Option<String>,
    /// The conversation that it goes on with.
    pub conversation: Option<String>,
    /// Items that it names by their ids.
    pub items: Vec<String>,
}

/// What was found of it.
#[derive(Debug)]
pub enum Chain {
    Found {
        /// The JSON of what was asked and said, from the thread's beginning on.
        before: Vec<String>,
        /// The JSON of the items that were named, by their ids, as far as they are there.
        items: BTreeMap<String, String>,
        /// The state of the conversation.
        version: i64,
    },
    /// There is no such conversation.
    NoConversation,
    /// The response, or one before it, was made in this conversation, which holds what was said
    /// before.
    InConversation(String),
    /// There is no such response.
    NoResponse,
    /// It is still being made, or nothing came of it.
    NoAnswer { is_running: bool },
    /// A response before it was deleted: this one.
    Deleted(String),
    /// What came before has grown too long.
    TooLong,
}

impl Responses {
    /// Looks up what a request refers to, as long as it takes up no more than `max_bytes`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn before(
        &self,
        owner: &Owner,
        continued: Continued,
        max_bytes: usize,
    ) -> Result<Chain, StoreError> {
        let owner = owner.clone();
        let most = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| {
            let before = match (&continued.previous, &continued.conversation) {
                (Some(previous), _) => walk(transaction, &owner, previous, most)
                    .await?
                    .map(|before| (before, 0)),
                (None, Some(conversation)) => {
                    conversations::all(transaction, &owner, conversation, most).await?
                }
                (None, None) => Ok((Vec::new(), 0)),
            };
            let (before, version) = match before {
                Ok(before) => before,
                Err(why) => return Ok(why),
            };
            let Some(items) = by_ids(transaction, &owner, &continued.items, most).await? else {
                return Ok(Chain::TooLong);
            };
            Ok(Chain::Found {
                before,
                items,
                version,
            })
        };
        self.database.read(deadline, read).await
    }
}

/// All items from the beginning of the thread to this response, or why not.
async fn walk(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    most: i64,
) -> Result<Result<Vec<String>, Chain>, StoreError> {
    let last = "select response.depth, response.chain_bytes, response.status from response \
                join thread on thread.id = response.thread \
                where response.id = $1 and response.owner = $2 and response.deleted_at is null \
                and thread.expires_at > $3";
    let values = [id.into(), owner.into(), now().into()];
    let Some(mut row) = transaction.first(last, &values).await? else {
        return Ok(Err(Chain::NoResponse));
    };
    match row.text(2)?.as_str() {
        "queued" | "in_progress" => return Ok(Err(Chain::NoAnswer { is_running: true })),
        "failed" | "cancelled" => return Ok(Err(Chain::NoAnswer { is_running: false })),
        _ => {}
    }
    let (depth, bytes) = (row.integer(0)?, row.integer(1)?);
    if depth.saturating_add(1) >= MAX_DEPTH || bytes > most {
        return Ok(Err(Chain::TooLong));
    }
    let links = "with recursive chain (id, parent) as ( \
                     select id, parent from response where id = $1 and owner = $2 \
                     union all \
                     select response.id, response.parent from response \
                     join chain on response.id = chain.parent where response.owner = $2) \
                 select response.id, response.parent, response.deleted_at, response.conversation, \
                 response.depth, response.items, response.parts \
                 from chain join response on response.id = chain.id order by response.depth desc";
    let mut links = transaction.query(links, &[id.into(), owner.into()]).await?;
    let is_whole = i64::try_from(links.len()).is_ok_and(|count| count == depth.saturating_add(1));
    for row in &mut links {
        if row.optional_integer(2)?.is_some() {
            return Ok(Err(Chain::Deleted(row.text(0)?)));
        }
        if let Some(conversation) = row.optional_text(3)? {
            return Ok(Err(Chain::InConversation(conversation)));
        }
    }
    if !is_whole {
        let first = links
            .last_mut()
            .map(|row| row.optional_text(1))
            .transpose()?;
        return Ok(Err(Chain::Deleted(first.flatten().unwrap_or_default())));
    }
    let items = "with recursive chain (id, parent, depth) as ( \
                     select id, parent, depth from response where id = $1 and owner = $2 \
                     union all \
                     select response.id, response.parent, response.depth from response \
                     join chain on response.id = chain.parent where response.owner = $2) \
                 select chain.depth, item.direction, item.body \
                 from chain join item on item.response = chain.id \
                 order by chain.depth, item.direction, item.position";
    let rows = transaction.query(items, &[id.into(), owner.into()]).await?;
    in_order(links, rows).map(Ok)
}

/// The JSON of all items of these responses, those in their rows and those with rows of their own, in the
/// order in which they were said.
fn in_order(responses: Vec<Row>, items: Vec<Row>) -> Result<Vec<String>, StoreError> {
    let mut said = BTreeMap::<(i64, i64), Vec<String>>::new();
    for mut row in responses {
        let packed = Packed::read(&mut row, (5, 6))?;
        for direction in [INPUT, OUTPUT] {
            let bodies = packed.each(direction).map(|(_, body)| body.to_owned());
            let place = (row.integer(4)?, direction);
            said.entry(place).or_default().extend(bodies);
        }
    }
    for mut row in items {
        let place = (row.integer(0)?, row.integer(1)?);
        said.entry(place).or_default().push(row.text(2)?);
    }
    Ok(said.into_values().flatten().collect())
}
