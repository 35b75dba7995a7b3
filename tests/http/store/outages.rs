//! What becomes of budgets, keys and the ledger when a server is restarted, a disk is full, a clock is
//! off, or a gateway is killed.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use fal_gateway::access::secret::Secret;
use fal_gateway::accounts::keys::{Condition, add_key};
use fal_gateway::config::KeyHash;
use fal_gateway::store::Transaction;
use serde_json::{Value, json};

use super::killed::lasting;
use super::ledger::soon;
use super::rounds::{keys, overspent, rows};
use super::{Place, run};
use crate::support::{Answer, Call, Emulated, Process, Raw, Setup, question};

fn on(place: &Place, setup: Setup) -> Setup {
    let settings = place.settings().into_iter();
    settings.fold(setup, |setup, (name, value)| setup.set(name, &value))
}

fn call(address: SocketAddr, call: &Call) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(&call.to_bytes());
    raw.answer()
}

fn ask(address: SocketAddr, key: &str) -> Answer {
    let hi = Call::chat(&question("hi", false));
    call(
        address,
        &hi.header("authorization", &format!("Bearer {key}")),
    )
}

/// Looks again and again: a server that comes back and a file that fills up take a while on a busy
/// machine.
fn patiently<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "never came to pass: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server that goes down hard in the midst of the work, twice: nobody spends more than he may, and in
/// the end everything has been spent that may be.
#[cfg(feature = "postgres")]
#[test]
fn what_leases_hold_outlives_a_restart_of_the_server() {
    use crate::support::PostgresServer;
    const LIMITS: [u64; 2] = [1, 61];
    let all_of_it = 61;
    let mut server = PostgresServer::own();
    let place = Place::Server(server.make_database());
    let fal = Emulated::start();
    let text = keys(&LIMITS);
    let start = || {
        on(&place, fal.setup().file(&text))
            .set("store.timeout", "1s")
            .start()
    };
    let gateways = [start(), start()];
    let mut served = 0;
    patiently("the budget is spent", || {
        for gateway in &gateways {
            let answers: Vec<u16> = std::thread::scope(|scope| {
                let asking = (0..4).map(|_| scope.spawn(|| ask(gateway.address, "k1").status));
                let asking: Vec<_> = asking.collect();
                asking.into_iter().map(|one| one.join().unwrap()).collect()
            });
            let more = answers.iter().filter(|status| **status == 200);
            served += more.map(|_| 1_i64).sum::<i64>();
            assert!(
                answers
                    .iter()
                    .all(|status| [200, 429, 503].contains(status)),
                "{answers:?}"
            );
            if served > 15 && server.restarts() == 0 || served > 40 && server.restarts() == 1 {
                server.restart();
            }
        }
        (served >= all_of_it).then_some(())
    });
    assert_eq!(server.restarts(), 2);
    let refused = patiently("a refusal", || {
        let answer = ask(gateways[0].address, "k1");
        (answer.status != 503).then_some(answer)
    });
    assert_eq!(refused.status, 429, "{}", refused.text());
    for gateway in gateways {
        gateway.begin_stop();
        gateway.finished();
    }
    assert_eq!(overspent(&place, &LIMITS), [0usize; 0]);
    assert_eq!((served, rows(&place)), (all_of_it, [all_of_it, 0]));
    assert_eq!(i64::try_from(fal.count()).unwrap(), all_of_it);
}

/// A file that may not grow: what was drawn is spent, who has no budget is served, and when there is
/// room again everything is written down.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_costs_no_call_twice_and_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let place = Place::File(path.clone());
    // One key with a budget that never ends here, and one without any.
    for (name, budgets) in [("k0", json!(["10000/day"])), ("free", json!([]))] {
        let fields = json!({"name": name, "budgets": budgets});
        let fields = fields.as_object().unwrap().clone();
        let add = async move |transaction: &Transaction<'_>| {
            let (secret, condition) = (Secret::of(name), Condition::default());
            add_key(transaction, fields, &secret, &condition).await
        };
        run(place.open().write(soon(), add)).unwrap().unwrap();
    }
    let fal = Emulated::start();
    let setup = on(&place, fal.setup()).set("store.timeout", "1s");
    // The log of the database has some room beside the file.
    let blocks = std::fs::metadata(&path).unwrap().len() / 512 + 200;
    let limits = format!("-S -f {blocks}");
    let (mut process, address) = Process::serving_within(&limits, &setup);
    patiently("the keys are known", || {
        (ask(address, "none").status == 401).then_some(())
    });
    let mut served = 0;
    let mut asked = |key: &str| {
        let answer = ask(address, key);
        served += i64::from(answer.status == 200);
        answer
    };
    let refused = patiently("a file that is full", || {
        let answer = asked("k0");
        (answer.status == 503 && process.log().contains("cannot be")).then_some(answer)
    });
    assert_eq!(refused.verdict(), "503 server_error store_unavailable");
    assert_eq!(asked("free").status, 200);
    let more = Command::new("prlimit")
        .args(["--fsize=unlimited:", "--pid", &process.id().to_string()])
        .status();
    assert!(more.unwrap().success());
    patiently("room again", || (asked("k0").status == 200).then_some(()));
    process.signal("TERM");
    process.exit();
    assert_eq!(overspent(&place, &[10_000]), [0usize; 0]);
    assert_eq!(rows(&place), [served, 0]);
    assert_eq!(i64::try_from(fal.count()).unwrap(), served);
}

