//! The ledger: a row for each call to fal, sums that agree with it and with the budgets, and what
//! becomes of it when the store fails or time goes by.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fal_gateway::config::KeyHash;
use fal_gateway::observe::calls::{Call as Ended, CallKind, Payer, Tokens};
use fal_gateway::store::ledger::{
    Batch, Dimension, Found, Ledger, Place as RowPlace, Report, Source, Span, StoredCall, Sums,
};
use fal_gateway::store::{Database, Transaction, migrations};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Place, places, run};
use crate::support::{Answer, Call, Emulated, Process, Setup, TestGateway, question, until};

const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(super) fn ended(at_ms: i64, key: &str, model: &str, units: i64, billed: &'static str) -> Ended {
    Ended {
        payer: Payer {
            key: key.into(),
            project: "web".into(),
            at_ms,
        },
        face: "chat",
        kind: CallKind::First,
        model: model.to_owned(),
        is_known_model: true,
        upstream: "any-llm",
        tokens: Tokens {
            input: 10,
            cached: 4,
            output: 5,
            reasoning: 2,
            is_estimated: true,
        },
        units,
        dollars: units * 1_000_000,
        is_premium: units > 1000,
        billed,
        counts_request: billed != "no",
        outcome: if billed == "yes" { "ok" } else { "timeout" },
        duration_ms: 100,
        request_id: "req_1".to_owned(),
        fal_request_id: "fal-1".to_owned(),
    }
}

pub(super) fn batch(first_row: i64, calls: Vec<Ended>) -> Arc<Batch> {
    Arc::new(Batch {
        gateway: "gate".into(),
        first_row,
        calls,
    })
}

pub(super) fn rows(database: &Database) -> Vec<StoredCall> {
    let ledger = Ledger::new(database.clone());
    let from = RowPlace::default();
    let read = ledger.rows(&from, i64::MAX, 10_000, soon());
    run(read).unwrap()
}

pub(super) fn report(
    database: &Database,
    by: &[Dimension],
    spans: &[(i64, i64)],
    source: Source,
) -> Vec<Found> {
    let spans = spans.iter().map(|(start, end)| Span {
        start: *start,
        end: *end,
    });
    let report = Report {
        spans: spans.collect(),
        by: by.to_vec(),
        most: 1000,
        source,
        ..Report::default()
    };
    run(Ledger::new(database.clone()).report(&report, soon())).unwrap()
}

pub(super) fn write(database: &Database, batch: &Arc<Batch>) {
    run(Ledger::new(database.clone()).write(batch, soon())).unwrap();
}

/// Row counts of a table, past everything that the ledger says of itself.
pub(super) fn count(database: &Database, sql: &'static str) -> i64 {
    run(
        database.read(soon(), async move |transaction: &Transaction<'_>| {
            transaction.first(sql, &[]).await?.unwrap().integer(0)
        }),
    )
    .unwrap()
}

#[test]
fn a_batch_is_written_once_and_its_sums_with_it() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let odd = "acme/'; drop table ledger; --\u{0}\u{7}".to_owned() + &"x".repeat(900);
        let first = batch(
            1,
            vec![
                ended(DAY + 5, "ci", "openai/gpt-4o", 1000, "yes"),
                ended(DAY + HOUR + 5, "ci", "openai/gpt-4o", 10_000, "maybe"),
                ended(2 * DAY, "web's \"key\"", &odd, 0, "no"),
            ],
        );
        write(&database, &first);
        // As a gateway does that has not heard of its success.
        write(&database, &first);
        write(
            &database,
            &batch(4, vec![ended(DAY + 9, "ci", "m", 1000, "yes")]),
        );
        write(&database, &first);
        let rows = rows(&database);
        assert_eq!(rows.len(), 4, "{place:?}");
        let numbers: Vec<i64> = rows.iter().map(|row| row.place.number).collect();
        assert_eq!(numbers, [1, 4, 2, 3]);
        assert!(
            rows[3]
                .model
                .starts_with("acme/'; drop table ledger; --xxx")
        );
        assert!(rows[3].model.len() <= 256);
        let days = [(DAY, 2 * DAY), (2 * DAY, 3 * DAY)];
        for source in [Source::Sums, Source::Rows] {
            let found = report(&database, &[Dimension::Key], &days, source);
            let keys: Vec<_> = found
                .iter()
                .map(|line| (line.start, line.key.as_deref().unwrap()))
                .collect();
            assert_eq!(keys, [(DAY, "ci"), (2 * DAY, "web's \"key\"")]);
            assert_eq!(
                found[0].sums,
                Sums {
                    calls: 3,
                    requests: 3,
                    maybe: 1,
                    maybe_units: 10_000,
                    maybe_dollars: 10_000_000_000,
                    failed: 1,
                    estimated: 3,
                    tokens_in: 30,
                    tokens_cached: 12,
                    tokens_out: 15,
                    tokens_reasoning: 6,
                    units: 12_000,
                    dollars: 12_000_000_000,
                    duration_ms: 300,
                }
            );
            let all = report(&database, &[], &[(0, i64::MAX)], source);
            assert_eq!((all.len(), all[0].sums.calls), (1, 4));
            assert_eq!((all[0].key.as_ref(), all[0].is_premium), (None, None));
        }
    }
}

