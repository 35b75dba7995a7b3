//! The tables of the books, and one transaction on them.
//!
//! Whoever locks several windows makes those that are missing, and then locks all of them, each in the
//! order of their keys, and a window before its leases, so that nobody waits for somebody who waits for
//! him.

use jiff::Timestamp;

use crate::access::purses::{Entry, PurseId};
use crate::budget::Amount;
use crate::budget::books::{Lease, Report, Window};
use crate::store::{self, StoreError, Transaction, Value};

/// How long a lease lives after its gateway was heard last, in milliseconds. How long it is matters
/// to those who wait for what it holds, and to nobody's safety.
const LEASE_MS: i64 = 60_000;
/// How recently a gateway was heard that counts as one of several.
const LIVE_MS: i64 = 5_000;
/// After which time nobody is expected to come back who was cut off. What he held is charged for good
/// then; should he come after all, what he spent counts once more.
const GONE_MS: i64 = 31 * DAY_MS;
/// For how long windows are remembered that are over.
const OVER_MS: i64 = 92 * DAY_MS;
const DAY_MS: i64 = 86_400_000;
/// How many rows of a table are deleted at once.
const AT_ONCE: i64 = 500;
/// For how long others are asked to give back what they do not need.
const SHORT_MS: i64 = 3_000;

/// What a gateway says of one window.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub id: PurseId,
    pub start_ms: i64,
    pub end_ms: Option<i64>,
    pub limit: Amount,
    /// What the budget says, also where it only counts.
    pub allowed: Amount,
    pub report: Report,
}

/// What the store says to a report.
#[derive(Debug)]
pub(super) struct Heard {
    pub now: Timestamp,
    /// One for each row.
    pub entries: Vec<Entry>,
    pub alerts: Vec<Alert>,
}

/// More of a budget is used than its operator has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alert {
    /// Which row it is about.
    pub at: usize,
    pub percent: i64,
    pub used: Amount,
}

/// Whose window it is, of which budget, and when it begins.
type Key<'k> = [Value<'k>; 3];

fn key(id: &PurseId, start_ms: i64) -> Key<'_> {
    [(&*id.owner).into(), (&*id.budget).into(), start_ms.into()]
}

impl Row {
    fn key(&self) -> Key<'_> {
        key(&self.id, self.start_ms)
    }
}

/// The window as it is stored.
struct Stored {
    window: Window,
    /// Until when others are asked to give back.
    short_until_ms: i64,
    told: Told,
}

/// Writes down what a gateway says, and what it gets. The rows have to be in the order of their
/// keys. However many there are, the way to the store and back is made a dozen times.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn report(
    transaction: &Transaction<'_>,
    gateway: &str,
    rows: &[Row],
) -> Result<Heard, StoreError> {
    let now = transaction.now_ms().await?;
    let seen = "insert into gateway (id, program, seen_at) values ($1, $2, $3) \
                on conflict (id) do update set seen_at = excluded.seen_at";
    let version = env!("CARGO_PKG_VERSION");
    let values = [gateway.into(), version.into(), now.into()];
    transaction.execute(seen, &values).await?;
    let live = "select count(*) from gateway where seen_at > $1";
    let live = transaction.first(live, &[(now - LIVE_MS).into()]).await?;
    let gateways = live.map_or(Ok(1), |row| row.integer(0))?;
    let gateways = u32::try_from(gateways).unwrap_or(u32::MAX);
    let mut windows = open(transaction, rows).await?;
    let mut leases = leases(transaction, gateway, rows).await?;
    let books = windows.iter_mut().zip(&mut leases);
    let mut entries: Vec<Entry> = rows
        .iter()
        .zip(books)
        .map(|(row, (stored, lease))| enter(row, stored, lease, gateways, now))
        .collect();
    ask_others(
        transaction,
        gateway,
        (rows, &mut windows, &mut entries),
        now,
    )
    .await?;
    let alerts = alerts(rows, &mut windows);
    keep(transaction, rows.iter().map(Row::key).zip(&windows)).await?;
    keep_leases(transaction, gateway, rows, &leases, now + LEASE_MS).await?;
    let told = Timestamp::from_millisecond(now);
    let told = told.map_err(|_| StoreError::Failed("the store's clock is off".to_owned()))?;
    Ok(Heard {
        now: told,
        entries,
        alerts,
    })
}

