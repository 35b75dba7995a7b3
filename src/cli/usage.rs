//! `fal-gateway usage` and `store export`: what the store says of what was spent.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp, civil};

use super::args::Overrides;
use super::check::BAD_SETTINGS;
use super::sheet::{Cell, Form, Sheet};
use super::store::exit_code;
use super::terminal::tell;
use crate::budget::terms::Zone;
use crate::budget::{Amount, Period, Unit};
use crate::config::{Config, Sources};
use crate::store::ledger::{Dimension, Found, Ledger, Place, Report, Span, StoredCall, Sums};
use crate::store::{Database, StoreError, migrations};

/// How many rows of the ledger are read at once.
const PAGE: i64 = 1000;
/// How many lines of a report: all of it is added up for each page.
const LINES: i64 = 50_000;
/// How many spans of time one report may have: more than a year of hours.
const MAX_SPANS: usize = 10_000;

#[derive(Debug, Args)]
pub struct UsageArgs {
    /// What is told apart: one of hour, day, week and month, and any of the others
    #[arg(
        long,
        value_name = "WORDS",
        value_delimiter = ',',
        default_value = "day"
    )]
    pub by: Vec<By>,
    #[command(flatten)]
    pub time: Time,
    /// How lines are printed
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub format: Form,
    /// The same as --format csv
    #[arg(long)]
    pub csv: bool,
    /// The same as --format ndjson
    #[arg(long, conflicts_with = "csv")]
    pub ndjson: bool,
    #[command(flatten)]
    pub overrides: Overrides,
}

/// From when to when.
#[derive(Debug, Args)]
pub struct Time {
    /// From when: a span such as 7d or 12h, a date, or a time
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub since: String,
    /// Until when, not included [default: now]
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// Whose midnights begin days
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub zone: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    Hour,
    Day,
    Week,
    Month,
    Key,
    Project,
    Model,
    Upstream,
    Api,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub time: Time,
    /// How lines are printed
    #[arg(long, value_name = "FORM", default_value = "csv")]
    pub format: Form,
}

/// Prints what was called and spent. The exit code is 0 if all is well, 1 if the store cannot be used,
/// 2 if the settings or the arguments are wrong.
///
/// # Errors
/// Those of writing.
pub fn usage(args: &UsageArgs, out: &mut impl Write) -> io::Result<u8> {
    let form = match (args.csv, args.ndjson) {
        (true, _) => Form::Csv,
        (_, true) => Form::Ndjson,
        _ => args.format,
    };
    let spans = match args.time.spans(&args.by) {
        Ok(spans) => spans,
        Err(sentence) => return refuse(&sentence),
    };
    on_store(&args.overrides.to_sources(), async |database| {
        let mut out = out;
        print_usage(&database, args, spans, form, &mut out).await
    })
}

/// Prints the rows of the ledger.
///
/// # Errors
/// Those of writing.
pub fn export(args: &ExportArgs, sources: &Sources, out: &mut impl Write) -> io::Result<u8> {
    let (since, until) = match args.time.ends() {
        Ok(ends) => ends,
        Err(sentence) => return refuse(&sentence),
    };
    on_store(sources, async |database| {
        let ledger = Ledger::new(database);
        let mut out = out;
        let mut sheet = Sheet::new(&mut out, args.format, ROW_HEAD.to_vec())?;
        let mut behind = Place {
            at: since.as_millisecond(),
            ..Place::default()
        };
        loop {
            let rows = ledger.rows(&behind, until.as_millisecond(), PAGE, soon());
            let rows = rows.await?;
            let Some(last) = rows.last() else { break };
            behind = last.place.clone();
            for row in rows {
                sheet.add(row_line(row))?;
            }
        }
        sheet.end()?;
        Ok(())
    })
}

fn refuse(sentence: &str) -> io::Result<u8> {
    tell(format_args!("fal-gateway: {sentence}"));
    Ok(BAD_SETTINGS)
}

/// How long the store has for a page: nobody's request waits for it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + PATIENCE
}

/// Why nothing, or not all, was printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Output(#[from] io::Error),
    #[error(
        "the tables of the store have version {0}, and this program reads version {1}: start a gateway of this version, or run `fal-gateway store migrate`"
    )]
    Older(i64, i64),
}