#[test]
fn a_report_has_pages_and_tells_apart_and_leaves_out_what_is_asked() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let calls = (0..60).map(|number| {
            let model = format!("m{}", number % 3);
            ended(
                HOUR * (number % 4),
                &format!("k{}", number % 5),
                &model,
                1000,
                "yes",
            )
        });
        write(&database, &batch(1, calls.collect()));
        let ask =
            |report: &Report| run(Ledger::new(database.clone()).report(report, soon())).unwrap();
        let spans: Vec<Span> = (0..4)
            .map(|hour| Span {
                start: hour * HOUR,
                end: (hour + 1) * HOUR,
            })
            .collect();
        let mut report = Report {
            spans,
            by: vec![Dimension::Key, Dimension::Model, Dimension::Premium],
            most: 7,
            ..Report::default()
        };
        let mut pages = Vec::new();
        loop {
            let page = ask(&report);
            report.skipped += page.len() as i64;
            let is_last = page.len() < 7;
            pages.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(pages.len(), 60, "{place:?}");
        let calls: i64 = pages.iter().map(|line| line.sums.calls).sum();
        assert_eq!(calls, 60);
        let told: BTreeSet<_> = pages
            .iter()
            .map(|line| (line.start, line.key.clone(), line.model.clone()))
            .collect();
        assert_eq!(told.len(), 60);
        let only = Report {
            spans: vec![Span { start: 0, end: DAY }],
            keys: vec!["k1".to_owned(), "k2".to_owned(), "' or '1'='1".to_owned()],
            models: vec!["m0".to_owned()],
            most: 10,
            ..Report::default()
        };
        assert_eq!(ask(&only)[0].sums.calls, 8);
        let nobody = Report {
            projects: vec!["x".to_owned()],
            ..only
        };
        assert_eq!(ask(&nobody), []);
    }
}

/// Calls of some days, spread without a pattern, so that hours and days have several and none.
fn scattered() -> Vec<Ended> {
    let calls = (0..400).map(|number: i64| {
        let spread = number * 7_919 % 1_009;
        let at = DAY + spread * (6 * DAY / 1_009) + spread * 37 % HOUR;
        let key = format!("k{}", spread % 3);
        let model = format!("m{}", spread % 2);
        let billed = ["yes", "maybe", "no"][usize::try_from(spread % 3).unwrap()];
        ended(at, &key, &model, 100 * (spread % 20), billed)
    });
    calls.collect()
}

/// Spans that each begin where the one before it ends.
fn spans(ends: &[i64]) -> Vec<Span> {
    let pairs = ends.windows(2).map(|pair| Span {
        start: pair[0],
        end: pair[1],
    });
    pairs.collect()
}

