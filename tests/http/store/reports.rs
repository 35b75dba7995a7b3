//! What an operator and a caller are told of what was spent: `fal-gateway usage`, `budgets`, `store
//! export`, and `GET /v1/key`.

use std::process::{Command, Output};

use fal_gateway::accounts::keys::{self as tables, Change};
use fal_gateway::accounts::{Retention, keep_ledger_short};
use fal_gateway::config::KeyHash;
use fal_gateway::store::{Database, migrations};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Place, places, run};
use crate::contract::description::Judge;
use crate::support::{Answer, Call, Emulated, Process, TestGateway, question, until};

fn keys() -> String {
    let [ci, other] = ["ci", "other"].map(KeyHash::of);
    format!(
        "[[keys]]\nname = \"ci\"\nhash = \"{ci}\"\nproject = \"@web\"\nexpires = 2099-01-31\n\
         requests_per_minute = 60\nconcurrency = 4\nscopes = [\"inference\"]\n\
         budgets = [\"100/day\", \"5 usd/month Europe/Amsterdam soft\"]\n\
         [[keys]]\nname = \"other\"\nhash = \"{other}\"\n\
         [[projects]]\nname = \"@web\"\nbudgets = [\"10 req/total\"]\n"
    )
}

fn chat(key: &str, body: &Value) -> Call {
    Call::chat(body).header("authorization", &format!("Bearer {key}"))
}

fn own_key(gateway: &TestGateway, key: &str) -> Answer {
    gateway.call(&Call::get("/v1/key").header("authorization", &format!("Bearer {key}")))
}

fn tool(place: &Place, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
    command.args(arguments).env_clear();
    for (name, value) in place.settings() {
        let variable = name.to_uppercase().replace('.', "__");
        command.env(format!("FAL_GATEWAY__{variable}"), value);
    }
    command.current_dir(std::env::temp_dir()).output().unwrap()
}

