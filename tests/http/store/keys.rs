//! Keys and projects of the store: made and taken back while gateways run.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use fal_gateway::config::KeyHash;
use serde_json::Value;

use super::Place;
use crate::support::{Answer, Call, Emulated, Process, Setup, TestGateway, question, until};

/// What a change may take to hold everywhere.
const EVERYWHERE: Duration = Duration::from_secs(2);

/// A store that outlives a process, and a folder for what else is written.
struct Shared {
    place: Place,
    folder: tempfile::TempDir,
}

impl Shared {
    /// One of each kind.
    fn each() -> Vec<Self> {
        let file = tempfile::tempdir().unwrap();
        let path = file.path().join("store.db");
        vec![
            Self {
                place: Place::File(path),
                folder: file,
            },
            #[cfg(feature = "postgres")]
            Self {
                place: Place::Server(crate::support::PostgresServer::database()),
                folder: tempfile::tempdir().unwrap(),
            },
        ]
    }

    fn put(&self, setup: Setup) -> Setup {
        // The tests try keys again and again.
        let setup = setup.set("auth.max_failures", "0");
        let settings = self.place.settings().into_iter();
        settings.fold(setup, |setup, (name, value)| setup.set(name, &value))
    }

    fn gateway(&self, fal: &Emulated) -> TestGateway {
        self.put(fal.setup()).start()
    }