/// Gateways whose own clocks are a day behind that of the store go by the store's: in windows, in the
/// ledger, and for the ends of keys, operators' ones among them.
#[cfg(feature = "postgres")]
#[test]
fn everything_goes_by_the_clock_of_the_store() {
    use crate::support::PostgresServer;
    const DAY: i64 = 86_400_000;
    let url = PostgresServer::database();
    let place = Place::Server(url.clone());
    // The name by which the store is asked for its time leads to another clock.
    PostgresServer::prepare(
        &url,
        "create schema ahead; \
         create function ahead.clock_timestamp() returns timestamptz language sql as \
         'select pg_catalog.clock_timestamp() + interval ''1 day'''; \
         do 'begin execute format(''alter database %I set search_path = ahead, pg_catalog'', \
         current_database()); end'",
    );
    let fal = Emulated::start();
    let ending = |kind: &str, name: &str, hours: i64| {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        let hash = KeyHash::of(name);
        format!("[[{kind}]]\nname = \"{name}\"\nhash = \"{hash}\"\nexpires = \"{end}\"\n")
    };
    let text = keys(&[9, 7])
        + &ending("keys", "over", 12)
        + &ending("admin_keys", "operator-over", 12)
        + &ending("admin_keys", "operator", 36);
    let setup = fal.setup().file(&text).set("admin.enabled", "true");
    let setup = setup.set("admin.listen", "127.0.0.1:0");
    let start = || on(&place, setup.clone()).start();
    let gateways = [start(), start()];
    let mut early = 0;
    for gateway in &gateways {
        patiently("the clock of the store is known", || {
            let status = ask(gateway.address, "over").status;
            early += usize::from(status == 200);
            (status == 401).then_some(())
        });
        let administer = |key: &str| {
            let asked = Call::get("/admin/v1/settings");
            let asked = asked.header("authorization", &format!("Bearer {key}"));
            call(gateway.admin_address.unwrap(), &asked).status
        };
        let statuses = ["operator", "operator-over"].map(administer);
        assert_eq!(statuses, [200, 401]);
    }
    let before = jiff::Timestamp::now().as_millisecond() + DAY;
    let mut served = 0;
    patiently("the budget is spent", || {
        let statuses = gateways
            .each_ref()
            .map(|gateway| ask(gateway.address, "k1").status);
        served += statuses.iter().filter(|status| **status == 200).count();
        (statuses == [429, 429]).then_some(())
    });
    let after = jiff::Timestamp::now().as_millisecond() + DAY;
    for gateway in gateways {
        gateway.begin_stop();
        gateway.finished();
    }
    assert_eq!((served, fal.count()), (7, 7 + early));
    assert_eq!(overspent(&place, &[9, 7]), [0usize; 0]);
    let ends = run(place.open().read(soon(), async |transaction| {
        let sql =
            "select min(at), max(at), min(start_at), max(start_at) from ledger, budget_window \
                   where ledger.key = 'k1'";
        let row = transaction.first(sql, &[]).await?.unwrap();
        Ok([
            row.integer(0)?,
            row.integer(1)?,
            row.integer(2)?,
            row.integer(3)?,
        ])
    }))
    .unwrap();
    // A second or two lie between a word of the store's and the next.
    assert!(
        ends[0] >= before - 2000 && ends[1] <= after + 2000,
        "{ends:?}"
    );
    assert!(
        [before, after].iter().any(|at| at - at % DAY == ends[2]),
        "{ends:?}"
    );
    assert_eq!(ends[2], ends[3], "one window");
}

/// What an operator was told holds, though the gateway is killed in the next moment.
#[test]
fn what_was_told_of_a_key_outlives_a_kill() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let admin = KeyHash::of("sk-admin").to_string();
        let setup = on(&place, fal.setup())
            .set("auth.admin_key", &admin)
            .set("admin.enabled", "true")
            .set("admin.listen", "127.0.0.1:0");
        let serving = || {
            let (process, address) = Process::serving(&setup);
            let line = process.until_line("\"message\":\"serving\"");
            let line: Value = serde_json::from_str(&line).unwrap();
            let (_, admin) = line["admin"].as_str().unwrap().split_once("://").unwrap();
            let admin: SocketAddr = admin.trim_end_matches("/admin/v1").parse().unwrap();
            (process, address, admin)
        };
        let tell = |admin: SocketAddr, method: &str, path: &str, body: &Value| {
            let asked = Call::new(method, path).header("authorization", "Bearer sk-admin");
            let asked = match body {
                Value::Null => asked,
                body => asked.json(body),
            };
            let answer = call(admin, &asked);
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()
        };
        let (first, _, admin) = serving();
        let made = tell(admin, "POST", "/admin/v1/keys", &json!({"name": "ci"}));
        first.signal("KILL");
        drop(first);
        let first = made["secret"].as_str().unwrap();
        let (second, address, admin) = serving();
        patiently("the keys are known", || {
            (ask(address, first).status == 200).then_some(())
        });
        let made = tell(
            admin,
            "POST",
            "/admin/v1/keys/ci/rotate",
            &json!({"grace_seconds": 0}),
        );
        second.signal("KILL");
        drop(second);
        let rotated = made["secret"].as_str().unwrap();
        let (third, address, admin) = serving();
        patiently("the keys are known", || {
            (ask(address, rotated).status == 200).then_some(())
        });
        assert_eq!(ask(address, first).status, 401, "{place:?}");
        tell(admin, "DELETE", "/admin/v1/keys/ci", &Value::Null);
        third.signal("KILL");
        drop(third);
        let (_fourth, address, _) = serving();
        patiently("the keys are known", || {
            (ask(address, rotated).status == 401).then_some(())
        });
    }
}