fn printed(place: &Place, arguments: &[&str]) -> String {
    let output = tool(place, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_was_spent_is_shown_to_the_operator_and_to_the_caller() {
    let (_folder, places) = places();
    for place in places {
        if matches!(place, Place::Memory) {
            continue;
        }
        let fal = Emulated::start();
        let setup = place.settings().into_iter();
        let setup = setup.fold(fal.setup().file(&keys()), |setup, (name, value)| {
            setup.set(name, &value)
        });
        let gateway = setup.set("auth.max_failures", "0").start();
        for number in 0..3 {
            assert_eq!(
                gateway
                    .call(&chat("ci", &question("hi", number == 1)))
                    .status,
                200
            );
        }
        let mut premium = question("hi", false);
        premium["model"] = "anthropic/claude-sonnet-4.5".into();
        assert_eq!(gateway.call(&chat("other", &premium)).status, 200);
        let shown = until("the ledger", || {
            let answer = own_key(&gateway, "ci");
            let data = &answer.json()["data"];
            let is_told = data["usage"]["today"]["requests"] == 3;
            let used = [0, 1, 2].map(|at| data["budgets"][at]["used"].as_f64());
            (is_told && used == [Some(3.0), Some(0.003), Some(3.0)]).then_some(answer)
        });
        let judge = Judge::new();
        assert_eq!(judge.schema_faults("OwnKey", &shown.json()), [""; 0]);
        let data = &shown.json()["data"];
        assert_eq!(
            (&data["label"], &data["project"]),
            (&json!("ci"), &json!("@web"))
        );
        assert_eq!(data["expires_at"], "2099-01-31T00:00:00Z");
        assert_eq!(data["scopes"], json!(["inference"]));
        assert_eq!(data["limits"][0]["requests_per_minute"]["limit"], 60);
        assert_eq!(data["limits"][0]["requests_per_minute"]["remaining"], 57);
        let budgets: Vec<_> = data["budgets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|budget| {
                (
                    budget["owner"].as_str().unwrap(),
                    budget["used"].clone(),
                    budget["remaining"].clone(),
                )
            })
            .collect();
        assert_eq!(
            budgets,
            [
                ("key/ci", json!(3.0), json!(97.0)),
                ("key/ci", json!(0.003), json!(4.997)),
                ("project/@web", json!(3.0), json!(7.0)),
            ]
        );
        assert_eq!(data["usage"]["month"]["usd"], 0.003);
        assert!(!shown.text().contains("sha256"));
        let other = own_key(&gateway, "other").json();
        assert_eq!(other["data"]["usage"]["today"]["units"], 10.0);
        assert_eq!(
            (&other["data"]["budgets"], &other["data"]["limits"]),
            (&json!([]), &json!([]))
        );
        let stored = printed(
            &place,
            &["keys", "new", "--name", "stored", "--budget", "5/day"],
        );
        let stored = until("the new key", || {
            let answer = own_key(&gateway, stored.trim());
            (answer.status == 200).then(|| answer.json())
        });
        assert_eq!(stored["data"]["label"], "stored");
        assert_eq!(stored["data"]["budgets"][0]["remaining"], 5.0);
        assert_eq!(own_key(&gateway, "nobody").status, 401);
        assert_eq!(gateway.get("/v1/key").status, 401);
        gateway.begin_stop();
        gateway.finished();

        let by_key = printed(&place, &["usage", "--by", "key,project", "--csv"]);
        let lines: Vec<&str> = by_key.lines().collect();
        assert!(
            lines[0].starts_with("key,project,calls,requests,failed,"),
            "{by_key}"
        );
        assert!(lines[1].starts_with("ci,'@web,3,3,0,"), "{by_key}");
        assert!(lines[1].ends_with(",3,0.003,0,0"), "{by_key}");
        assert!(lines[2].starts_with("other,,1,1,0,"), "{by_key}");
        let by_day = printed(
            &place,
            &[
                "usage",
                "--ndjson",
                "--by",
                "month,model",
                "--zone",
                "Asia/Kolkata",
            ],
        );
        let calls: i64 = by_day
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["calls"]
                    .as_i64()
                    .unwrap()
            })
            .sum();
        assert_eq!(calls, 4);
        let table = printed(&place, &["usage"]);
        assert_eq!(table.lines().count(), 2, "{table}");
        let rows = printed(
            &place,
            &["store", "export", "--format", "ndjson", "--since", "1d"],
        );
        let rows: Vec<Value> = rows
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), 4);
        assert_eq!(
            (&rows[0]["key"], &rows[0]["billed"]),
            (&json!("ci"), &json!("yes"))
        );
        assert_eq!(rows[3]["units"], 10.0);
        let csv = printed(&place, &["store", "export"]);
        assert_eq!(csv.lines().count(), 5, "{csv}");
        let budgets = printed(&place, &["budgets", "--format", "csv"]);
        assert!(
            budgets.contains("key/ci,units/day/UTC,100,3,97,"),
            "{budgets}"
        );
        assert!(
            budgets.contains("key/ci,usd/month/Europe/Amsterdam,,0.003,,"),
            "{budgets}"
        );
        assert!(
            budgets.contains("project/@web,requests/total/UTC,10,3,7,"),
            "{budgets}"
        );
        for wrong in [
            &["usage", "--by", "day,month"][..],
            &["usage", "--since", "soon"],
            &["usage", "--zone", "Nowhere/Else"],
            &["usage", "--by", "hour", "--since", "2001-01-01"],
        ] {
            let refused = tool(&place, wrong);
            assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
            assert!(!refused.stderr.is_empty());
        }
    }
}

#[test]
fn without_a_store_it_is_said_and_the_key_is_shown_all_the_same() {
    let refused = tool(&Place::Memory, &["usage"]);
    assert_eq!(refused.status.code(), Some(2));
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let answer = gateway.get("/v1/key");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["data"]["label"], Value::Null);
    let hash = KeyHash::of("ci");
    let keyed = format!("[[keys]]\nname = \"ci\"\nhash = \"{hash}\"\n");
    let gateway = fal.setup().file(&keyed).start();
    let data = &own_key(&gateway, "ci").json()["data"];
    assert_eq!(
        (&data["label"], &data["usage"]),
        (&json!("ci"), &Value::Null)
    );
}

