//! Sums of the ledger over spans of time, by whatever is asked for.

use std::ops::Range;

use tokio::time::Instant;

use super::Ledger;
use super::write::DAY;
use crate::store::{Row, StoreError, Transaction, Value};

/// What is asked of the ledger.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The spans that are summed up each by itself; each begins where the one before it ends. Sums by the
    /// hour belong to the span in which their hour begins.
    pub spans: Vec<Span>,
    /// What else is told apart.
    pub by: Vec<Dimension>,
    /// Only these; empty for all.
    pub keys: Vec<String>,
    pub projects: Vec<String>,
    pub models: Vec<String>,
    /// How many lines are wanted, and how many before them are not.
    pub most: i64,
    pub skipped: i64,
    pub source: Source,
}

/// A span of time, in milliseconds since 1970; the end is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: i64,
    pub end: i64,
}

/// Out of what sums are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The sums by the hour, and for whole days of UTC those by the day: all that was ever called, fast.
    #[default]
    Sums,
    /// The rows, as long as they are kept: for spans that begin or end within an hour.
    Rows,
}

/// What calls are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Key,
    Project,
    Model,
    Upstream,
    Face,
    Premium,
}

/// One line of a report. What was not told apart is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The beginning of its span.
    pub start: i64,
    pub key: Option<String>,
    pub project: Option<String>,
    pub model: Option<String>,
    pub upstream: Option<String>,
    pub face: Option<String>,
    pub is_premium: Option<bool>,
    pub sums: Sums,
}

/// What calls came to together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub calls: i64,
    /// Requests with a call that is, or may be, paid for.
    pub requests: i64,
    /// Calls that may be paid for, and what they are then; in the other sums too.
    pub maybe: i64,
    pub maybe_units: i64,
    pub maybe_dollars: i64,
    /// Calls that did not bring an answer.
    pub failed: i64,
    /// Calls whose tokens are estimated.
    pub estimated: i64,
    pub tokens_in: i64,
    /// Of these, what providers had read before.
    pub tokens_cached: i64,
    pub tokens_out: i64,
    /// Of these, what models thought.
    pub tokens_reasoning: i64,
    /// Thousandths of a unit of fal's.
    pub units: i64,
    /// Billionths of a dollar.
    pub dollars: i64,
    /// How long the calls took, all together.
    pub duration_ms: i64,
}

/// The statement for one source, one engine, and some keys or all. There is one for all keys by itself,
/// since an engine settles once for each statement how it is done.
macro_rules! statement {
    ($source:ident $engine:ident $keys:ident) => {
        grouped!($engine source!($source $engine keys!($engine $keys)))
    };
}

/// What rows come to, by their spans and whatever else is asked for. The first value says which spans
/// there are; the ninth and the tenth are lists of names in JSON.
macro_rules! grouped {
    // Each row comes with its span.
    (sqlite $($source:tt)*) => {
        grouped!(
            "select value ->> 0 as starts, value ->> 1 as ends from json_each($1)",
            "starts",
            "select value from json_each($9)",
            "select value from json_each($10)",
            $($source)*
        )
    };
    // The span of each row is looked up.
    (postgres $($source:tt)*) => {
        grouped!(
            "select array_agg(cast(value ->> 0 as bigint) order by at) as starts \
             from jsonb_array_elements(cast(cast($1 as text) as jsonb)) \
             with ordinality as listed (value, at)",
            "(select starts from span)[width_bucket(time, (select starts from span))]",
            "select jsonb_array_elements_text(cast(cast($9 as text) as jsonb))",
            "select jsonb_array_elements_text(cast(cast($10 as text) as jsonb))",
            $($source)*
        )
    };
    ($spans:literal, $start:literal, $projects:literal, $models:literal, $($source:tt)*) => {
        concat!(
            "with span as (", $spans, ") select ", $start, ", \
             case when $2 = 1 then key else null end, \
             case when $3 = 1 then project else null end, \
             case when $4 = 1 then model else null end, \
             case when $5 = 1 then upstream else null end, \
             case when $6 = 1 then face else null end, \
             case when $7 = 1 then premium else null end, \
             cast(sum(calls) as bigint), cast(sum(requests) as bigint), cast(sum(maybe) as bigint), \
             cast(sum(maybe_units) as bigint), cast(sum(maybe_dollars) as bigint), \
             cast(sum(failed) as bigint), cast(sum(estimated) as bigint), \
             cast(sum(tokens_in) as bigint), cast(sum(tokens_cached) as bigint), \
             cast(sum(tokens_out) as bigint), cast(sum(tokens_reasoning) as bigint), \
             cast(sum(units) as bigint), cast(sum(dollars) as bigint), \
             cast(sum(duration_ms) as bigint) \
             from (", $($source)*, ") as calls \
             where (cast($9 as text) = '[]' or project in (", $projects, ")) \
             and (cast($10 as text) = '[]' or model in (", $models, ")) \
             group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7 limit $11 offset $12"
        )
    };
}