    /// Runs a command on the store, with this text for a settings file.
    fn command_with(&self, file: &str, words: &[&str]) -> Output {
        let path = self.folder.path().join("command.toml");
        std::fs::write(&path, file).unwrap();
        Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.place.settings().into_iter().map(|(name, value)| {
                let variable = name.to_uppercase().replace('.', "__");
                (format!("FAL_GATEWAY__{variable}"), value)
            }))
            .args(words)
            .arg("--config")
            .arg(path)
            .output()
            .unwrap()
    }

    /// What a command prints that does what it is told.
    fn command(&self, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        let output = self.command_with("", &words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that is refused.
    fn refused(&self, file: &str, words: &[&str]) -> String {
        let output = self.command_with(file, words);
        assert_eq!(output.status.code(), Some(2), "{words:?} {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// A new key of this name.
    fn key(&self, name: &str, rules: &str) -> String {
        let words = format!("keys new --name {name} {rules}");
        self.command(words.trim()).trim().to_owned()
    }
}

fn ask(gateway: &TestGateway, key: &str) -> Answer {
    gateway.call(&chat(key))
}

fn chat(key: &str) -> Call {
    Call::chat(&question("hi", false)).header("authorization", &format!("Bearer {key}"))
}

/// Waits until a key is met like this everywhere, which has to be soon.
fn soon(gateways: &[&TestGateway], key: &str, verdict: &str) {
    let begun = Instant::now();
    for gateway in gateways {
        until(verdict, || {
            let answer = ask(gateway, key);
            let found = match answer.status {
                200 => "200".to_owned(),
                _ => answer.verdict(),
            };
            (found == verdict).then_some(())
        });
    }
    let took = begun.elapsed();
    assert!(took < EVERYWHERE, "{verdict} after {took:?}");
}

const UNKNOWN: &str = "401 invalid_request_error invalid_api_key";

#[test]
fn a_key_holds_everywhere_soon_and_so_does_its_end() {
    for shared in Shared::each() {
        let fal = Emulated::start();
        let gateways = [shared.gateway(&fal), shared.gateway(&fal)];
        let both = [&gateways[0], &gateways[1]];
        let key = shared.key("ci", "");
        assert!(key.starts_with("sk-fg-"), "{key}");
        soon(&both, &key, "200");
        // Once there is a key, nobody comes in without one.
        soon(&both, "other", UNKNOWN);
        shared.command("keys disable ci");
        soon(&both, &key, UNKNOWN);
        shared.command("keys enable ci");
        soon(&both, &key, "200");
        let next = shared.command("keys rotate ci --grace 1h");
        soon(&both, next.trim(), "200");
        soon(&both, &key, "200");
        let again = shared.refused("", &["keys", "rotate", "ci"]);
        assert!(again.contains("--end-previous"), "{again}");
        soon(&both, &key, "200");
        let last = shared.command("keys rotate ci --grace 0s");
        soon(&both, last.trim(), "200");
        soon(&both, &key, UNKNOWN);
        soon(&both, next.trim(), UNKNOWN);
        shared.command("keys revoke ci");
        soon(&both, last.trim(), UNKNOWN);
        // The last key is gone, and still nobody comes in without one: not here, and not in a gateway
        // that starts now.
        assert_eq!(both[0].ask(&question("hi", false)).status, 401);
        let later = shared.gateway(&fal);
        assert_eq!(later.ask(&question("hi", false)).status, 401);
    }
}

#[test]
fn whoever_waits_for_a_revocation_is_told_when_it_holds_everywhere() {
    for shared in Shared::each() {
        let fal = Emulated::start();
        let gateways = [shared.gateway(&fal), shared.gateway(&fal)];
        for name in ["one", "two", "three"] {
            let key = shared.key(name, "");
            soon(&[&gateways[0], &gateways[1]], &key, "200");
            shared.command(&format!("keys revoke --wait {name}"));
            for gateway in &gateways {
                assert_eq!(ask(gateway, &key).verdict(), UNKNOWN);
            }
        }
        shared.key("four", "");
        let refused = shared.refused("", &["keys", "revoke", "four", "--wait=soon"]);
        assert!(refused.contains("--wait takes a time"), "{refused}");
        assert!(
            !shared
                .command("keys show four")
                .contains("revoked_at\": \"")
        );
    }
}

/// It is told, and the key is revoked all the same.
#[cfg(feature = "postgres")]
#[test]
fn a_gateway_that_does_not_take_up_a_revocation_is_named() {
    use crate::support::{PostgresServer, Relay};
    let (fal, database) = (Emulated::start(), PostgresServer::database());
    let shared = Shared {
        place: Place::Server(database.clone()),
        folder: tempfile::tempdir().unwrap(),
    };
    let key = shared.key("ci", "");
    let (line, address) = Relay::to(&database);
    let setup = fal.setup().set("store.url", &address);
    let gateway = setup.set("auth.max_failures", "0").start();
    soon(&[&gateway], &key, "200");
    let replicas = shared.command("replicas");
    let id = replicas.split(' ').next().unwrap();
    line.stall();
    let late = shared.command_with("", &["keys", "revoke", "ci", "--wait=1s"]);
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    let said = String::from_utf8(late.stderr).unwrap();
    assert!(
        said.contains("revoked for good") && said.contains(id),
        "{said}"
    );
    line.flow();
    until("the key is closed", || {
        (ask(&gateway, &key).status == 401).then_some(())
    });
}

#[test]
fn the_rules_of_a_stored_key_are_those_of_the_file() {
    for shared in Shared::each() {
        let fal = Emulated::start();
        shared.command("projects new web --models openai/* --rpm 1000");
        let key = shared.key("ci", "--project web --models !*-mini --premium false");
        let other = shared.key("dev", "--project web --scopes inference --budget 1/total");
        let gateway = shared.gateway(&fal);
        assert_eq!(ask(&gateway, &other).status, 200);
        let verdict = ask(&gateway, &other).verdict();
        assert_eq!(verdict, "429 insufficient_quota insufficient_quota");
        assert_eq!(ask(&gateway, &key).status, 403, "it asks for a mini model");
        let models = Call::get("/v1/models").header("authorization", &format!("Bearer {other}"));
        assert_eq!(gateway.call(&models).status, 403);
        shared.command("keys limit ci --models none --expires 2020-01-01");
        soon(&[&gateway], &key, UNKNOWN);
        shared.command("keys limit ci --expires none");
        soon(&[&gateway], &key, "200");
        shared.command("projects archive web");
        soon(&[&gateway], &key, UNKNOWN);
    }
}

#[test]
fn nothing_but_hashes_is_kept_and_a_secret_is_shown_once() {
    let shared = Shared::each().remove(0);
    let key = shared.key("ci", "");
    for words in ["keys show ci", "keys list --json", "keys limit ci --rpm 5"] {
        let said = shared.command(words);
        assert!(said.contains("ci") && !said.contains(&key), "{said}");
    }
    let Place::File(path) = &shared.place else {
        unreachable!("the first one is a file");
    };
    let kept: Vec<u8> = ["", "-wal"]
        .iter()
        .filter_map(|end| std::fs::read(format!("{}{end}", path.display())).ok())
        .flatten()
        .collect();
    let secret = key.trim_start_matches("sk-fg-").as_bytes();
    assert!(!kept.windows(secret.len()).any(|part| part == secret));
    let output = shared.command("keys rotate ci --output ci.key");
    assert_eq!(output, "");
    let file = shared.folder.path().join("ci.key");
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("sk-fg-")
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = shared.refused("", &["keys", "rotate", "ci", "--output", "ci.key"]);
    assert!(again.contains("ci.key"), "{again}");
    // A key that was not made leaves no file.
    for words in [
        ["keys", "new", "--name", "ci", "--output", "no.key"].as_slice(),
        &["keys", "rotate", "gone", "--output", "no.key"],
    ] {
        shared.refused("", words);
        assert!(!shared.folder.path().join("no.key").exists(), "{words:?}");
    }
    let words = ["keys", "limit", "ci", "--models", "openai/*,nobody/*"];
    let output = shared.command_with("", &words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("the key `ci` has the pattern `nobody/*`"),
        "{said}"
    );
    assert!(!said.contains("`openai/*`"), "{said}");
    let words = ["projects", "new", "web", "--models", "nobody/*"];
    let said = String::from_utf8(shared.command_with("", &words).stderr).unwrap();
    assert!(
        said.contains("the project `web` has the pattern `nobody/*`"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_is_refused_in_a_sentence_that_names_both_places() {
    for shared in Shared::each() {
        let key = shared.key("ci", "");
        let refused = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            shared.refused("", &words)
        };
        for (words, said) in [
            ("keys new --name ci", "already"),
            ("keys new --name a;drop", "the key `a;drop`"),
            ("keys new --name b --budget 0/day", "allows nothing"),
            ("keys new --name b --budget=-1/day", "number"),
            (
                "keys new --name b --budget 5/day~Mars/Olympus",
                "Mars/Olympus",
            ),
            (
                "keys new --name b --budget 5/day --budget 6/day",
                "count the same",
            ),
            (
                "keys new --name b --rpm 0",
                "requests_per_minute in the key `b`",
            ),
            (
                "keys new --name b --project nope",
                "neither the settings file nor",
            ),
            (
                "keys limit nope --rpm 5",
                "the key `nope` is not in the store",
            ),
            (
                "keys limit x'--or--1=1 --rpm 5",
                "neither the settings file",
            ),
            ("keys show ci\"", "neither the settings file nor the store"),
            (
                "projects limit nope --rpm 5",
                "the project `nope` is not in the store",
            ),
            ("projects new default", "the keys without one"),
        ] {
            let words = words.replace('~', "\u{a0}");
            let sentence = refused(&words).replace('\u{a0}', " ");
            assert!(sentence.contains(said), "{words}: {sentence}");
        }
        let hash = KeyHash::of(&key);
        let file =
            format!("[[keys]]\nname = \"ci\"\nhash = \"{hash}\"\n[[projects]]\nname = \"web\"");
        for words in [
            ["keys", "limit", "ci"].as_slice(),
            &["keys", "new", "--name", "ci"],
            &["projects", "new", "web"],
        ] {
            let sentence = shared.refused(&file, words);
            assert!(sentence.contains("command.toml:"), "{words:?}: {sentence}");
        }
        let shown: Value = serde_json::from_str(&shared.command("keys show ci")).unwrap();
        assert_eq!(shown["origin"], "store", "nothing of it changed the key");
        assert_eq!(shown["revision"], 1);
    }
}

#[test]
fn the_file_wins_over_the_store_and_a_reload_takes_nothing_from_it() {
    let shared = Shared::each().remove(0);
    let stored = shared.key("ci", "");
    let fal = Emulated::start();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stored-and-filed.toml");
    let table = |name: &str, key: &str| {
        let hash = KeyHash::of(key);
        format!("[[keys]]\nname = \"{name}\"\nhash = \"{hash}\"\n")
    };
    std::fs::write(&file, table("ci", "filed")).unwrap();
    let setup = shared.put(fal.setup()).set("server.watch", "false");
    let (process, address) = Process::serving_from(&file, &setup);
    let status = |key: &str| {
        let mut raw = crate::support::Raw::connect(address);
        raw.send(&chat(key).to_bytes());
        raw.answer().status
    };
    let line = process.until_line("stored-and-filed.toml:1 and in the store");
    assert!(line.contains("the key `ci`"), "{line}");
    assert_eq!((status("filed"), status(&stored)), (200, 401));
    // Another contradiction, by a hash this time, and the file is not taken up.
    let other = shared.key("dev", "");
    until("the new key opens", || {
        (status(&other) == 200).then_some(())
    });
    let both = format!("{}{}", table("ci", "filed"), table("mine", &other));
    std::fs::write(&file, both).unwrap();
    process.signal("HUP");
    let line = process.until_line("settings not taken up");
    assert!(line.contains("the key `dev` of the store"), "{line}");
    assert!(line.contains("stored-and-filed.toml:"), "{line}");
    assert_eq!((status("filed"), status(&other)), (200, 200));
}

#[cfg(feature = "postgres")]
#[test]
fn while_nobody_knows_which_keys_there_are_nobody_is_called_wrong() {
    use crate::support::{PostgresServer, Relay};
    let (fal, database) = (Emulated::start(), PostgresServer::database());
    let shared = Shared {
        place: Place::Server(database.clone()),
        folder: tempfile::tempdir().unwrap(),
    };
    let key = shared.key("ci", "");
    let (line, address) = Relay::to(&database);
    line.cut();
    let filed = KeyHash::of("filed");
    let file = format!("[[keys]]\nname = \"filed\"\nhash = \"{filed}\"\n");
    let setup = fal
        .setup()
        .file(&file)
        .set("store.url", &address)
        .set("auth.max_failures", "0");
    let gateway = setup.clone().set("auth.max_staleness", "2s").start();
    assert_eq!(
        ask(&gateway, "filed").status,
        200,
        "the file needs no store"
    );
    for unknown in [key.as_str(), "wrong"] {
        let answer = ask(&gateway, unknown);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.error()["code"], "store_unavailable");
    }
    line.flow();
    until("the key opens", || {
        (ask(&gateway, &key).status == 200).then_some(())
    });
    assert_eq!(ask(&gateway, "wrong").status, 401);
    // Cut off for longer than keys are taken without word of them.
    line.cut();
    assert_eq!(ask(&gateway, &key).status, 200);
    until("the key is too old", || {
        (ask(&gateway, &key).status == 503).then_some(())
    });
    assert_eq!(ask(&gateway, "filed").status, 200);
    line.flow();
    until("the key opens again", || {
        (ask(&gateway, &key).status == 200).then_some(())
    });
}

/// A standby takes over without the last change, whose number is given again.
#[cfg(feature = "postgres")]
#[test]
fn what_a_failover_has_lost_is_undone_and_what_came_after_it_holds() {
    use crate::support::{PostgresServer, Relay};
    for goes_on in [false, true] {
        let (fal, database) = (Emulated::start(), PostgresServer::database());
        let shared = Shared {
            place: Place::Server(database.clone()),
            folder: tempfile::tempdir().unwrap(),
        };
        let (lost, revoked) = (shared.key("lost", ""), shared.key("revoked", ""));
        let (line, address) = Relay::to(&database);
        let gateway = fal
            .setup()
            .set("store.url", &address)
            .set("auth.max_failures", "0")
            .start();
        let meets = |key: &str, status: u16| {
            until("the key is met so", || {
                (ask(&gateway, key).status == status).then_some(())
            });
        };
        meets(&revoked, 200);
        shared.command("keys revoke lost");
        meets(&lost, 401);
        line.stall();
        let last = "(select number from access_change where id = 0)";
        PostgresServer::prepare(
            &database,
            &format!(
                "begin; delete from admin_change where number = {last}; \
                 delete from access_change where id = {last}; \
                 update access_key set revoked_at = null, revision = 1 where name = 'lost'; \
                 update access_change set number = number - 1 where id = 0; commit"
            ),
        );
        shared.command("keys revoke revoked");
        if goes_on {
            shared.key("another", "");
        }
        line.flow();
        meets(&revoked, 401);
        meets(&lost, 200);
    }
}

#[test]
fn a_row_that_cannot_be_read_opens_nothing() {
    let shared = Shared::each().remove(0);
    let (bad, good) = (shared.key("bad", ""), shared.key("good", ""));
    let Place::File(path) = &shared.place else {
        unreachable!("the first one is a file");
    };
    let fal = Emulated::start();
    let gateway = shared.gateway(&fal);
    soon(&[&gateway], &bad, "200");
    let store = rusqlite::Connection::open(path).unwrap();
    // A rule of a later version, which this one cannot keep.
    store
        .execute_batch(
            "begin immediate; update access_change set number = number + 1; \
             update access_key set definition = '{\"name\":\"bad\",\"curfew\":\"22:00\"}', \
             revision = (select number from access_change) where name = 'bad'; commit;",
        )
        .unwrap();
    soon(&[&gateway], &bad, UNKNOWN);
    assert_eq!(ask(&gateway, &good).status, 200);
    // It can be taken back all the same, and stays so once a later version reads it.
    let revoked: Value = serde_json::from_str(&shared.command("keys revoke bad")).unwrap();
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    store
        .execute_batch(
            "begin immediate; update access_change set number = number + 1; \
             update access_key set definition = '{\"name\":\"bad\"}', \
             revision = (select number from access_change) where name = 'bad'; commit;",
        )
        .unwrap();
    let shown: Value = serde_json::from_str(&shared.command("keys show bad")).unwrap();
    assert_eq!(shown["revoked_at"], revoked["revoked_at"]);
    assert_eq!(ask(&gateway, &bad).status, 401);
}

#[test]
fn a_key_is_closed_by_whoever_does_not_know_its_project() {
    let shared = Shared::each().remove(0);
    let file = "[[projects]]\nname = \"web\"\n";
    for name in ["ci", "dev"] {
        let words = ["keys", "new", "--name", name, "--project", "web"];
        let made = shared.command_with(file, &words);
        assert!(made.status.success(), "{made:?}");
    }
    let refused = shared.refused("", &["keys", "limit", "ci", "--rpm", "5"]);
    assert!(refused.contains("the project `web`"), "{refused}");
    let shown = |words: &str| serde_json::from_str::<Value>(&shared.command(words)).unwrap();
    assert_eq!(shown("keys disable ci")["disabled"], true);
    let refused = shared.refused("", &["keys", "enable", "ci"]);
    assert!(refused.contains("the project `web`"), "{refused}");
    for name in ["ci", "dev"] {
        let revoked = shown(&format!("keys revoke {name}"));
        assert!(revoked["revoked_at"].is_string(), "{revoked}");
    }
}

#[test]
fn many_keys_are_taken_up_at_the_start() {
    let shared = Shared::each().remove(0);
    let key = shared.key("ci", "");
    let Place::File(path) = &shared.place else {
        unreachable!("the first one is a file");
    };
    let store = rusqlite::Connection::open(path).unwrap();
    store
        .execute_batch(
            "begin immediate; update access_change set number = number + 1; \
             insert into access_key (name, definition, hash, hint, created_at, revision) \
             with recursive counted (n) as \
             (select 1 union all select n + 1 from counted where n < 20000) \
             select 'many-' || n, '{\"name\":\"many-' || n || '\"}', randomblob(32), 'hint', 0, \
             (select number from access_change) from counted; commit;",
        )
        .unwrap();
    let fal = Emulated::start();
    let gateway = shared.gateway(&fal);
    until("the key opens", || {
        (ask(&gateway, &key).status == 200).then_some(())
    });
    assert_eq!(ask(&gateway, "other").status, 401);
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_takes_nothing_more_is_still_read() {
    let shared = Shared::each().remove(1);
    let (fal, key) = (Emulated::start(), shared.key("ci", ""));
    let gateway = shared
        .put(fal.setup())
        .set("auth.max_staleness", "2s")
        .start();
    soon(&[&gateway], &key, "200");
    let store = shared.place.open();
    for sql in [
        "create function no_room() returns trigger language plpgsql as \
         $$ begin raise exception 'no room' using errcode = '53100'; end $$",
        "create trigger no_room before insert or update on gateway execute function no_room()",
    ] {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let done = store.write(deadline, async move |transaction| {
            transaction.execute(sql, &[]).await
        });
        super::run(done).unwrap();
    }
    // For longer than keys are taken without word of them.
    let begun = Instant::now();
    until("the time is over", || {
        assert_eq!(ask(&gateway, &key).status, 200);
        (begun.elapsed() > Duration::from_secs(4)).then_some(())
    });
    shared.command("keys revoke ci");
    soon(&[&gateway], &key, UNKNOWN);
}
