//! What gateways on one store know of each other.

use jiff::Timestamp;
use serde::Deserialize;

use super::keys::{self, UnreadNews};
use super::rates::{self, Dealt};
use crate::access::limits::deal::Claim;
use crate::access::roster::LastChange;
use crate::store::{StoreError, Transaction};

/// How recently a gateway was heard that counts as there, in milliseconds. On a file it says so less
/// often.
pub const LIVE_MS: i64 = 45_000;

/// A gateway, as the store knows it.
#[derive(Clone, Debug)]
pub struct Presence {
    pub id: String,
    /// Its version.
    pub program: String,
    /// How long ago it was heard, in milliseconds.
    pub silent_ms: i64,
    /// What it says of itself, in JSON; empty for one of an earlier version.
    pub state: String,
}

/// What is read of what a gateway says of itself.
#[derive(Deserialize)]
struct State {
    keys_revision: i64,
}

impl Presence {
    /// Whether its requests go by this change of keys and projects, as far as it has said.
    pub fn goes_by(&self, revision: i64) -> bool {
        let state = serde_json::from_str::<State>(&self.state);
        state.is_ok_and(|state| state.keys_revision >= revision)
    }
}

/// What a gateway is told that has said that it is there.
#[derive(Debug)]
pub struct Beat {
    /// The time on the store's clock.
    pub clock: Timestamp,
    /// What has changed in keys and projects.
    pub news: Option<UnreadNews>,
    /// What it gets of limits that gateways share; none where they share none.
    pub dealt: Option<Dealt>,
    /// Other gateways and what they say of themselves, where they share limits.
    pub others: Vec<(String, String)>,
}

/// At most so many other gateways are looked at.
const MOST_OTHERS: i64 = 100;
/// How recently they were heard, in milliseconds.
const OTHERS_MS: i64 = 5_000;

/// Says that a gateway is there, and what it claims of the limits that gateways share, if they do.
/// What has changed in keys and projects is told since a change.
///
/// # Errors
/// See [`StoreError`].
pub async fn beat(
    transaction: &Transaction<'_>,
    gateway: &str,
    state: &str,
    since: LastChange,
    claims: Option<&[(String, Claim)]>,
) -> Result<Beat, StoreError> {
    let now = transaction.now_ms().await?;
    let seen = "insert into gateway (id, program, seen_at, state) values ($1, $2, $3, $4) \
                on conflict (id) do update set seen_at = excluded.seen_at, state = excluded.state";
    let version = env!("CARGO_PKG_VERSION");
    let values = [gateway.into(), version.into(), now.into(), state.into()];
    transaction.execute(seen, &values).await?;
    let (dealt, others) = match claims {
        Some(claims) => {
            let dealt = rates::deal(transaction, gateway, claims, now).await?;
            (Some(dealt), others(transaction, gateway, now).await?)
        }
        None => (None, Vec::new()),
    };
    let news = keys::news(transaction, since).await?;
    let clock = Timestamp::from_millisecond(now);
    let clock = clock.map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(Beat {
        clock,
        news,
        dealt,
        others,
    })
}

async fn others(
    transaction: &Transaction<'_>,
    gateway: &str,
    now: i64,
) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "select id, coalesce(state, '') from gateway where seen_at > $1 and id <> $2 \
               order by id limit $3";
    let values = [(now - OTHERS_MS).into(), gateway.into(), MOST_OTHERS.into()];
    let rows = transaction.query(sql, &values).await?;
    let read = |mut row: crate::store::Row| Ok((row.text(0)?, row.text(1)?));
    rows.into_iter().map(read).collect()
}

/// The gateways that are there.
///
/// # Errors
/// See [`StoreError`].
pub async fn present(transaction: &Transaction<'_>) -> Result<Vec<Presence>, StoreError> {
    let now = transaction.now_ms().await?;
    let sql = "select id, program, seen_at, coalesce(state, '') from gateway \
               where seen_at > $1 order by id limit 1000";
    let rows = transaction.query(sql, &[(now - LIVE_MS).into()]).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Presence {
                id: row.text(0)?,
                program: row.text(1)?,
                silent_ms: now - row.integer(2)?,
                state: row.text(3)?,
            })
        })
        .collect()
}