/// Does something on the store of the settings, whose tables stay as they are.
pub(super) fn on_store(
    sources: &Sources,
    work: impl AsyncFnOnce(Database) -> Result<(), Stopped>,
) -> io::Result<u8> {
    let mut settings = match Config::load(sources) {
        Ok(config) => config.store,
        Err(problems) => {
            tell(problems);
            return Ok(BAD_SETTINGS);
        }
    };
    if settings.path.is_none() && settings.url.is_none() {
        return refuse("there is no store to read from; set store.path or store.url.");
    }
    if settings.path.as_ref().is_some_and(|path| !path.exists()) {
        return refuse("the file at store.path is not there; a gateway that starts makes it.");
    }
    settings.timeout = settings.timeout.max(PATIENCE);
    let done = actix_web::rt::System::new().block_on(async {
        let database = Database::open_as_it_is(&settings)?;
        database.reach().await?;
        let (found, known) = (database.status().await?.version(), migrations::newest());
        match found < known {
            true => Err(Stopped::Older(found, known)),
            false => work(database).await,
        }
    });
    match done {
        Ok(()) => Ok(0),
        Err(Stopped::Output(error)) => Err(error),
        Err(older @ Stopped::Older(..)) => refuse(&older.to_string()),
        Err(Stopped::Store(error)) => {
            tell(format_args!("fal-gateway: {error}"));
            Ok(exit_code(&error))
        }
    }
}

impl Time {
    /// From when and until when.
    fn ends(&self) -> Result<(Timestamp, Timestamp), String> {
        let zone = self.zone()?;
        let now = Timestamp::now();
        let since = moment(&self.since, &zone, now)?;
        let until = self.until.as_deref();
        let until = until.map_or(Ok(now), |until| moment(until, &zone, now))?;
        match since < until {
            true => Ok((since, until)),
            false => Err(format!("{since:.0} is not before {until:.0}.")),
        }
    }

    fn zone(&self) -> Result<Zone, String> {
        let unknown = || {
            format!(
                "`{}` is no time zone; write one such as Europe/Amsterdam.",
                self.zone
            )
        };
        Zone::of_name(&self.zone).ok_or_else(unknown)
    }

    /// The spans of a report, one for each hour, day, week or month where that is asked for.
    fn spans(&self, by: &[By]) -> Result<Vec<Span>, String> {
        let (since, until) = self.ends()?;
        let zone = self.zone()?;
        let units: Vec<By> = by.iter().copied().filter(|by| by.is_time()).collect();
        if units.len() > 1 {
            return Err("--by takes one of hour, day, week and month.".to_owned());
        }
        let unit = units.first();
        let mut spans = Vec::new();
        let mut at = since;
        while at < until {
            let end = match unit {
                None => None,
                Some(By::Hour) => {
                    let hour = at.as_millisecond().div_euclid(3_600_000);
                    Timestamp::from_millisecond((hour + 1) * 3_600_000).ok()
                }
                Some(By::Week) => Period::Week.span(at, zone.zone()).end,
                Some(By::Month) => Period::Month.span(at, zone.zone()).end,
                Some(_) => Period::Day.span(at, zone.zone()).end,
            };
            let end = end.map_or(until, |end| end.min(until));
            spans.push(Span {
                start: at.as_millisecond(),
                end: end.as_millisecond(),
            });
            if spans.len() > MAX_SPANS {
                return Err(format!(
                    "that is more than {MAX_SPANS} spans; ask for less time."
                ));
            }
            at = end;
        }
        Ok(spans)
    }
}

/// A time as people write it. What lies within an hour is taken from its beginning, since sums are
/// kept by the hour.
fn moment(text: &str, zone: &Zone, now: Timestamp) -> Result<Timestamp, String> {
    let back = |count: &str, hours: i64| -> Option<Timestamp> {
        let hours = count.parse::<i64>().ok()?.checked_mul(hours)?;
        let start = now
            .checked_sub(SignedDuration::try_from_hours(hours)?)
            .ok()?;
        let hour = start.as_millisecond().div_euclid(3_600_000);
        Timestamp::from_millisecond(hour.checked_mul(3_600_000)?).ok()
    };
    let date = |text: &str| -> Option<Timestamp> {
        let date: civil::Date = text.parse().ok()?;
        Some(date.to_zoned(zone.zone().clone()).ok()?.timestamp())
    };
    let found = text.strip_suffix('d').and_then(|days| back(days, 24));
    let found = found.or_else(|| text.strip_suffix('h').and_then(|hours| back(hours, 1)));
    let found = found.or_else(|| text.parse().ok()).or_else(|| date(text));
    let no = || format!("`{text}` is no time; write 7d, 12h, 2026-11-01 or 2026-11-01T12:00:00Z.");
    found.ok_or_else(no)
}

impl By {
    fn is_time(self) -> bool {
        matches!(self, Self::Hour | Self::Day | Self::Week | Self::Month)
    }

    fn dimension(self) -> Option<Dimension> {
        Some(match self {
            Self::Hour | Self::Day | Self::Week | Self::Month => return None,
            Self::Key => Dimension::Key,
            Self::Project => Dimension::Project,
            Self::Model => Dimension::Model,
            Self::Upstream => Dimension::Upstream,
            Self::Api => Dimension::Face,
        })
    }