/// Holds what sums say against what rows say, in spans that days fill and in such that they do not.
fn agrees_with_its_rows(database: &Database, place: &Place) {
    let midnights: Vec<i64> = (0..9).map(|day| day * DAY).collect();
    let elsewhere: Vec<i64> = midnights.iter().map(|day| day + 5 * HOUR).collect();
    let hours: Vec<i64> = (30..80).map(|hour| hour * HOUR).collect();
    for ends in [
        midnights,
        elsewhere,
        hours,
        vec![0, 9 * DAY],
        vec![DAY + 3 * HOUR, 5 * DAY + 22 * HOUR],
        vec![2 * DAY + HOUR, 2 * DAY + 5 * HOUR],
        vec![2 * DAY + 23 * HOUR, 3 * DAY + HOUR],
        vec![
            2 * DAY + 13 * HOUR,
            3 * DAY,
            4 * DAY,
            6 * DAY,
            6 * DAY + 7 * HOUR,
        ],
        vec![DAY + 13 * HOUR, 3 * DAY + HOUR, 6 * DAY],
    ] {
        for keys in [vec![], vec!["k0".to_owned(), "k2".to_owned()]] {
            let of = |source| {
                let report = Report {
                    spans: spans(&ends),
                    by: vec![Dimension::Key, Dimension::Model],
                    keys: keys.clone(),
                    most: 10_000,
                    source,
                    ..Report::default()
                };
                run(Ledger::new(database.clone()).report(&report, soon())).unwrap()
            };
            let found = of(Source::Sums);
            assert!(!found.is_empty());
            assert_eq!(found, of(Source::Rows), "{place:?}: {ends:?} {keys:?}");
        }
    }
}

#[test]
fn sums_of_hours_and_of_days_are_those_of_the_rows() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let mut first_row = 1;
        for calls in scattered().chunks(70) {
            write(&database, &batch(first_row, calls.to_vec()));
            first_row += calls.len() as i64;
        }
        agrees_with_its_rows(&database, &place);
    }
}

/// Also while a gateway of the version before still writes sums by the hour and knows of no others.
#[test]
fn what_was_summed_up_before_there_were_days_is_in_them() {
    let (_folder, places) = places();
    for place in places {
        if matches!(place, Place::Memory) {
            continue;
        }
        let database = place.open();
        let is_file = matches!(place, Place::File(_));
        let undo = match is_file {
            true => "drop trigger usage_hour_added; drop trigger usage_hour_changed;",
            false => "drop trigger usage_hour_summed on usage_hour; drop function sum_up_day;",
        };
        assert_eq!(count(&database, "select count(*) from usage_day"), 0);
        place.execute(&format!("{undo} drop table usage_day;"));
        let calls = scattered();
        let (before, since) = calls.split_at(250);
        write(&database, &batch(1, before.to_vec()));
        let step = migrations::MIGRATIONS
            .iter()
            .find(|step| step.name == "usage by day")
            .unwrap();
        place.execute(if is_file { step.sqlite } else { step.postgres });
        write(&database, &batch(251, since.to_vec()));
        assert!(count(&database, "select count(*) from usage_day") > 0);
        agrees_with_its_rows(&database, &place);
    }
}

#[test]
fn what_is_too_old_goes_in_pieces_and_the_sums_stay() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let ledger = Ledger::new(database.clone());
        // Some midnight by the store's clock, and how long ago the days after it began.
        let now =
            run(database.read(soon(), async |transaction| transaction.now_ms().await)).unwrap();
        let first = (now.div_euclid(DAY) - 40) * DAY;
        let age = |day: i64| Duration::from_millis((now - first - day * DAY).unsigned_abs());
        for day in 0..5 {
            let at = first + day * DAY + HOUR;
            let calls = (0..1500).map(|_| ended(at, "ci", "m", 1000, "yes"));
            write(&database, &batch(day * 1500 + 1, calls.collect()));
        }
        let mut pieces = 1;
        while run(ledger.sweep(age(3), None)).unwrap() {
            pieces += 1;
        }
        assert_eq!(
            pieces,
            if matches!(place, Place::Memory | Place::File(_)) {
                3
            } else {
                4
            }
        );
        assert_eq!(count(&database, "select count(*) from ledger"), 3000);
        assert_eq!(
            report(&database, &[], &[(0, first + 9 * DAY)], Source::Sums)[0]
                .sums
                .calls,
            7500
        );
        while run(ledger.sweep(age(9), Some(age(4)))).unwrap() {}
        assert_eq!(count(&database, "select count(*) from ledger"), 0);
        assert_eq!(
            report(&database, &[], &[(0, first + 9 * DAY)], Source::Sums)[0]
                .sums
                .calls,
            1500
        );
        assert_eq!(count(&database, "select count(*) from usage_day"), 1);
        assert_eq!(count(&database, "select count(*) from ledger_writer"), 0);
    }
}

