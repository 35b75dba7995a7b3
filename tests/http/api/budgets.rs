//! Budgets of keys and projects, with their books in SQLite.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use fal_gateway::config::KeyHash;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Answer, Call, Emulated, Process, Raw, ScriptedUpstream, Setup, Step, TestGateway, event,
    final_event, question, sse_head, until, whole,
};

fn key(name: &str, more: &str) -> String {
    let hash = KeyHash::of(name);
    format!("[[keys]]\nname = \"{name}\"\nhash = \"{hash}\"\n{more}\n")
}

fn budget(terms: &str) -> String {
    key("ci", &format!("budgets = [\"{terms}\"]"))
}

/// A folder for the books.
struct Books(TempDir);

impl Books {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("books.db")
    }

    fn put(&self, setup: Setup, text: &str) -> Setup {
        let path = self.file().display().to_string();
        setup.file(text).set("store.path", &path)
    }

    /// A settings file with this text, and the setup of processes that read it.
    fn settings(&self, setup: Setup, text: &str) -> (PathBuf, Setup) {
        let file = self.0.path().join("fal-gateway.toml");
        std::fs::write(&file, text).unwrap();
        let path = self.file().display().to_string();
        (file, setup.set("store.path", &path))
    }

    fn open(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    /// What is used and leased of the only window.
    fn window(&self) -> (i64, i64) {
        let sql = "select used, leased from budget_window";
        let both = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.open().query_row(sql, [], both).unwrap()
    }
}

fn chat(key: &str, body: &Value) -> Call {
    Call::chat(body).header("authorization", &format!("Bearer {key}"))
}

fn ask(gateway: &TestGateway, body: &Value) -> Answer {
    gateway.call(&chat("ci", body))
}

/// A whole answer after which the connection is not used again.
fn last() -> Vec<u8> {
    let answer = String::from_utf8(whole("hi")).unwrap();
    let closing = "\r\nconnection: close\r\n";
    answer.replacen("\r\n", closing, 1).into_bytes()
}