/// What operators have been told of what is used of a window.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// At how many percent the last alert was.
    percent: i64,
    /// Of a budget of how much; the largest, where gateways have different ones.
    of: Amount,
}

/// What operators have not been told yet of what is used, which counts as told then.
fn alerts(rows: &[Row], windows: &mut [Stored]) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for (at, (row, stored)) in rows.iter().zip(windows).enumerate() {
        let percent = stored.window.alert(row.allowed);
        let told = &mut stored.told;
        if row.allowed > told.of {
            // It was raised, and less of it is used.
            told.percent = told.percent.min(percent);
            told.of = row.allowed;
        }
        if percent > told.percent {
            told.percent = percent;
            let used = stored.window.used + stored.window.beyond;
            alerts.push(Alert { at, percent, used });
        }
    }
    alerts
}

/// Takes in what a gateway says of a window.
fn enter(row: &Row, stored: &mut Stored, lease: &mut Lease, gateways: u32, now: i64) -> Entry {
    let window = &mut stored.window;
    if window.wanted != row.limit {
        window.allow(row.limit);
    }
    let is_short = stored.short_until_ms > now;
    let mut report = row.report;
    if is_short {
        report.liking = Amount::ZERO;
    }
    Entry {
        answer: window.report(lease, &report, gateways),
        others_wait: is_short && report.need.is_zero(),
    }
}

/// Where a gateway did not get enough, others are asked to give back what they hold that are there.
async fn ask_others(
    transaction: &Transaction<'_>,
    gateway: &str,
    (rows, windows, entries): (&[Row], &mut [Stored], &mut [Entry]),
    now: i64,
) -> Result<(), StoreError> {
    let books = rows.iter().zip(windows).zip(entries);
    let short: Vec<_> = books
        .filter(|((row, _), entry)| {
            let is_served = entry.answer.drawn - row.report.drawn >= row.report.least;
            !is_served && entry.answer.others > Amount::ZERO
        })
        .collect();
    let sql = "select cast(coalesce(sum(drawn - spent - returned), 0) as bigint) from budget_lease \
               join gateway on gateway.id = budget_lease.gateway \
               where owner = $1 and budget = $2 and start_at = $3 and charged = 0 \
               and budget_lease.gateway <> $4 and seen_at > $5";
    let values = short.iter().map(|((row, _), _)| {
        let [owner, budget, start] = row.key();
        [owner, budget, start, gateway.into(), (now - LIVE_MS).into()]
    });
    let values: Vec<_> = values.collect();
    let held = transaction.first_each(sql, &values).await?;
    for (((_, stored), entry), held) in short.into_iter().zip(held) {
        stored.short_until_ms = now + SHORT_MS;
        entry.answer.others = Amount(held.map_or(Ok(0), |row| row.integer(0))?);
    }
    Ok(())
}

/// The rows of windows, for nobody else to change; those that are missing are made.
async fn open(transaction: &Transaction<'_>, rows: &[Row]) -> Result<Vec<Stored>, StoreError> {
    // Also of what was drawn before: a store may forget, and none is made once others are locked.
    add(transaction, rows).await?;
    let keys: Vec<_> = rows.iter().map(Row::key).collect();
    let found = find(transaction, &keys).await?.into_iter();
    let missing = || StoreError::Failed("a window is not there that was made".into());
    found.map(|stored| stored.ok_or_else(missing)).collect()
}

/// Makes the rows of windows that are missing.
async fn add(transaction: &Transaction<'_>, rows: &[Row]) -> Result<(), StoreError> {
    let sql = "insert into budget_window \
               (owner, budget, start_at, end_at, wanted, bound, used, leased, beyond, short_until) \
               values ($1, $2, $3, $4, $5, $5, 0, 0, 0, 0) \
               on conflict (owner, budget, start_at) do nothing";
    let values = rows.iter().map(|row| {
        let [owner, budget, start] = row.key();
        let end = row.end_ms.map_or(Value::Null, Value::Integer);
        [owner, budget, start, end, row.limit.0.into()]
    });
    let values: Vec<_> = values.collect();
    transaction.execute_each(sql, &values).await
}