fn settings(place: &Place, setup: Setup, text: &str) -> Setup {
    let settings = place.settings().into_iter();
    settings.fold(setup.file(text), |setup, (name, value)| {
        setup.set(name, &value)
    })
}

fn keys() -> String {
    let [ci, other] = ["ci", "other"].map(KeyHash::of);
    format!(
        "[[keys]]\nname = \"ci\"\nhash = \"{ci}\"\nproject = \"web\"\nbudgets = [\"5000 units/day\", \
         \"900 usd/month\", \"90000000 tok/total\", \"3000 req/week Europe/Amsterdam\"]\n\
         [[keys]]\nname = \"other\"\nhash = \"{other}\"\nproject = \"web\"\n\
         [[projects]]\nname = \"web\"\nbudgets = [\"9000 units/month soft\", \"8000 units/day premium\"]\n"
    )
}

fn chat(key: &str, body: &Value) -> Call {
    Call::chat(body).header("authorization", &format!("Bearer {key}"))
}

/// A question of each kind: answered, refused, cut off, asked again, by several models, for several
/// answers.
fn ask_of_each_kind(gateway: &TestGateway, fal: &Emulated) {
    let ask = |key: &str, body: &Value| -> Answer { gateway.call(&chat(key, body)) };
    for stream in [false, true] {
        assert_eq!(ask("ci", &question("hi", stream)).status, 200);
        assert_eq!(ask("other", &question("hi", stream)).status, 200);
        let mut several = question("hi", stream);
        several["n"] = 3.into();
        assert_eq!(ask("ci", &several).status, 200);
        let mut premium = question("hi", stream);
        premium["model"] = "anthropic/claude-sonnet-4.5".into();
        assert_eq!(ask("ci", &premium).status, 200);
        ask("ci", &question("hi\n/emulate error:rate_limit", stream));
        ask("ci", &question("hi\n/emulate drop:2", stream));
        let mut fallen_back = question("hi", stream);
        fallen_back["model"] = "acme/none".into();
        fallen_back["models"] = json!(["openai/gpt-4o-mini"]);
        assert_eq!(ask("ci", &fallen_back).status, 200);
        let mut tools = question("weather? /emulate tool:none", stream);
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
        tools["tools"] = json!([tool("get_weather"), tool("get_climate")]);
        tools["tool_choice"] = "required".into();
        assert_eq!(ask("ci", &tools).status, 200);
    }
    let mut left = gateway
        .open(&chat("ci", &question("hi\n/emulate gap:50ms size:1", true)))
        .stream();
    left.until("data:");
    left.into_raw().reset();
    fal.ended();
}