#[test]
fn the_console_shows_the_last_days_and_the_keys() {
    let (folder, _) = places();
    let place = Place::File(folder.path().join("console.sqlite"));
    let fal = Emulated::start();
    let setup = place.settings().into_iter();
    let gateway = setup
        .fold(fal.setup(), |setup, (name, value)| setup.set(name, &value))
        .start();
    let usage = Call::get("/console/v1/usage");
    assert_eq!(gateway.call(&usage).status, 403);
    let usage = usage.header("x-console", "1");
    assert_eq!(gateway.ask(&question("hi", false)).status, 200);
    let shown = until("the ledger", || {
        let shown = gateway.call(&usage).json();
        // Both are read one after the other, and the row may come between them.
        let is_there = shown["keys"][0]["requests"] == 1 && shown["days"][29]["requests"] == 1;
        is_there.then_some(shown)
    });
    let days = shown["days"].as_array().unwrap();
    assert_eq!(
        (days.len(), &days[29]["requests"]),
        (30, &json!(1)),
        "{shown}"
    );
    assert_eq!(
        (&days[29]["units"], &days[0]["calls"]),
        (&json!(1.0), &json!(0))
    );
    assert_eq!(shown["keys"][0]["name"], "");
    let without = fal.setup().start();
    assert_eq!(without.call(&usage).json(), json!({"kept": false}));
}

fn changes(database: &Database) -> Vec<Change> {
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let read = database.read(soon, async |transaction| {
        tables::changes(transaction, "project/@web", i64::MAX, 10).await
    });
    run(read).unwrap()
}

#[test]
fn what_an_operator_knows_better_counts_at_once_and_is_written_down() {
    let (_folder, places) = places();
    for place in places.iter().skip(1) {
        let fal = Emulated::start();
        let setup = place.settings().into_iter();
        let setup = setup.fold(fal.setup().file(&keys()), |setup, (name, value)| {
            setup.set(name, &value)
        });
        let gateway = setup.start();
        let asked = || gateway.call(&chat("ci", &question("hi", false))).status;
        let met = |status: u16| until("the budget is met", || (asked() == status).then_some(()));
        let used = |number: f64| {
            until("the books", || {
                let data = &own_key(&gateway, "ci").json()["data"];
                (data["budgets"][2]["used"] == number).then_some(())
            });
        };
        assert_eq!(asked(), 200);
        used(1.0);
        for (words, said) in [
            (&["key/ci", "+1"][..], "`units/day/UTC`"),
            (&["project/@web", "x"], "Invalid amount"),
            (&["project/@web", "0"], "Invalid amount"),
            (&["project/@web", "+0.5"], "Invalid amount"),
            (&["key/nobody", "+1"], "key/nobody"),
            (&["key/ci", "+1", "--budget", "units/week/UTC"], "key/ci"),
        ] {
            let output = tool(place, &[&["budgets", "adjust"], words].concat());
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{words:?}: {complaint}");
            assert!(complaint.contains(said), "{words:?}: {complaint}");
        }
        let adjust = ["budgets", "adjust", "project/@web"];
        let more = printed(place, &[&adjust[..], &["+9", "--note", "invoice"]].concat());
        assert!(more.contains("requests/total/UTC"), "{more}");
        met(429);
        printed(place, &[&adjust[..], &["-100"]].concat());
        met(200);
        drop(gateway);
        let database = place.open();
        let shown: Vec<Value> = changes(&database).iter().map(Change::shown).collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        let first = &shown[1];
        assert_eq!(
            (
                &first["action"],
                &first["operator"],
                &first["after"]["note"]
            ),
            (
                &json!("budgets.adjust"),
                &json!("command line"),
                &json!("invoice")
            )
        );
        let [before, after] = ["before", "after"].map(|side| first[side]["used"].clone());
        assert_eq!((before, after), (json!(1.0), json!(10.0)));
        assert_eq!(first["after"]["adjusted"], 9.0);
        forgotten(&database);
    }
}