/// So many questions at once, whole and streamed by turns, at these gateways by turns; how many were
/// answered, and how many refused for want of budget.
fn crowd(gateways: &[&TestGateway], count: usize) -> (usize, usize) {
    let verdicts: Vec<String> = thread::scope(|scope| {
        let asking: Vec<_> = (0..count)
            .map(|number| {
                let gateway = gateways[number % gateways.len()];
                let body = question("hi", number % 3 == 0);
                scope.spawn(move || {
                    let answer = ask(gateway, &body);
                    match answer.status {
                        200 => "200".to_owned(),
                        _ => answer.verdict(),
                    }
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |wanted: &str| verdicts.iter().filter(|verdict| *verdict == wanted).count();
    let refused = count("429 insufficient_quota insufficient_quota");
    assert_eq!(count("200") + refused, verdicts.len(), "{verdicts:?}");
    (count("200"), refused)
}

#[test]
fn a_crowd_gets_as_many_calls_as_the_budget_allows_and_a_restart_refills_nothing() {
    let (fal, books) = (Emulated::start(), Books::new());
    let gateway = books.put(fal.setup(), &budget("7/day")).start();
    assert_eq!(crowd(&[&gateway], 60), (7, 53));
    assert_eq!(fal.count(), 7);
    let refused = ask(&gateway, &question("hi", false));
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(
        refused.header("x-gateway-limit"),
        Some("key/ci budget units/day/UTC")
    );
    let message = refused.error()["message"].to_string();
    assert!(
        message.contains("7 units/day, of which 7 are used"),
        "{message}"
    );
    gateway.begin_stop();
    gateway.finished();
    assert_eq!(books.window(), (7000, 0));
    let gateway = books.put(fal.setup(), &budget("7/day")).start();
    assert_eq!(crowd(&[&gateway], 3), (0, 3));
    drop(gateway);
    // What is allowed on top can be spent.
    let gateway = books.put(fal.setup(), &budget("9/day")).start();
    assert_eq!(crowd(&[&gateway], 5), (2, 3));
    assert_eq!(fal.count(), 9);
}

#[test]
fn two_gateways_on_the_same_books_spend_no_more_than_one() {
    let (fal, books) = (Emulated::start(), Books::new());
    let start = || books.put(fal.setup(), &budget("7/day")).start();
    let (one, other) = (start(), start());
    assert_eq!(crowd(&[&one, &other], 60), (7, 53));
    assert_eq!(fal.count(), 7);
    drop(one);
    // The other goes on, and what the first has left over is not lost.
    assert_eq!(crowd(&[&other], 3), (0, 3));
}

#[test]
fn every_api_has_its_words_for_an_empty_budget() {
    let (fal, books) = (Emulated::start(), Books::new());
    let gateway = books.put(fal.setup(), &budget("1/total")).start();
    assert_eq!(ask(&gateway, &question("hi", true)).status, 200);
    let post = |path: &str, body: Value| {
        let call = Call::new("POST", path)
            .header("authorization", "Bearer ci")
            .header("content-type", "application/json");
        gateway.call(&call.body(body.to_string()))
    };
    let model = "openai/gpt-4o-mini";
    let completion = post("/v1/completions", json!({"model": model, "prompt": "hi"}));
    assert_eq!(
        completion.verdict(),
        "429 insufficient_quota insufficient_quota"
    );
    let response = post("/v1/responses", json!({"model": model, "input": "hi"}));
    assert_eq!(
        response.verdict(),
        "429 insufficient_quota insufficient_quota"
    );
    let messages = json!([{"role": "user", "content": "hi"}]);
    let message = json!({"model": model, "max_tokens": 9, "messages": messages});
    let message = post("/v1/messages", message);
    assert_eq!(message.status, 402);
    assert_eq!(message.json()["error"]["type"], "billing_error");
    assert_eq!(fal.count(), 1);
}

#[test]
fn choices_and_the_premium_rate_are_counted_and_what_cannot_fit_is_not_sent() {
    let (fal, books) = (Emulated::start(), Books::new());
    let gateway = books.put(fal.setup(), &budget("13 units/month")).start();
    let with = |model: &str, n: usize| {
        let mut body = question("hi", false);
        body["model"] = model.into();
        body["n"] = n.into();
        ask(&gateway, &body)
    };
    let left = |answer: &Answer| {
        let said = answer.header("x-gateway-budget-remaining").unwrap();
        let (units, resets) = said.split_once("; ").unwrap();
        assert!(resets.starts_with("resets=2"), "{said}");
        units.strip_prefix("units=").unwrap().to_owned()
    };
    let first = with("openai/gpt-4o-mini", 2);
    assert_eq!((first.status, left(&first)), (200, "11".to_owned()));
    let premium = with("anthropic/claude-sonnet-4.5", 1);
    assert_eq!((premium.status, left(&premium)), (200, "1".to_owned()));
    let refused = with("anthropic/claude-sonnet-4.5", 1);
    assert_eq!((refused.status, left(&refused)), (429, "1".to_owned()));
    assert_eq!(with("openai/gpt-4o-mini", 2).status, 429);
    assert_eq!(with("openai/gpt-4o-mini", 1).status, 200);
    assert_eq!(with("openai/gpt-4o-mini", 1).status, 429);
    assert_eq!(fal.count(), 4);
}

#[test]
fn a_budget_for_premium_models_leaves_the_others_alone_and_a_soft_one_all() {
    let (fal, books) = (Emulated::start(), Books::new());
    let text = key("ci", "budgets = [\"10/day premium\", \"1 req/day soft\"]");
    let gateway = books.put(fal.setup(), &text).start();
    let with = |model: &str| {
        let mut body = question("hi", false);
        body["model"] = model.into();
        ask(&gateway, &body).status
    };
    assert_eq!(with("anthropic/claude-sonnet-4.5"), 200);
    assert_eq!(with("anthropic/claude-sonnet-4.5"), 429);
    for _ in 0..3 {
        assert_eq!(with("openai/gpt-4o-mini"), 200);
    }
}

/// How long a video is nobody knows before fal does.
#[test]
fn a_video_is_reckoned_to_be_as_long_as_the_model_takes() {
    let (fal, books) = (Emulated::start(), Books::new());
    let setup = books.put(fal.setup(), &budget("0.05 usd/day"));
    let gateway = setup.set("fal.upstream", "router").start();
    let with = |parts: Value| {
        let mut body = question("", false);
        body["model"] = "google/gemini-2.5-flash".into();
        body["max_tokens"] = 10.into();
        body["messages"] = json!([{"role": "user", "content": parts}]);
        ask(&gateway, &body)
    };
    let text = json!({"type": "text", "text": "echo hi"});
    let url = json!({"url": "https://example.com/a.mp4"});
    assert_eq!(with(json!([text])).status, 200);
    let refused = with(json!([text, {"type": "video_url", "video_url": url}]));
    assert!(
        refused.verdict().ends_with("insufficient_quota"),
        "{}",
        refused.text()
    );
    assert_eq!(fal.count(), 1);
}

#[test]
fn what_was_not_paid_is_there_again_and_what_may_have_been_is_not() {
    let failed = b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let fal = ScriptedUpstream::with(move |number| match number {
        0..3 => vec![Step::Read, Step::Write(failed.clone()), Step::Close],
        3 => vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(event("one")),
            Step::Hold,
        ],
        _ => vec![Step::Read, Step::Write(last()), Step::Close],
    });
    let books = Books::new();
    let gateway = books.put(fal.setup(), &budget("2/day")).start();
    for _ in 0..3 {
        assert_eq!(ask(&gateway, &question("hi", false)).status, 503);
    }
    let mut left = gateway.open(&chat("ci", &question("hi", true))).stream();
    left.until("one");
    left.into_raw().reset();
    fal.until_closed();
    until("the books", || (books.window().0 == 1000).then_some(()));
    assert_eq!(ask(&gateway, &question("hi", false)).status, 200);
    assert_eq!(ask(&gateway, &question("hi", false)).status, 429);
    assert_eq!(fal.requests(), 5);
}

/// A key's budget and its project's both have to have room, and what one refuses takes nothing from
/// the other.
#[test]
fn all_budgets_on_the_way_have_to_have_room() {
    let (fal, books) = (Emulated::start(), Books::new());
    let text = key(
        "ci",
        "project = \"web\"\nbudgets = [\"2/day\", \"100 tok/total soft\"]",
    ) + &key("other", "project = \"web\"")
        + "[[projects]]\nname = \"web\"\nbudgets = [\"3 req/week Europe/Amsterdam\"]\n";
    let gateway = books.put(fal.setup(), &text).start();
    let with = |key: &str| gateway.call(&chat(key, &question("hi", false)));
    for _ in 0..2 {
        assert_eq!(with("ci").status, 200);
    }
    for _ in 0..3 {
        let refused = with("ci");
        assert_eq!(
            refused.header("x-gateway-limit"),
            Some("key/ci budget units/day/UTC")
        );
    }
    assert_eq!(with("other").status, 200);
    let refused = with("other");
    let limit = "project/web budget requests/week/Europe/Amsterdam";
    assert_eq!(refused.header("x-gateway-limit"), Some(limit));
    assert_eq!(fal.count(), 3);
}

/// Whoever holds the file lets nobody else write. What was drawn can be spent all the same, and
/// nothing waits for long.
#[test]
fn while_the_store_is_gone_what_was_drawn_is_spent_and_nothing_beyond_it() {
    let (fal, books) = (Emulated::start(), Books::new());
    let text = budget("100000/day") + &key("free", "");
    let gateway = books.put(fal.setup(), &text).start();
    // A busy gateway holds some.
    let held = || {
        assert_eq!(crowd(&[&gateway], 20), (20, 0));
        let spent = i64::try_from(fal.count()).unwrap() * 1000;
        let all_told = || Some(books.window()).filter(|(used, _)| *used == spent);
        (until("the books", all_told).1 >= 3000).then_some(())
    };
    until("a lease", held);
    let other = books.open();
    other.execute_batch("begin exclusive").unwrap();
    let mut served = 0;
    let refused = until("the end of the lease", || {
        let answer = ask(&gateway, &question("hi", false));
        served += usize::from(answer.status == 200);
        (answer.status != 200).then_some(answer)
    });
    assert!(served >= 1);
    assert_eq!(refused.verdict(), "503 server_error store_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let free = gateway.call(&chat("free", &question("hi", false)));
    assert_eq!(free.status, 200);
    assert_eq!(gateway.get("/readyz").status, 200);
    other.execute_batch("rollback").unwrap();
    until("an answer", || {
        (ask(&gateway, &question("hi", false)).status == 200).then_some(())
    });
}

fn ask_at(address: SocketAddr) -> Option<u16> {
    let call = chat("ci", &question("hi", false)).header("connection", "close");
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(&call.to_bytes()).ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// However often a gateway is killed in the middle of its work, no more is spent than may be.
#[test]
fn whoever_is_killed_takes_no_more_along_than_he_had_drawn() {
    let (fal, books) = (Emulated::start(), Books::new());
    let (file, setup) = books.settings(fal.setup(), &budget("40/day"));
    let mut answered = 0;
    for round in 0..4 {
        let (mut process, address) = Process::serving_from(&file, &setup);
        let count = thread::scope(|scope| {
            let asking: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let answers = (0..4).filter_map(|_| ask_at(address));
                        answers.filter(|status| *status == 200).count()
                    })
                })
                .collect();
            if round < 3 {
                until("a call", || (fal.count() > answered + 3).then_some(()));
                process.signal("KILL");
                process.exit();
            }
            let counts = asking.into_iter().map(|one| one.join().unwrap());
            counts.sum::<usize>()
        });
        assert!(count <= 16);
        answered = fal.count();
        assert!(answered <= 40);
        let (used, leased) = books.window();
        assert!(used + leased <= 40_000);
    }
}

/// A machine may be suspended for a while, and know nothing of it.
#[test]
fn whoever_was_stopped_for_a_while_spends_no_more_than_he_had_drawn() {
    let (fal, books) = (Emulated::start(), Books::new());
    let (file, setup) = books.settings(fal.setup(), &budget("40/day"));
    let (stopped, one) = Process::serving_from(&file, &setup);
    let (_other, other) = Process::serving_from(&file, &setup);
    assert_eq!(ask_at(one), Some(200));
    stopped.signal("STOP");
    until("the end of what the other may draw", || {
        (ask_at(other)? != 200).then_some(())
    });
    assert!(fal.count() <= 40);
    stopped.signal("CONT");
    until("the end of the budget", || {
        ([one, other].map(ask_at) == [Some(429); 2]).then_some(())
    });
    assert_eq!(fal.count(), 40);
}

#[test]
fn a_call_is_charged_though_its_limit_is_lowered_and_its_key_is_gone_meanwhile() {
    let (fal, books) = (
        ScriptedUpstream::start(vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(event("one")),
            Step::Gate(1),
            Step::Write(final_event("one two")),
        ]),
        Books::new(),
    );
    let (file, setup) = books.settings(fal.setup(), &budget("10/day"));
    let (mut process, address) = Process::serving_from(&file, &setup);
    let mut raw = Raw::connect(address);
    raw.send(&chat("ci", &question("hi", true)).to_bytes());
    let mut stream = raw.stream();
    stream.until("one");
    let changes = [(budget("1/day"), 429), (key("another", ""), 401)];
    for (number, (text, status)) in (1..).zip(changes) {
        std::fs::write(&file, text).unwrap();
        process.signal("HUP");
        until("the new settings", || {
            (process.log().matches("settings taken up").count() >= number).then_some(())
        });
        assert_eq!(ask_at(address), Some(status));
    }
    fal.open_gate();
    assert!(stream.rest().0.contains("[DONE]"));
    process.signal("TERM");
    process.exit();
    assert_eq!(books.window(), (1000, 0));
}

#[test]
fn budgets_without_a_store_get_one_beside_the_settings_and_it_is_said() {
    let (fal, books) = (Emulated::start(), Books::new());
    let file = books.0.path().join("team.toml");
    std::fs::write(&file, budget("2/day")).unwrap();
    let (process, address) = Process::serving_from(&file, &fal.setup());
    let database = file.with_extension("db");
    assert!(
        process.log().contains(&database.display().to_string()),
        "{}",
        process.log()
    );
    assert!(Path::new(&database).exists());
    let served: Vec<_> = (0..3).map(|_| ask_at(address)).collect();
    assert_eq!(served, [Some(200), Some(200), Some(429)]);
    drop(process);
    // What it held when it died is not waited for for long.
    let (_process, address) = Process::serving_from(&file, &fal.setup());
    until("a refusal", || (ask_at(address)? == 429).then_some(()));
    assert_eq!(fal.count(), 2);
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;
    use crate::support::{PostgresServer, Relay};

    fn put(setup: Setup, address: &str, text: &str) -> Setup {
        setup.file(text).set("store.url", address)
    }

    #[test]
    fn gateways_on_one_database_spend_no_more_than_one() {
        let (fal, database) = (Emulated::start(), PostgresServer::database());
        let start = || put(fal.setup(), &database, &budget("7/day")).start();
        let gateways = [start(), start(), start()];
        let all: Vec<&TestGateway> = gateways.iter().collect();
        assert_eq!(crowd(&all, 90), (7, 83));
        assert_eq!(fal.count(), 7);
    }

    /// What one gateway has drawn and does not need, another gets when nobody else has any.
    #[test]
    fn nothing_is_stranded_while_somebody_asks_for_it() {
        let (fal, database) = (Emulated::start(), PostgresServer::database());
        let start = || put(fal.setup(), &database, &budget("200/day")).start();
        let (one, other) = (start(), start());
        assert_eq!(crowd(&[&one], 60), (60, 0));
        let mut served = 60;
        until("the end of the budget", || {
            let answer = ask(&other, &question("hi", false));
            served += usize::from(answer.status == 200);
            (answer.status == 429).then_some(())
        });
        assert_eq!((served, fal.count()), (200, 200));
    }

    /// One of two gateways loses the database, in both ways, again and again.
    #[test]
    fn whoever_is_cut_off_spends_what_he_has_drawn_and_no_more() {
        let (fal, database) = (Emulated::start(), PostgresServer::database());
        let (line, over) = Relay::to(&database);
        let text = budget("120/day");
        let cut_off = put(fal.setup(), &over, &text).start();
        let whole = put(fal.setup(), &database, &text).start();
        assert_eq!(ask(&cut_off, &question("hi", false)).status, 200);
        for round in 0..4 {
            match round % 2 {
                0 => line.stall(),
                _ => line.cut(),
            }
            thread::scope(|scope| {
                for gateway in [&cut_off, &whole] {
                    scope.spawn(move || {
                        for _ in 0..12 {
                            let status = ask(gateway, &question("hi", false)).status;
                            assert!([200, 429, 503].contains(&status), "{status}");
                        }
                    });
                }
            });
            line.flow();
        }
        assert!(fal.count() <= 120);
        until("the end of the budget", || {
            let answers = [&cut_off, &whole].map(|gateway| ask(gateway, &question("hi", false)));
            answers
                .iter()
                .all(|answer| answer.status == 429)
                .then_some(())
        });
        assert_eq!(fal.count(), 120);
    }
}