/// What fal's stand-in was asked, what the ledger holds and what the budgets say was used agree.
#[test]
fn the_ledger_agrees_with_what_fal_was_asked_and_with_the_budgets() {
    let (_folder, places) = places();
    for place in places {
        if matches!(place, Place::Memory) {
            continue;
        }
        let fal = Emulated::start();
        let gateway = settings(&place, fal.setup(), &keys()).start();
        ask_of_each_kind(&gateway, &fal);
        gateway.begin_stop();
        gateway.finished();
        let database = place.open();
        let rows = rows(&database);
        let asked = fal.requests(0);
        let ids =
            |ids: Vec<&str>| -> BTreeSet<String> { ids.into_iter().map(str::to_owned).collect() };
        let fals = ids(asked
            .iter()
            .map(|call| call["request_id"].as_str().unwrap())
            .collect());
        let told = ids(rows.iter().map(|row| row.fal_request.as_str()).collect());
        assert_eq!(rows.len(), asked.len(), "{place:?}");
        assert_eq!(told, fals);
        let kinds: BTreeSet<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        assert_eq!(
            kinds,
            BTreeSet::from(["choice", "fallback", "first", "reask"])
        );
        let bills: BTreeSet<&str> = rows.iter().map(|row| row.billed.as_str()).collect();
        assert_eq!(bills, BTreeSet::from(["maybe", "no", "yes"]));
        for row in rows.iter().filter(|row| row.billed == "no") {
            assert_eq!(
                (row.units, row.dollars, row.tokens_in),
                (0, 0, 0),
                "{row:?}"
            );
        }
        let used =
            |owner: &'static str, budget: &'static str| {
                run(database.read(soon(), async move |transaction: &Transaction<'_>| {
                let sql = "select used, leased from budget_window where owner = $1 and budget = $2";
                let row = transaction.first(sql, &[owner.into(), budget.into()]).await?;
                let row = row.unwrap();
                Ok((row.integer(0)?, row.integer(1)?))
            }))
            .unwrap()
            };
        let sum = |of: &dyn Fn(&StoredCall) -> i64| rows.iter().map(of).sum::<i64>();
        let ci = |row: &StoredCall, amount: i64| if row.key == "ci" { amount } else { 0 };
        let premium = |row: &StoredCall| if row.is_premium { row.units } else { 0 };
        for (owner, budget, sum) in [
            ("key/ci", "units/day/UTC", sum(&|row| ci(row, row.units))),
            ("key/ci", "usd/month/UTC", sum(&|row| ci(row, row.dollars))),
            (
                "key/ci",
                "tokens/total/UTC",
                sum(&|row| ci(row, row.tokens_in + row.tokens_out)),
            ),
            (
                "key/ci",
                "requests/week/Europe/Amsterdam",
                sum(&|row| ci(row, row.counts_request.into())),
            ),
            ("project/web", "units/month/UTC", sum(&|row| row.units)),
            ("project/web", "units/day/UTC/premium", sum(&premium)),
        ] {
            assert_eq!(used(owner, budget), (sum, 0), "{owner} {budget}");
        }
        let all = report(&database, &[], &[(0, i64::MAX)], Source::Sums)[0].sums;
        assert_eq!(
            all,
            report(&database, &[], &[(0, i64::MAX)], Source::Rows)[0].sums
        );
        assert_eq!(all.units, sum(&|row| row.units));
        assert!(all.maybe > 0 && all.failed > 0 && all.units > 20_000);
    }
}

const WRITTEN: &str = "fal_gateway_ledger_rows_total{outcome=\"written\"}";
const LOST: &str = "fal_gateway_ledger_rows_total{outcome=\"lost\"}";

/// Whoever holds the file lets nobody write. Requests go on, and nothing is lost as long as there is
/// room; beyond it the loss is counted.
#[test]
fn while_the_store_fails_calls_wait_and_what_has_no_room_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("store.sqlite"));
    let fal = Emulated::start();
    let setup = settings(&place, fal.setup(), "").set("ledger.max_waiting", "500");
    let gateway = setup
        .set("limits.max_n", "60")
        .set("limits.max_calls", "60")
        .start();
    assert_eq!(gateway.ask(&question("hi", false)).status, 200);
    gateway.until_metric(WRITTEN, 1.0);
    let Place::File(path) = &place else { return };
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("begin exclusive").unwrap();
    let mut several = question("hi", false);
    several["n"] = 60.into();
    for _ in 0..20 {
        assert_eq!(gateway.ask(&several).status, 200);
    }
    assert_eq!(gateway.metric(WRITTEN), 1.0);
    other.execute_batch("rollback").unwrap();
    let lost = until("every call is written or counted as lost", || {
        let (written, lost) = (gateway.metric(WRITTEN), gateway.metric(LOST));
        (written + lost == 1201.0).then_some(lost)
    });
    // As many wait as may, and at most a batch of 500 is being written.
    assert!((200.0..=700.0).contains(&lost), "{lost}");
    assert_eq!(rows(&place.open()).len() as f64, 1201.0 - lost);
}

/// Nobody waits for a store that holds up the end of the process, and what it costs is said.
#[test]
fn a_stop_says_what_a_store_that_fails_has_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let place = Place::File(path.clone());
    let fal = Emulated::start();
    let setup = place.settings().into_iter();
    let setup = setup.fold(fal.setup(), |setup, (name, value)| setup.set(name, &value));
    let (mut process, address) = Process::serving(&setup);
    let ask = || {
        let mut asking = process.connect(address);
        asking.send(&Call::chat(&question("hi", false)).to_bytes());
        asking.answer().status
    };
    // It lets nobody in before it has read the keys of the store.
    until("an answer", || (ask() == 200).then_some(()));
    let other = rusqlite::Connection::open(path).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("begin exclusive").unwrap();
    assert_eq!(ask(), 200);
    process.until_line("the ledger cannot be written");
    process.signal("TERM");
    process.exit();
    let log = process.log();
    assert!(log.contains("the ledger may lack these calls"), "{log}");
}

