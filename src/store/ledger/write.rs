//! Writing a batch of calls, with their sums.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::Ledger;
use crate::observe::calls::Call;
use crate::store::{StoreError, Transaction, Value};

/// Milliseconds of an hour, and of a day.
const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// How long a name in a row may be, in bytes.
const LONGEST_NAME: usize = 256;
/// What a model goes by in the sums that nobody knows and fal has not served.
const OTHER: &str = "other";

/// Calls that are written together, or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The process that made the calls.
    pub gateway: Arc<str>,
    /// The number of its first row: all rows of a process are counted, from 1.
    pub first_row: i64,
    pub calls: Vec<Call>,
}

impl Batch {
    /// The number of its last row. What a process has written goes up to such a number, however its
    /// rows were put together.
    pub fn last_row(&self) -> i64 {
        let count = i64::try_from(self.calls.len()).unwrap_or(i64::MAX);
        self.first_row.saturating_add(count).saturating_sub(1)
    }

    /// Its first half and its second one, to be written one after the other; `None` for a single call.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.calls.split_at_checked(self.calls.len() / 2)?;
        if first.is_empty() {
            return None;
        }
        let first = Self {
            gateway: Arc::clone(&self.gateway),
            first_row: self.first_row,
            calls: first.to_vec(),
        };
        let second = Self {
            gateway: Arc::clone(&self.gateway),
            first_row: first.last_row().saturating_add(1),
            calls: second.to_vec(),
        };
        Some((first, second))
    }
}

/// What sums are kept by. The hours of a day stand together, since they are added to one sum of the day.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group<'c> {
    day: i64,
    key: &'c str,
    project: &'c str,
    model: &'c str,
    upstream: &'c str,
    face: &'c str,
    premium: i64,
    hour: i64,
}

#[derive(Debug, Default)]
struct Totals([i64; 14]);

impl Ledger {
    /// Writes a batch. Should it have been written before, without this gateway having heard of it,
    /// it is not written again; nor is a part of what was.
    ///
    /// # Errors
    /// See [`StoreError`]. It may be written again after any of them.
    pub async fn write(&self, batch: &Arc<Batch>, deadline: Instant) -> Result<(), StoreError> {
        let batch = Arc::clone(batch);
        let write = async move |transaction: &Transaction<'_>| {
            if transaction.is_postgres() {
                make_days(transaction, &batch).await?;
            }
            if !is_new(transaction, &batch).await? {
                return Ok(());
            }
            write_rows(transaction, &batch).await?;
            add_sums(transaction, &batch).await
        };
        self.database.write_durably(deadline, write).await
    }
}

/// Makes the partitions that the rows go into, before anything else of the ledger is locked.
async fn make_days(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    /// Any number that is ours; see the lock of the migrations.
    const LOCK: i64 = 0x0fa1_6a7e_1ed6;
    let days: BTreeSet<i64> = batch
        .calls
        .iter()
        .map(|call| call.payer.at_ms.div_euclid(DAY))
        .collect();
    let mut is_locked = false;
    for day in days {
        let name = format!("ledger_{day}");
        let is_there = "select 1 where to_regclass($1) is not null";
        let found = transaction.first(is_there, &[(&name).into()]).await?;
        if found.is_some() {
            continue;
        }
        if !std::mem::replace(&mut is_locked, true) {
            let lock = format!("select pg_advisory_xact_lock({LOCK})");
            transaction.batch(&lock).await?;
        }
        let (from, to) = (day.saturating_mul(DAY), (day + 1).saturating_mul(DAY));
        let make = format!(
            "create table if not exists {name} partition of ledger for values from ({from}) to ({to})"
        );
        transaction.batch(&make).await?;
    }
    Ok(())
}

async fn is_new(transaction: &Transaction<'_>, batch: &Batch) -> Result<bool, StoreError> {
    let sql = "insert into ledger_writer (gateway, batch, seen_at) values ($1, $2, $3) \
               on conflict (gateway) do update set batch = excluded.batch, seen_at = excluded.seen_at \
               where ledger_writer.batch < excluded.batch";
    let last = batch.calls.iter().map(|call| call.payer.at_ms).max();
    let values = [
        (&*batch.gateway).into(),
        batch.last_row().into(),
        last.unwrap_or_default().into(),
    ];
    Ok(transaction.execute(sql, &values).await? > 0)
}

