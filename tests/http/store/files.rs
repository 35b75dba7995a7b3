//! A store in a file, and what an operator does with it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use fal_gateway::config::{Config, Sources};
use fal_gateway::store::{Database, StoreError, Transaction};
use serde_json::json;

use super::responses::{create, delete, get, id, post, request, with};
use super::{Place, places, run};
use crate::support::{Call, Emulated, TestGateway, until};

fn config(path: &Path) -> fal_gateway::config::Store {
    Place::File(path.to_owned()).config().store
}

fn command(verb: &str, path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
        .args(["store", verb])
        .env_clear()
        .env("FAL_GATEWAY__STORE__PATH", path)
        .output()
        .unwrap()
}

fn make_newer(path: &Path) {
    let database = Database::open(&config(path)).unwrap();
    run(database.write(database.deadline(), async |transaction| {
        let insert = "insert into schema_version (number, name, applied_at, program) values (99999, 'later', 0, '9.9.9')";
        transaction.execute(insert, &[]).await
    }))
    .unwrap();
}

#[test]
fn a_file_that_is_none_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    fs::write(
        &path,
        "This is no database, and long enough to be seen as none.".repeat(100),
    )
    .unwrap();
    let opened = Database::open(&config(&path));
    assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{opened:?}");
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/store.sqlite");
    let Err(StoreError::Gone(said)) = Database::open(&config(&path)) else {
        panic!("there is no such folder");
    };
    assert!(said.contains("missing/store.sqlite"), "{said}");
}

#[cfg(unix)]
#[test]
fn nobody_but_its_owner_may_read_a_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let _database = Database::open(&config(&path)).unwrap();
    let files = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap());
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", file.file_name());
    }
}

#[test]
fn the_store_is_shown_brought_up_to_date_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let status = command("status", &path);
    assert_eq!(status.status.code(), Some(0));
    assert!(
        said(&status).contains("version 0; this program's is"),
        "{}",
        said(&status)
    );
    let migrated = command("migrate", &path);
    assert_eq!(migrated.status.code(), Some(0));
    assert!(
        said(&migrated).contains("which is this program's"),
        "{}",
        said(&migrated)
    );
    let checked = command("check", &path);
    assert_eq!(
        (checked.status.code(), said(&checked).as_str()),
        (Some(0), "OK\n")
    );
}

#[test]
fn a_newer_store_is_a_sentence_and_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    make_newer(&path);
    for verb in ["migrate", "check"] {
        let output = command(verb, &path);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{verb}");
        assert!(said.contains("use a newer fal-gateway"), "{said}");
    }
    assert_eq!(command("status", &path).status.code(), Some(0));
    let serve = Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("FAL_GATEWAY__STORE__PATH", &path)
        .output()
        .unwrap();
    assert_eq!(serve.status.code(), Some(2));
    assert!(
        String::from_utf8(serve.stderr)
            .unwrap()
            .contains("use a newer fal-gateway")
    );
}

#[test]
fn a_damaged_page_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    assert_eq!(command("migrate", &path).status.code(), Some(0));
    let mut bytes = fs::read(&path).unwrap();
    let page = 4096;
    assert!(bytes.len() > 2 * page);
    bytes[page..].fill(0x55);
    fs::write(&path, bytes).unwrap();
    assert_eq!(command("check", &path).status.code(), Some(1));
}

#[test]
fn two_places_at_once_are_one_too_many() {
    let sources = Sources::default()
        .with_env("FAL_GATEWAY__STORE__PATH", "store.sqlite")
        .with_env(
            "FAL_GATEWAY__STORE__URL",
            "postgres://user:geheim@127.0.0.1/x",
        );
    let problems = Config::load(&sources).unwrap_err().to_string();
    assert!(
        problems.contains("store.path and store.url are both set"),
        "{problems}"
    );
    assert!(!problems.contains("geheim"), "{problems}");
}

#[cfg(not(feature = "postgres"))]
#[test]
fn without_the_feature_an_address_is_refused_by_its_name() {
    let sources = Sources::default().with_env("FAL_GATEWAY__STORE__URL", "postgres://127.0.0.1/x");
    let problems = Config::load(&sources).unwrap_err().to_string();
    assert!(problems.contains("`--features postgres`"), "{problems}");
}

