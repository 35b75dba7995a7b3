//! The limits that gateways on one server share: the tables of their parts, and the task that keeps
//! this gateway's.
//!
//! What is decided is decided by [`crate::access::limits::deal`]. The usual news go with the word that
//! the gateway is there (`app::roster`), once a second and in the same transaction; where a request
//! waits, they go at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::access::Limiters;
use crate::access::limits::Limiter;
use crate::access::limits::deal::{Claim, Each, Other, Part, Told};
use crate::store::{Database, StoreError, Transaction, Value};

/// How long the store has for one transaction.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How recently a gateway was heard that counts as one of several, in milliseconds.
const LIVE_MS: i64 = 5_000;
/// After which time a row says nothing any more, in milliseconds; one of which something is held is
/// told again before.
const OLD_MS: i64 = 3_600_000;
/// How many rows are deleted at once.
const AT_ONCE: i64 = 500;
/// How long a store that has failed is left alone.
const PAUSE: Duration = Duration::from_millis(250);
/// Nobody else has told the store for so long: this task does.
const SILENCE: Duration = Duration::from_secs(3);
/// How often is looked for what nobody needs any more.
const TIDYING: Duration = Duration::from_secs(3600);

/// What the store says to claims.
#[derive(Clone, Debug, Default)]
pub struct Dealt {
    /// To each claim in its turn; none for one that came too late.
    pub told: Vec<Option<Told>>,
    /// How many gateways there are.
    pub gateways: u32,
    /// Owners of whom this gateway holds something, and others are short of it.
    pub short: Vec<String>,
}

/// Keeps this gateway's parts, until it is told to stop. `clock` tells the time that limits go by.
pub async fn keep(
    limiters: &Limiters,
    store: &Database,
    gateway: Arc<str>,
    clock: impl Fn() -> Duration,
    stop: CancellationToken,
) {
    if !store.is_shared() {
        return;
    }
    let store = &store.for_admission();
    let mut next_tidying = Instant::now() + TIDYING;
    let mut is_down = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = limiters.wanted() => {}
            () = sleep(SILENCE) => {
                if !limiters.is_silent(clock(), SILENCE) {
                    continue;
                }
            }
        }
        match tell(limiters, store, &gateway, &clock, false).await {
            Ok(()) if std::mem::take(&mut is_down) => {
                tracing::info!("the limits of keys and projects are shared again");
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_down, true) {
                    tracing::warn!(%error, "the limits of keys and projects cannot be shared: each gateway takes an even part of them");
                }
                sleep(PAUSE).await;
            }
        }
        if next_tidying <= Instant::now() {
            next_tidying = Instant::now() + TIDYING;
            tidy(store).await;
        }
    }
    let _ = tell(limiters, store, &gateway, &clock, true).await;
}

/// Tells the store the news, and takes in what it says.
async fn tell(
    limiters: &Limiters,
    store: &Database,
    gateway: &Arc<str>,
    clock: &impl Fn() -> Duration,
    is_last: bool,
) -> Result<(), StoreError> {
    let _turn = limiters.turn().await;
    let asked = clock();
    let claims = limiters.claims(asked, is_last);
    let (said, id) = (owned(&claims), Arc::clone(gateway));
    let report = async move |transaction: &Transaction<'_>| {
        let now = transaction.now_ms().await?;
        let seen = "insert into gateway (id, program, seen_at) values ($1, $2, $3) \
                    on conflict (id) do update set seen_at = excluded.seen_at";
        let version = env!("CARGO_PKG_VERSION");
        let values = [(&*id).into(), version.into(), now.into()];
        transaction.execute(seen, &values).await?;
        deal(transaction, &id, &said, now).await
    };
    let dealt = store.write(Instant::now() + PATIENCE, report).await;
    take(limiters, &claims, dealt.as_ref().ok(), asked);
    dealt.map(drop)
}

/// What a transaction can take with it.
pub fn owned(claims: &[(Arc<Limiter>, Claim)]) -> Vec<(String, Claim)> {
    let owned = claims.iter();
    owned
        .map(|(limiter, claim)| (limiter.owner.label(), *claim))
        .collect()
}