    fn head(self) -> &'static str {
        match self {
            Self::Hour | Self::Day | Self::Week | Self::Month => "start",
            Self::Key => "key",
            Self::Project => "project",
            Self::Model => "model",
            Self::Upstream => "upstream",
            Self::Api => "api",
        }
    }
}

const SUMS_HEAD: [&str; 11] = [
    "calls",
    "requests",
    "failed",
    "tokens_in",
    "tokens_cached",
    "tokens_out",
    "tokens_reasoning",
    "units",
    "usd",
    "maybe_units",
    "maybe_usd",
];

async fn print_usage(
    database: &Database,
    args: &UsageArgs,
    spans: Vec<Span>,
    form: Form,
    out: &mut impl Write,
) -> Result<(), Stopped> {
    let ledger = Ledger::new(database.clone());
    let mut by = Vec::new();
    for word in &args.by {
        if !by.contains(word) {
            by.push(*word);
        }
    }
    let zone = args.time.zone().unwrap_or_else(|_| Zone::utc());
    let head = by.iter().map(|by| by.head()).chain(SUMS_HEAD).collect();
    let mut sheet = Sheet::new(out, form, head)?;
    let mut report = Report {
        spans,
        by: by.iter().filter_map(|by| by.dimension()).collect(),
        most: LINES,
        ..Report::default()
    };
    loop {
        let found = ledger.report(&report, soon()).await?;
        let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
        for line in &found {
            let names = by.iter().map(|by| Cell::Text(name(line, *by, &zone)));
            sheet.add(names.chain(sum_cells(&line.sums)).collect())?;
        }
        if count < LINES {
            break;
        }
        report.skipped += count;
    }
    sheet.end()?;
    Ok(())
}

fn name(line: &Found, by: By, zone: &Zone) -> String {
    let start = || {
        let start = Timestamp::from_millisecond(line.start).unwrap_or_default();
        start.to_zoned(zone.zone().clone())
    };
    match by {
        By::Hour => start().strftime("%Y-%m-%dT%H:00%:z").to_string(),
        By::Day | By::Week | By::Month => start().strftime("%Y-%m-%d").to_string(),
        By::Key => line.key.clone().unwrap_or_default(),
        By::Project => line.project.clone().unwrap_or_default(),
        By::Model => line.model.clone().unwrap_or_default(),
        By::Upstream => line.upstream.clone().unwrap_or_default(),
        By::Api => line.face.clone().unwrap_or_default(),
    }
}

fn units(amount: i64) -> Cell {
    Cell::Decimal(Unit::Units.number(Amount(amount)))
}

fn dollars(amount: i64) -> Cell {
    Cell::Decimal(Unit::Dollars.number(Amount(amount)))
}

fn sum_cells(sums: &Sums) -> [Cell; 11] {
    [
        Cell::Count(sums.calls),
        Cell::Count(sums.requests),
        Cell::Count(sums.failed),
        Cell::Count(sums.tokens_in),
        Cell::Count(sums.tokens_cached),
        Cell::Count(sums.tokens_out),
        Cell::Count(sums.tokens_reasoning),
        units(sums.units),
        dollars(sums.dollars),
        units(sums.maybe_units),
        dollars(sums.maybe_dollars),
    ]
}

const ROW_HEAD: [&str; 22] = [
    "at",
    "gateway",
    "number",
    "key",
    "project",
    "model",
    "upstream",
    "kind",
    "api",
    "tokens_in",
    "tokens_cached",
    "tokens_out",
    "tokens_reasoning",
    "estimated",
    "units",
    "usd",
    "billed",
    "counts_request",
    "outcome",
    "duration_ms",
    "request_id",
    "fal_request_id",
];

fn row_line(row: StoredCall) -> Vec<Cell> {
    let at = Timestamp::from_millisecond(row.place.at).unwrap_or_default();
    vec![
        Cell::Text(format!("{at:.3}")),
        Cell::Text(row.place.gateway),
        Cell::Count(row.place.number),
        Cell::Text(row.key),
        Cell::Text(row.project),
        Cell::Text(row.model),
        Cell::Text(row.upstream),
        Cell::Text(row.kind),
        Cell::Text(row.face),
        Cell::Count(row.tokens_in),
        Cell::Count(row.tokens_cached),
        Cell::Count(row.tokens_out),
        Cell::Count(row.tokens_reasoning),
        Cell::Count(row.is_estimated.into()),
        units(row.units),
        dollars(row.dollars),
        Cell::Text(row.billed),
        Cell::Count(row.counts_request.into()),
        Cell::Text(row.outcome),
        Cell::Count(row.duration_ms),
        Cell::Text(row.request),
        Cell::Text(row.fal_request),
    ]
}