/// Changes are kept for ever, or as long as is said.
fn forgotten(database: &Database) {
    let sweep = |changes: Option<std::time::Duration>| {
        let stop = CancellationToken::new();
        stop.cancel();
        let year = std::time::Duration::from_secs(31_536_000);
        let retention = move || Retention {
            rows: year,
            sums: None,
            changes,
        };
        run(keep_ledger_short(database.clone(), retention, stop));
        changes_left(database)
    };
    assert_eq!(sweep(None), 2);
    assert_eq!(sweep(Some(std::time::Duration::from_secs(3600))), 2);
    assert_eq!(sweep(Some(std::time::Duration::ZERO)), 0);
}

fn changes_left(database: &Database) -> usize {
    changes(database).len()
}

/// Five requests of ten, three more behind a restart, and the last two: each alert comes once for each budget.
#[test]
fn an_operator_is_told_once_how_much_of_a_budget_is_used() {
    let hash = KeyHash::of("ci");
    let keys = format!(
        "[[keys]]\nname = \"ci\"\nhash = \"{hash}\"\n\
         budgets = [\"10 req/total\", \"0.01 usd/total soft\"]\n"
    );
    let alerts = |percent| format!("fal_gateway_budget_alerts_total{{percent=\"{percent}\"}}");
    let (_folder, places) = places();
    for place in places {
        if matches!(place, Place::Memory) {
            continue;
        }
        let fal = Emulated::start();
        let setup = || {
            let settings = place.settings().into_iter();
            settings.fold(fal.setup().file(&keys), |setup, (name, value)| {
                setup.set(name, &value)
            })
        };
        for (requests, percent) in [(5, 50), (3, 80), (2, 100)] {
            let gateway = setup().start();
            for _ in 0..requests {
                let answer = gateway.call(&chat("ci", &question("hi", false)));
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            gateway.until_metric(&alerts(percent), 2.0);
            let all: f64 = [50, 80, 100]
                .map(|percent| gateway.metric(&alerts(percent)))
                .iter()
                .sum();
            assert_eq!(all, 2.0, "{place:?} {percent}");
            gateway.begin_stop();
            gateway.finished();
        }
    }
}

#[test]
fn an_alert_names_the_budget_and_what_is_used_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let hash = KeyHash::of("ci");
    let keys = format!("[[keys]]\nname = \"ci\"\nhash = \"{hash}\"\nbudgets = [\"4 units/day\"]\n");
    let fal = Emulated::start();
    let path = folder.path().join("store.sqlite").display().to_string();
    let file = folder.path().join("fal-gateway.toml");
    std::fs::write(&file, keys).unwrap();
    let setup = fal.setup().set("store.path", &path);
    let (process, address) = Process::serving_from(&file, &setup);
    let ask = || {
        let mut asking = process.connect(address);
        asking.send(&chat("ci", &question("hi", false)).to_bytes());
        asking.answer().status
    };
    // It lets nobody in before it has read the keys of the store.
    until("an answer", || (ask() == 200).then_some(()));
    assert_eq!(ask(), 200);
    let line = process.until_line("\"percent\":50");
    let line: Value = serde_json::from_str(&line).unwrap();
    let told = ["level", "owner", "budget", "used", "limit"].map(|name| line[name].clone());
    assert_eq!(told, ["WARN", "key/ci", "units/day/UTC", "2", "4"]);
    assert!(line["resets_at"].as_str().unwrap().ends_with("T00:00:00Z"));
}

/// The command line of a new version may come before its gateways.
#[test]
fn a_store_of_an_earlier_version_is_named_and_how_to_bring_it_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let store = rusqlite::Connection::open(&path).unwrap();
    let steps = migrations::MIGRATIONS.iter();
    for step in steps.filter(|step| step.name != "usage by day" && step.number < 19) {
        store.execute_batch(step.sqlite).unwrap();
        let note = "insert into schema_version values (?1, ?2, 0, '0.1.0')";
        store.execute(note, (step.number, step.name)).unwrap();
    }
    let place = Place::File(path);
    for arguments in [&["usage"][..], &["budgets"], &["store", "export"]] {
        let output = tool(&place, arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(
            told.contains("have version 17") && told.contains("store migrate"),
            "{told}"
        );
    }
    printed(&place, &["store", "migrate"]);
    printed(&place, &["usage"]);
}