#[test]
fn what_is_deleted_is_not_in_the_file() {
    let (_folder, places) = places();
    let Some(place @ Place::File(path)) = places.get(1) else {
        panic!("the second place is a file");
    };
    let database = place.open();
    run(async {
        let deadline = database.deadline();
        let put =
            "insert into meta (name, value) values ('marked', cast('a text to look for' as blob))";
        database
            .write(deadline, async |transaction| {
                transaction.execute(put, &[]).await
            })
            .await
            .unwrap();
        let delete = "delete from meta where name = 'marked'";
        database
            .write(deadline, async |transaction| {
                transaction.execute(delete, &[]).await
            })
            .await
            .unwrap();
    });
    drop(database);
    // Whoever opens the file last brings what was logged into it.
    assert_eq!(command("check", path).status.code(), Some(0));
    let bytes = fs::read(path).unwrap();
    let marked = b"a text to look for";
    assert!(!bytes.windows(marked.len()).any(|window| window == marked));
}

/// Whether any file in a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .any(|text| text.windows(bytes.len()).any(|window| window == bytes))
}

/// Neither in the file nor in the log beside it.
#[test]
fn what_was_deleted_is_in_no_file_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let fal = Emulated::start();
    let gateway = with(fal.setup(), &Place::File(path)).start();
    let secret = "a-word-that-occurs-nowhere-else";
    let mut large = "echo ".to_owned();
    (0..2000).for_each(|number| large.push_str(&format!("{secret} {number} ")));
    let short = format!("echo {secret}");
    // What stays of the same caller's, so that nothing is deleted besides.
    create(&gateway, &request("Another word".into()));
    for (text, key) in [(&short, None), (&large, None), (&short, Some("one"))] {
        let call = post(&request(text.as_str().into()));
        let response = match key {
            Some(key) => gateway.call(&call.header("idempotency-key", key)),
            None => gateway.call(&call),
        };
        let response = response.json();
        assert!(holds(folder.path(), secret.as_bytes()));
        assert_eq!(delete(&gateway, &id(&response)).status, 200);
        until("nothing is left of it", || {
            (!holds(folder.path(), secret.as_bytes())).then_some(())
        });
    }
    let item = json!({"type": "message", "role": "user", "content": secret});
    let conversation =
        gateway.call(&Call::new("POST", "/v1/conversations").json(&json!({"items": [item]})));
    let path = format!("/v1/conversations/{}/items", id(&conversation.json()));
    let items = gateway.call(&Call::get(&path)).json();
    assert!(holds(folder.path(), secret.as_bytes()));
    let item = items["data"][0]["id"].as_str().unwrap();
    let deleted = gateway.call(&Call::new("DELETE", &format!("{path}/{item}")));
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    until("nothing is left of the item", || {
        (!holds(folder.path(), secret.as_bytes())).then_some(())
    });
}

fn stop(gateway: &TestGateway) {
    gateway.begin_stop();
    gateway.finished();
}

/// But for a part of it, which what is kept next takes up again; and nobody finds anything damaged.
#[test]
fn a_file_gets_shorter_once_much_of_it_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let place = Place::File(path.clone());
    let fal = Emulated::start();
    let length = || fs::metadata(&path).unwrap().len();
    let gateway = with(fal.setup(), &place).start();
    let large = "echo ".to_owned() + &"word ".repeat(100_000);
    let made: Vec<_> = (0..20)
        .map(|_| create(&gateway, &request(large.as_str().into())))
        .collect();
    for response in &made[1..] {
        assert_eq!(delete(&gateway, &id(response)).status, 200);
    }
    stop(&gateway);
    let before = length();
    assert!(before > 10_000_000, "{before}");
    // Looks after its file as soon as it runs.
    let gateway = with(fal.setup(), &place).start();
    until("it is shorter", || (length() < before / 4).then_some(()));
    assert_eq!(get(&gateway, &id(&made[0])).json(), made[0]);
    stop(&gateway);
    assert_eq!(run(place.open().check()).unwrap(), Vec::<String>::new());
}

/// A container may have no folder for temporary files, and SQLite begins one to change its tables.
#[test]
fn no_temporary_files_are_needed() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let asked = async |transaction: &Transaction<'_>| {
            if transaction.is_postgres() {
                return Ok(2);
            }
            let row = transaction.first("pragma temp_store", &[]).await?;
            row.unwrap().integer(0)
        };
        // In memory (source: sqlite.org/pragma.html#pragma_temp_store), for whoever writes and who reads.
        assert_eq!(run(database.write(database.deadline(), asked)).unwrap(), 2);
        assert_eq!(run(database.read(database.deadline(), asked)).unwrap(), 2);
    }
}