/// Whoever hangs up after each question with an invented model does not make the sums grow.
#[test]
fn invented_models_that_nobody_served_are_one_in_the_sums() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("store.sqlite"));
    let fal = Emulated::start();
    let gateway = settings(&place, fal.setup(), "").start();
    for number in 0..3 {
        let mut body = question("hi\n/emulate hang", true);
        body["model"] = format!("a/invented-{number}").into();
        let left = gateway.open(&Call::chat(&body));
        fal.requests(number + 1);
        left.reset();
    }
    gateway.until_metric(WRITTEN, 3.0);
    let database = place.open();
    let bills: BTreeSet<String> = rows(&database).into_iter().map(|row| row.billed).collect();
    assert_eq!(bills, BTreeSet::from(["maybe".to_owned()]));
    let found = report(
        &database,
        &[Dimension::Model],
        &[(0, i64::MAX)],
        Source::Sums,
    );
    let models: Vec<_> = found
        .iter()
        .filter_map(|line| line.model.as_deref())
        .collect();
    assert_eq!((models, found[0].sums.maybe), (vec!["other"], 3));
}

#[test]
fn without_a_store_or_switched_off_there_is_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("store.sqlite"));
    let fal = Emulated::start();
    let gateway = settings(&place, fal.setup(), "")
        .set("ledger.enabled", "false")
        .start();
    assert_eq!(gateway.ask(&question("hi", false)).status, 200);
    gateway.begin_stop();
    gateway.finished();
    assert_eq!(rows(&place.open()), []);
}

/// Rows of windows, leases and gateways that are long over go; what still counts stays.
#[test]
fn what_budgets_no_longer_need_is_forgotten() {
    let (_folder, places) = places();
    for place in places {
        if matches!(place, Place::Memory) {
            continue;
        }
        let database = place.open();
        let now = jiff::Timestamp::now().as_millisecond();
        let put = async move |transaction: &Transaction<'_>| {
            let window = "insert into budget_window (owner, budget, start_at, end_at, wanted, bound, \
                          used, leased, beyond, short_until) values ('key/a', 'units/day/UTC', $1, $2, \
                          9, 9, 1, $3, 0, 0)";
            let lease = "insert into budget_lease (owner, budget, start_at, gateway, drawn, spent, \
                         returned, charged, expires_at) values ('key/a', 'units/day/UTC', $1, 'g', 1, 0, \
                         0, $2, $1)";
            let gateway = "insert into gateway (id, program, seen_at) values ($1, '0', $2)";
            for (days, leased, charged) in [(100, 0, 1), (99, 1, 0), (40, 0, 1), (20, 0, 1)] {
                let start = now - days * DAY;
                let values = [start.into(), (start + DAY).into(), leased.into()];
                transaction.execute(window, &values).await?;
                transaction
                    .execute(lease, &[start.into(), charged.into()])
                    .await?;
            }
            transaction
                .execute(gateway, &["old".into(), (now - 40 * DAY).into()])
                .await?;
            transaction
                .execute(gateway, &["new".into(), (now - DAY).into()])
                .await
        };
        run(database.write(soon(), put)).unwrap();
        let fal = Emulated::start();
        let gateway = settings(&place, fal.setup(), &keys()).start();
        assert_eq!(
            gateway.call(&chat("ci", &question("hi", false))).status,
            200
        );
        let old = "select count(*) from gateway where id = 'old'";
        until("a clean store", || {
            (count(&database, old) == 0).then_some(())
        });
        let windows = "select count(*) from budget_window where owner = 'key/a'";
        let leases = "select count(*) from budget_lease where owner = 'key/a'";
        assert_eq!(
            (count(&database, windows), count(&database, leases)),
            (3, 2),
            "{place:?}"
        );
        assert_eq!(
            count(&database, "select count(*) from gateway where id = 'new'"),
            1
        );
    }
}