/// Looks for windows, which nobody else changes then.
async fn find(
    transaction: &Transaction<'_>,
    keys: &[Key<'_>],
) -> Result<Vec<Option<Stored>>, StoreError> {
    const FIND: &str = "select wanted, bound, used, leased, beyond, short_until, \
        told, told_of from budget_window where owner = $1 and budget = $2 and start_at = $3";
    const LOCK: &str = "select wanted, bound, used, leased, beyond, short_until, \
        told, told_of from budget_window where owner = $1 and budget = $2 and start_at = $3 for update";
    let sql = if transaction.is_postgres() {
        LOCK
    } else {
        FIND
    };
    let read = |row: store::Row| {
        let amount = |column| row.integer(column).map(Amount);
        Ok(Stored {
            window: Window {
                wanted: amount(0)?,
                limit: amount(1)?,
                used: amount(2)?,
                leased: amount(3)?,
                beyond: amount(4)?,
            },
            short_until_ms: row.integer(5)?,
            told: Told {
                percent: row.integer(6)?,
                of: amount(7)?,
            },
        })
    };
    let found = transaction.first_each(sql, keys).await?;
    let found = found.into_iter();
    found.map(|row| row.map(read).transpose()).collect()
}

async fn find_one(
    transaction: &Transaction<'_>,
    id: &PurseId,
    start_ms: i64,
) -> Result<Option<Stored>, StoreError> {
    let found = find(transaction, &[key(id, start_ms)]).await?;
    Ok(found.into_iter().next().flatten())
}

async fn keep<'k>(
    transaction: &Transaction<'_>,
    windows: impl Iterator<Item = (Key<'k>, &'k Stored)>,
) -> Result<(), StoreError> {
    let sql = "update budget_window set wanted = $4, bound = $5, used = $6, leased = $7, beyond = $8, \
               short_until = $9, told = $10, told_of = $11 where owner = $1 and budget = $2 and start_at = $3";
    let values = windows.map(|([owner, budget, start], stored)| {
        let window = &stored.window;
        [
            owner,
            budget,
            start,
            window.wanted.0.into(),
            window.limit.0.into(),
            window.used.0.into(),
            window.leased.0.into(),
            window.beyond.0.into(),
            stored.short_until_ms.into(),
            stored.told.percent.into(),
            stored.told.of.0.into(),
        ]
    });
    let values: Vec<_> = values.collect();
    transaction.execute_each(sql, &values).await
}

async fn leases(
    transaction: &Transaction<'_>,
    gateway: &str,
    rows: &[Row],
) -> Result<Vec<Lease>, StoreError> {
    let sql = "select drawn, spent, returned, charged from budget_lease \
               where owner = $1 and budget = $2 and start_at = $3 and gateway = $4";
    let values = rows.iter().map(|row| {
        let [owner, budget, start] = row.key();
        [owner, budget, start, gateway.into()]
    });
    let values: Vec<_> = values.collect();
    let found = transaction.first_each(sql, &values).await?;
    let read = |row: Option<store::Row>| {
        let Some(row) = row else {
            return Ok(Lease::default());
        };
        Ok(Lease {
            drawn: Amount(row.integer(0)?),
            spent: Amount(row.integer(1)?),
            returned: Amount(row.integer(2)?),
            is_charged: row.integer(3)? != 0,
        })
    };
    found.into_iter().map(read).collect()
}

async fn keep_leases(
    transaction: &Transaction<'_>,
    gateway: &str,
    rows: &[Row],
    leases: &[Lease],
    expires_ms: i64,
) -> Result<(), StoreError> {
    let sql = "insert into budget_lease \
               (owner, budget, start_at, gateway, drawn, spent, returned, charged, expires_at) \
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               on conflict (owner, budget, start_at, gateway) do update set drawn = excluded.drawn, \
               spent = excluded.spent, returned = excluded.returned, charged = excluded.charged, \
               expires_at = excluded.expires_at";
    let values = rows.iter().zip(leases).map(|(row, lease)| {
        let [owner, budget, start] = row.key();
        [
            owner,
            budget,
            start,
            gateway.into(),
            lease.drawn.0.into(),
            lease.spent.0.into(),
            lease.returned.0.into(),
            i64::from(lease.is_charged).into(),
            expires_ms.into(),
        ]
    });
    let values: Vec<_> = values.collect();
    transaction.execute_each(sql, &values).await
}