/// Takes in what the store says; `None` where it was not reached.
pub fn take(
    limiters: &Limiters,
    claims: &[(Arc<Limiter>, Claim)],
    dealt: Option<&Dealt>,
    asked: Duration,
) {
    let answer = dealt.map(|dealt| (dealt.told.as_slice(), dealt.gateways));
    limiters.hear(claims, answer, asked);
    if let Some(dealt) = dealt {
        limiters.others_wait(&dealt.short, asked);
    }
}

/// Writes down what a gateway claims of owners, and what it gets. The claims have to be in the order
/// of their owners.
///
/// # Errors
/// See [`StoreError`].
pub async fn deal(
    transaction: &Transaction<'_>,
    gateway: &str,
    claims: &[(String, Claim)],
    now: i64,
) -> Result<Dealt, StoreError> {
    let live = "select count(*) from gateway where seen_at > $1";
    let live = transaction.first(live, &[(now - LIVE_MS).into()]).await?;
    let gateways = live.map_or(Ok(1), |row| row.integer(0))?;
    let gateways = u32::try_from(gateways).unwrap_or(u32::MAX);
    let mut told = Vec::with_capacity(claims.len());
    if !claims.is_empty() {
        let known = parts(transaction, claims, now).await?;
        let mut rows = Vec::with_capacity(claims.len());
        for (owner, claim) in claims {
            let all = known.get(owner).map_or(&[][..], Vec::as_slice);
            let own = all.iter().find(|(of, _)| of == gateway);
            let mut part = own.map(|(_, own)| own.part).unwrap_or_default();
            let others = all.iter().filter(|(of, _)| of != gateway);
            let others: Vec<Other> = others.map(|(_, other)| *other).collect();
            told.push(part.hear(claim, &others, gateways, now));
            rows.push((owner.as_str(), part));
        }
        keep_parts(transaction, gateway, &rows, now).await?;
    }
    Ok(Dealt {
        told,
        gateways,
        short: short(transaction, gateway, now).await?,
    })
}

/// All parts of these owners, by owner and with the gateway that holds them, for nobody else to
/// change.
async fn parts(
    transaction: &Transaction<'_>,
    claims: &[(String, Claim)],
    now: i64,
) -> Result<HashMap<String, Vec<(String, Other)>>, StoreError> {
    let owners: Vec<&str> = claims.iter().map(|(owner, _)| owner.as_str()).collect();
    let owners = json!(owners).to_string();
    let owners = [owners.as_str().into()];
    // A gateway whose machine stands still does not keep the others from these rows for long.
    let patience = "set local idle_in_transaction_session_timeout = 3000";
    transaction.execute(patience, &[]).await?;
    // All lock in one order, which is the database's. An update locks a row that is there already.
    let lock = "insert into rate_owner (owner) \
                select value from json_array_elements_text(cast(cast($1 as text) as json)) \
                order by 1 on conflict (owner) do update set owner = excluded.owner";
    transaction.execute(lock, &owners).await?;
    let find = "select owner, gateway, seen_at, number, short_until, \
                held_requests, used_requests, free_requests, clear_requests, \
                held_tokens, used_tokens, free_tokens, clear_tokens, held_running, used_running \
                from rate_part join gateway on gateway.id = rate_part.gateway where owner in \
                (select value from json_array_elements_text(cast(cast($1 as text) as json)))";
    let mut parts: HashMap<String, Vec<(String, Other)>> = HashMap::new();
    for mut row in transaction.query(find, &owners).await? {
        let (owner, gateway) = (row.text(0)?, row.text(1)?);
        let time = |column| row.integer(column);
        let amount = |column| {
            let amount = row.integer(column)?;
            Ok::<_, StoreError>(u64::try_from(amount).unwrap_or(0))
        };
        let each = |requests, tokens, concurrency| {
            Ok::<_, StoreError>(Each {
                requests: amount(requests)?,
                tokens: amount(tokens)?,
                concurrency: amount(concurrency)?,
            })
        };
        let times = |requests, tokens| {
            Ok::<_, StoreError>(Each {
                requests: time(requests)?,
                tokens: time(tokens)?,
                concurrency: 0,
            })
        };
        let part = Part {
            number: amount(3)?,
            short_until_ms: time(4)?,
            held: each(5, 9, 13)?,
            used: each(6, 10, 14)?,
            frees_at_ms: times(7, 11)?,
            clear_at_ms: times(8, 12)?,
        };
        let silent_ms = now - time(2)?;
        let other = Other { part, silent_ms };
        parts.entry(owner).or_default().push((gateway, other));
    }
    Ok(parts)
}