/// Where the rows of a report come from: all that lie from the thirteenth value to the fourteenth.
macro_rules! source {
    // Whole days are those from the fifteenth value to the sixteenth.
    (sums $engine:ident $($keys:tt)*) => {
        concat!(
            rows!($engine "usage_day", "day", sums!(), "$15", "$16", $($keys)*),
            " union all ",
            rows!($engine "usage_hour", "hour", sums!(), "$13", "$15", $($keys)*),
            " union all ",
            rows!($engine "usage_hour", "hour", sums!(), "$16", "$14", $($keys)*)
        )
    };
    (rows $engine:ident $($keys:tt)*) => {
        rows!($engine "ledger", "at", calls!(), "$13", "$14", $($keys)*)
    };
}

/// The rows of a table from one time to another.
macro_rules! rows {
    // One span after the other, so that each is looked up by the table's order.
    (sqlite $table:literal, $at:literal, $columns:ident!(), $from:literal, $to:literal, $($keys:tt)*) => {
        concat!(
            "select starts, ", $columns!(), " from span cross join ", $table, " where ",
            $at, " >= max(starts, ", $from, ") and ", $at, " < min(ends, ", $to, ") and ", $($keys)*
        )
    };
    (postgres $table:literal, $at:literal, $columns:ident!(), $from:literal, $to:literal, $($keys:tt)*) => {
        concat!(
            "select ", $at, " as time, ", $columns!(), " from ", $table, " where ",
            $at, " >= ", $from, " and ", $at, " < ", $to, " and ", $($keys)*
        )
    };
}

/// The names in the eighth value, a list in JSON; all where it is empty.
macro_rules! keys {
    (sqlite some) => {
        "key in (select value from json_each($8))"
    };
    (postgres some) => {
        "key = any (array(select jsonb_array_elements_text(cast(cast($8 as text) as jsonb))))"
    };
    ($engine:ident all) => {
        "cast($8 as text) = '[]'"
    };
}

macro_rules! sums {
    () => {
        "key, project, model, upstream, face, premium, calls, requests, maybe, maybe_units, maybe_dollars, \
         failed, estimated, tokens_in, tokens_cached, tokens_out, tokens_reasoning, units, dollars, \
         duration_ms"
    };
}

/// The same of one call.
macro_rules! calls {
    () => {
        "key, project, model, upstream, face, premium, 1 as calls, requests, \
         case when billed = 'maybe' then 1 else 0 end as maybe, \
         case when billed = 'maybe' then units else 0 end as maybe_units, \
         case when billed = 'maybe' then dollars else 0 end as maybe_dollars, \
         case when outcome = 'ok' then 0 else 1 end as failed, estimated, tokens_in, tokens_cached, \
         tokens_out, tokens_reasoning, units, dollars, duration_ms"
    };
}