/// Adjusts a window; gives it as it was and as it is, and by how much it was changed. `None` where it
/// is not there.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn adjust(
    transaction: &Transaction<'_>,
    id: &PurseId,
    start_ms: i64,
    by: Amount,
) -> Result<Option<(Window, Window, Amount)>, StoreError> {
    let Some(mut stored) = find_one(transaction, id, start_ms).await? else {
        return Ok(None);
    };
    let before = stored.window;
    let by = stored.window.adjust(by);
    if by < Amount::ZERO {
        stored.told.percent = 0;
    }
    keep(transaction, [(key(id, start_ms), &stored)].into_iter()).await?;
    Ok(Some((before, stored.window, by)))
}

/// Charges leases that have expired; gives how many there were that held something.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn sweep(transaction: &Transaction<'_>) -> Result<usize, StoreError> {
    let now = transaction.now_ms().await?;
    let sql = "select distinct owner, budget, start_at from budget_lease \
               where charged = 0 and expires_at < $1 order by owner, budget, start_at limit 16";
    let found = transaction.query(sql, &[now.into()]).await?;
    let windows = found.into_iter().map(|mut row| {
        let id = PurseId {
            owner: row.text(0)?.into(),
            budget: row.text(1)?.into(),
        };
        Ok((id, row.integer(2)?))
    });
    let mut windows = windows.collect::<Result<Vec<_>, StoreError>>()?;
    // Reports lock in this order, and the database may sort letters in another one.
    windows.sort_unstable();
    let mut charged = 0;
    for (id, start_ms) in windows {
        charged += sweep_window(transaction, &id, start_ms, now).await?;
    }
    Ok(charged)
}

async fn sweep_window(
    transaction: &Transaction<'_>,
    id: &PurseId,
    start_ms: i64,
    now: i64,
) -> Result<usize, StoreError> {
    let Some(mut stored) = find_one(transaction, id, start_ms).await? else {
        return Ok(0);
    };
    let sql = "select gateway, drawn, spent, returned from budget_lease \
               where owner = $1 and budget = $2 and start_at = $3 and charged = 0 and expires_at < $4";
    let values = [
        (&*id.owner).into(),
        (&*id.budget).into(),
        start_ms.into(),
        now.into(),
    ];
    let mut charged = 0;
    for mut found in transaction.query(sql, &values).await? {
        let gateway = found.text(0)?;
        let mut lease = Lease {
            drawn: Amount(found.integer(1)?),
            spent: Amount(found.integer(2)?),
            returned: Amount(found.integer(3)?),
            is_charged: false,
        };
        charged += usize::from(lease.rest() > Amount::ZERO);
        stored.window.charge(&mut lease);
        let mark = "update budget_lease set charged = 1 \
                    where owner = $1 and budget = $2 and start_at = $3 and gateway = $4";
        let values = [
            (&*id.owner).into(),
            (&*id.budget).into(),
            start_ms.into(),
            gateway.as_str().into(),
        ];
        transaction.execute(mark, &values).await?;
    }
    keep(transaction, [(key(id, start_ms), &stored)].into_iter()).await?;
    Ok(charged)
}

/// Deletes some of what nobody needs any more; whether there may be more of it.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn tidy(transaction: &Transaction<'_>) -> Result<bool, StoreError> {
    let now = transaction.now_ms().await?;
    let leases = "delete from budget_lease where (owner, budget, start_at, gateway) in \
                  (select owner, budget, start_at, gateway from budget_lease \
                  where charged = 1 and expires_at < $1 limit $2)";
    // No lease is left of them by then that was not charged.
    let windows = "delete from budget_window where (owner, budget, start_at) in \
                   (select owner, budget, start_at from budget_window \
                   where end_at < $1 and leased = 0 limit $2)";
    let gateways = "delete from gateway where id in \
                    (select id from gateway where seen_at < $1 limit $2)";
    let mut has_more = false;
    for (sql, age) in [
        (leases, GONE_MS),
        (windows, OVER_MS),
        (gateways, GONE_MS + DAY_MS),
    ] {
        let values = [(now - age).into(), AT_ONCE.into()];
        let deleted = transaction.execute(sql, &values).await?;
        has_more |= i64::try_from(deleted).unwrap_or(i64::MAX) >= AT_ONCE;
    }
    Ok(has_more)
}
