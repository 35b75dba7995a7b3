//! The commands of `docs/accounts.md`, run as they stand there.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::contract::file;
use crate::support::{Emulated, FAL_KEY, until};

/// A running gateway, which ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What stands under a heading: its settings, and its commands.
fn section(title: &str) -> (String, Vec<String>) {
    let page = file("docs/accounts.md");
    let (_, after) = page.split_once(&format!("\n## {title}\n")).unwrap();
    let section = after.split("\n## ").next().unwrap();
    let (_, settings) = section.split_once("```toml\n").unwrap();
    let settings = settings.split("```").next().unwrap();
    let commands = section.lines().filter_map(|line| line.strip_prefix("$ "));
    (settings.to_owned(), commands.map(str::to_owned).collect())
}

/// Runs the commands of a section in a folder with its settings; gives how many there were.
fn follow(title: &str, replaced: (&str, &str)) -> usize {
    let (settings, commands) = section(title);
    let folder = tempfile::tempdir().unwrap();
    let settings = match replaced.0 {
        "" => settings,
        shown => settings.replace(shown, replaced.1),
    };
    let mut words = commands.iter().flat_map(|command| command.split(' '));
    words.find(|word| *word == "--config").unwrap();
    std::fs::write(folder.path().join(words.next().unwrap()), settings).unwrap();
    let fal = Emulated::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let program = Path::new(env!("CARGO_BIN_EXE_fal-gateway"));
    let run = |command: &str| {
        let mut shell = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", program.parent().unwrap().display());
        shell.args(["-c", command]).current_dir(folder.path());
        shell.env_clear().env("PATH", path);
        shell.env("FAL_GATEWAY__FAL__URL", fal.url());
        shell.env("FAL_GATEWAY__SERVER__LISTEN", &address);
        shell.env("FAL_GATEWAY__ADMIN__LISTEN", "127.0.0.1:0");
        shell.env("FAL_KEY", FAL_KEY).env("OPENAI_API_KEY", "123");
        shell.stdin(Stdio::null());
        shell
    };
    let mut served = Vec::new();
    for command in &commands {
        let command = command.replace("127.0.0.1:3250", &address);
        let command = command.strip_prefix("FAL_KEY=... ").unwrap_or(&command);
        if command.starts_with("fal-gateway serve") {
            let child = run(&format!("exec {command}"))
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .spawn();
            served.push(Served(child.unwrap()));
            until("the gateway", || {
                std::net::TcpStream::connect(&address).ok()
            });
            continue;
        }
        let command = match command.strip_prefix("fal-gateway chat ") {
            Some(rest) => format!("fal-gateway chat --url http://{address}/v1 {rest}"),
            None => command.to_owned(),
        };
        let output = run(&command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
        if command.contains("/v1/key") {
            let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(shown["data"]["label"], "alice");
        }
    }
    commands.len()
}

#[test]
fn the_page_for_a_team_is_right() {
    assert_eq!(follow("A team of five, with SQLite", ("", "")), 10);
}

#[cfg(feature = "postgres")]
#[test]
fn the_page_for_a_service_is_right() {
    let database = crate::support::PostgresServer::database();
    let shown = "postgres://gateway@127.0.0.1:5432/fal_gateway";
    assert_eq!(follow("A service, with PostgreSQL", (shown, &database)), 7);
}

/// Whoever looks after a store can read there what of it grows, and for how long.
#[test]
fn the_page_says_of_every_table_how_long_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let place = super::Place::File(path.clone());
    let store = place.open();
    super::run(store.reach()).unwrap();
    let reader = rusqlite::Connection::open(path).unwrap();
    let asked = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'";
    let mut statement = reader.prepare(asked).unwrap();
    let names = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let tables: BTreeSet<String> = names.map(Result::unwrap).collect();
    let page = file("docs/accounts.md");
    let (_, section) = page.split_once("### How long what is kept").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let named = rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap();
        cell.split(',')
            .map(|name| name.trim().trim_matches('`').to_owned())
    });
    let named: BTreeSet<String> = named.collect();
    assert_eq!(named, tables);
}