impl Ledger {
    /// The lines of a report, by their spans and names. There are no lines for spans without calls.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn report(
        &self,
        report: &Report,
        deadline: Instant,
    ) -> Result<Vec<Found>, StoreError> {
        let report = report.clone();
        let read = async move |transaction: &Transaction<'_>| {
            let sql = report.statement(transaction.is_postgres());
            let span = report.span();
            let days = report.whole_days();
            let spans = report.spans.iter().map(|span| [span.start, span.end]);
            let spans = json(&spans.collect::<Vec<_>>());
            let names = [&report.keys, &report.projects, &report.models].map(json);
            let is_by = |dimension| i64::from(report.by.contains(&dimension)).into();
            let [keys, projects, models] = &names;
            let mut values = vec![
                (&spans).into(),
                is_by(Dimension::Key),
                is_by(Dimension::Project),
                is_by(Dimension::Model),
                is_by(Dimension::Upstream),
                is_by(Dimension::Face),
                is_by(Dimension::Premium),
                keys.into(),
                projects.into(),
                models.into(),
                report.most.into(),
                report.skipped.into(),
                span.start.into(),
                span.end.into(),
            ];
            if report.source == Source::Sums {
                values.extend::<[Value<'_>; 2]>([days.start.into(), days.end.into()]);
            }
            let rows = transaction.query(sql, &values).await?;
            rows.into_iter().map(Found::of).collect()
        };
        self.database.for_reports().read(deadline, read).await
    }
}

impl Report {
    /// From the beginning of the first span to the end of the last.
    fn span(&self) -> Span {
        let ends = self.spans.first().zip(self.spans.last());
        let (start, end) = ends.map_or((0, 0), |(first, last)| (first.start, last.end));
        Span { start, end }
    }

    /// The days of UTC that lie in it whole, each in one span alone; none at its end where some do not.
    fn whole_days(&self) -> Range<i64> {
        let Span { start, end } = self.span();
        let mut between = self.spans.iter().skip(1);
        let first = start.saturating_add(DAY - 1).div_euclid(DAY);
        let days = first.saturating_mul(DAY)..end - end.rem_euclid(DAY);
        match between.all(|span| span.start % DAY == 0) && days.start < days.end {
            true => days,
            false => end..end,
        }
    }

    fn statement(&self, is_postgres: bool) -> &'static str {
        match (is_postgres, self.source, self.keys.is_empty()) {
            (false, Source::Sums, true) => statement!(sums sqlite all),
            (false, Source::Sums, false) => statement!(sums sqlite some),
            (false, Source::Rows, true) => statement!(rows sqlite all),
            (false, Source::Rows, false) => statement!(rows sqlite some),
            (true, Source::Sums, true) => statement!(sums postgres all),
            (true, Source::Sums, false) => statement!(sums postgres some),
            (true, Source::Rows, true) => statement!(rows postgres all),
            (true, Source::Rows, false) => statement!(rows postgres some),
        }
    }
}

fn json<T: serde::Serialize>(values: &Vec<T>) -> String {
    serde_json::to_string(values).unwrap_or_default()
}

impl Found {
    fn of(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            start: row.integer(0)?,
            key: row.optional_text(1)?,
            project: row.optional_text(2)?,
            model: row.optional_text(3)?,
            upstream: row.optional_text(4)?,
            face: row.optional_text(5)?,
            is_premium: row.optional_integer(6)?.map(|premium| premium != 0),
            sums: Sums {
                calls: row.integer(7)?,
                requests: row.integer(8)?,
                maybe: row.integer(9)?,
                maybe_units: row.integer(10)?,
                maybe_dollars: row.integer(11)?,
                failed: row.integer(12)?,
                estimated: row.integer(13)?,
                tokens_in: row.integer(14)?,
                tokens_cached: row.integer(15)?,
                tokens_out: row.integer(16)?,
                tokens_reasoning: row.integer(17)?,
                units: row.integer(18)?,
                dollars: row.integer(19)?,
                duration_ms: row.integer(20)?,
            },
        })
    }
}