async fn keep_parts(
    transaction: &Transaction<'_>,
    gateway: &str,
    parts: &[(&str, Part)],
    now: i64,
) -> Result<(), StoreError> {
    let sql = "insert into rate_part (owner, gateway, number, said_at, short_until, \
               held_requests, used_requests, free_requests, clear_requests, \
               held_tokens, used_tokens, free_tokens, clear_tokens, held_running, used_running) \
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
               on conflict (owner, gateway) do update set number = excluded.number, \
               said_at = excluded.said_at, short_until = excluded.short_until, \
               held_requests = excluded.held_requests, used_requests = excluded.used_requests, \
               free_requests = excluded.free_requests, clear_requests = excluded.clear_requests, \
               held_tokens = excluded.held_tokens, used_tokens = excluded.used_tokens, \
               free_tokens = excluded.free_tokens, clear_tokens = excluded.clear_tokens, \
               held_running = excluded.held_running, used_running = excluded.used_running";
    let amount = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX).into();
    let rows = parts.iter().map(|(owner, part)| -> [Value<'_>; 15] {
        [
            (*owner).into(),
            gateway.into(),
            amount(part.number),
            now.into(),
            part.short_until_ms.into(),
            amount(part.held.requests),
            amount(part.used.requests),
            part.frees_at_ms.requests.into(),
            part.clear_at_ms.requests.into(),
            amount(part.held.tokens),
            amount(part.used.tokens),
            part.frees_at_ms.tokens.into(),
            part.clear_at_ms.tokens.into(),
            amount(part.held.concurrency),
            amount(part.used.concurrency),
        ]
    });
    let rows: Vec<_> = rows.collect();
    transaction.execute_each(sql, &rows).await
}

/// Of whose limits others are short, of which this gateway holds something.
async fn short(
    transaction: &Transaction<'_>,
    gateway: &str,
    now: i64,
) -> Result<Vec<String>, StoreError> {
    let sql = "select distinct other.owner from rate_part other \
               join rate_part own on own.owner = other.owner and own.gateway = $1 \
               where other.short_until > $2 and other.short_until > 0 and other.gateway <> $1 \
               and own.held_requests + own.held_tokens + own.held_running > 0 limit 1000";
    let values = [gateway.into(), now.into()];
    let rows = transaction.query(sql, &values).await?;
    rows.into_iter().map(|mut row| row.text(0)).collect()
}

/// Forgets parts of which nothing is held any more.
async fn tidy(store: &Database) {
    let work = async |transaction: &Transaction<'_>| {
        let now = transaction.now_ms().await?;
        let parts = "delete from rate_part where (owner, gateway) in \
                     (select owner, gateway from rate_part where said_at < $1 limit $2)";
        let values = [(now - OLD_MS).into(), AT_ONCE.into()];
        let parts = transaction.execute(parts, &values).await?;
        // Whoever holds the lock of one of them meanwhile is waited for.
        let owners = "delete from rate_owner where owner in (select owner from rate_owner \
                      where not exists (select 1 from rate_part \
                      where rate_part.owner = rate_owner.owner) order by owner limit $1)";
        let owners = transaction.execute(owners, &[AT_ONCE.into()]).await?;
        Ok(parts.max(owners) >= AT_ONCE.unsigned_abs())
    };
    while let Ok(true) = store.write(Instant::now() + PATIENCE, work).await {
        tokio::task::yield_now().await;
    }
}