async fn write_rows(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let sql = "insert into ledger \
        (at, gateway, number, key, project, model, upstream, kind, face, tokens_in, tokens_cached, \
        tokens_out, tokens_reasoning, estimated, units, dollars, premium, billed, requests, outcome, \
        duration_ms, request, fal_request) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
        $20, $21, $22, $23)";
    let models: Vec<String> = batch.calls.iter().map(|call| plain(&call.model)).collect();
    let ids = batch.calls.iter().map(|call| plain(&call.fal_request_id));
    let ids: Vec<String> = ids.collect();
    let named = batch.calls.iter().zip(&models).zip(&ids);
    let rows: Vec<[Value<'_>; 23]> = named
        .zip(batch.first_row..)
        .map(|(((call, model), fal_id), number)| {
            [
                call.payer.at_ms.into(),
                (&*batch.gateway).into(),
                number.into(),
                (&*call.payer.key).into(),
                (&*call.payer.project).into(),
                model.into(),
                call.upstream.into(),
                call.kind.word().into(),
                call.face.into(),
                count(call.tokens.input).into(),
                count(call.tokens.cached).into(),
                count(call.tokens.output).into(),
                count(call.tokens.reasoning).into(),
                i64::from(call.tokens.is_estimated).into(),
                call.units.into(),
                call.dollars.into(),
                i64::from(call.is_premium).into(),
                call.billed.into(),
                i64::from(call.counts_request).into(),
                call.outcome.into(),
                count(call.duration_ms).into(),
                (&call.request_id).into(),
                fal_id.into(),
            ]
        })
        .collect();
    transaction.execute_each(sql, &rows).await
}

async fn add_sums(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let models: Vec<String> = batch.calls.iter().map(model_of_sum).collect();
    // In order, so that gateways of this version which write at the same time never wait for each other. The store adds
    // them to the sums of days by itself.
    let mut sums: BTreeMap<Group<'_>, Totals> = BTreeMap::new();
    for (call, model) in batch.calls.iter().zip(&models) {
        sums.entry(Group::of(call, model)).or_default().add(call);
    }
    let sql = "insert into usage_hour \
        (hour, key, project, model, upstream, face, premium, calls, requests, maybe, maybe_units, \
        maybe_dollars, failed, estimated, tokens_in, tokens_cached, tokens_out, tokens_reasoning, units, \
        dollars, duration_ms) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
        $20, $21) \
        on conflict (hour, key, project, model, upstream, face, premium) do update set \
        calls = usage_hour.calls + excluded.calls, requests = usage_hour.requests + excluded.requests, \
        maybe = usage_hour.maybe + excluded.maybe, \
        maybe_units = usage_hour.maybe_units + excluded.maybe_units, \
        maybe_dollars = usage_hour.maybe_dollars + excluded.maybe_dollars, \
        failed = usage_hour.failed + excluded.failed, \
        estimated = usage_hour.estimated + excluded.estimated, \
        tokens_in = usage_hour.tokens_in + excluded.tokens_in, \
        tokens_cached = usage_hour.tokens_cached + excluded.tokens_cached, \
        tokens_out = usage_hour.tokens_out + excluded.tokens_out, \
        tokens_reasoning = usage_hour.tokens_reasoning + excluded.tokens_reasoning, \
        units = usage_hour.units + excluded.units, dollars = usage_hour.dollars + excluded.dollars, \
        duration_ms = usage_hour.duration_ms + excluded.duration_ms";
    let rows: Vec<[Value<'_>; 21]> = sums
        .iter()
        .map(|(group, totals)| group.row(totals))
        .collect();
    transaction.execute_each(sql, &rows).await
}

impl<'c> Group<'c> {
    /// With its sums, in the order of the columns.
    fn row(&self, Totals(totals): &Totals) -> [Value<'c>; 21] {
        let names: [Value<'c>; 7] = [
            self.hour.into(),
            self.key.into(),
            self.project.into(),
            self.model.into(),
            self.upstream.into(),
            self.face.into(),
            self.premium.into(),
        ];
        let totals = totals.map(Value::Integer);
        let mut values = names.into_iter().chain(totals);
        std::array::from_fn(|_| values.next().unwrap_or(Value::Null))
    }

    fn of(call: &'c Call, model: &'c str) -> Self {
        let at = call.payer.at_ms;
        Self {
            day: at - at.rem_euclid(DAY),
            hour: at - at.rem_euclid(HOUR),
            key: &call.payer.key,
            project: &call.payer.project,
            model,
            upstream: call.upstream,
            face: call.face,
            premium: i64::from(call.is_premium),
        }
    }
}

impl Totals {
    /// Adds a call, in the order of the columns.
    fn add(&mut self, call: &Call) {
        let is_maybe = call.billed == "maybe";
        let if_maybe = |amount: i64| if is_maybe { amount } else { 0 };
        let more = [
            1,
            i64::from(call.counts_request),
            i64::from(is_maybe),
            if_maybe(call.units),
            if_maybe(call.dollars),
            i64::from(call.outcome != "ok"),
            i64::from(call.tokens.is_estimated),
            count(call.tokens.input),
            count(call.tokens.cached),
            count(call.tokens.output),
            count(call.tokens.reasoning),
            call.units,
            call.dollars,
            count(call.duration_ms),
        ];
        for (sum, more) in self.0.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Names that were invented are one, so that nobody makes the sums grow without an end.
fn model_of_sum(call: &Call) -> String {
    match call.is_known_model {
        true => plain(&call.model),
        false => OTHER.to_owned(),
    }
}

/// A name as every database takes it: without control characters, and not too long.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| !letter.is_control());
    let mut plain = String::new();
    for letter in letters {
        if plain.len() + letter.len_utf8() > LONGEST_NAME {
            break;
        }
        plain.push(letter);
    }
    plain
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
