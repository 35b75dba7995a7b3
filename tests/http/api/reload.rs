//! Settings that change while the gateway runs.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use fal_gateway::config::KeyHash;

use crate::support::{
    Answer, Call, Emulated, Process, Raw, ScriptedUpstream, Setup, Step, event, final_event,
    question, sse_head, until,
};

/// A settings file and the gateway that was started with it.
struct Served {
    file: PathBuf,
    process: Process,
    address: SocketAddr,
}

impl Served {
    /// Files are read again at signals only.
    fn start(name: &str, setup: Setup, text: &str) -> Self {
        Self::watching(name, setup.set("server.watch", "false"), text)
    }

    fn watching(name: &str, setup: Setup, text: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("reload-{name}.toml"));
        let _ = fs::remove_file(&file);
        fs::write(&file, text).unwrap();
        let (process, address) = Process::serving_from(&file, &setup);
        Self {
            file,
            process,
            address,
        }
    }

    /// Has the file read again, and waits for the word on it.
    fn reload(&self, expected: &str) -> String {
        let before = self.process.log().len();
        self.process.signal("HUP");
        until(expected, || {
            let log = self.process.log();
            let new = log.get(before..)?;
            let line = new.lines().find(|line| line.contains(expected))?;
            Some(line.to_owned())
        })
    }

    fn write(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
    }

    fn ask(&self, key: &str) -> Answer {
        let mut raw = Raw::connect(self.address);
        let call = Call::chat(&question("hi", false));
        let call = call.header("authorization", &format!("Bearer {key}"));
        raw.send(&call.to_bytes());
        raw.answer()
    }

    fn metric(&self, name: &str) -> String {
        let mut raw = Raw::connect(self.address);
        raw.send(&Call::get("/metrics").to_bytes());
        let page = raw.answer().text();
        let found = page.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().trim().to_owned()
    }
}

/// The section that lets these keys in.
fn keys(keys: &[&str]) -> String {
    let hashes: Vec<String> = keys
        .iter()
        .map(|key| format!("\"{}\"", KeyHash::of(key)))
        .collect();
    format!("[auth]\nkeys = [{}]\n", hashes.join(", "))
}

#[test]
fn what_the_file_says_when_it_is_read_again_holds_for_the_next_request() {
    let fal = Emulated::start();
    let served = Served::start("keys", fal.setup(), &keys(&["first"]));
    assert_eq!(served.ask("first").status, 200);
    assert_eq!(served.ask("second").status, 401);
    assert_eq!(served.metric("fal_gateway_config_version"), "1");
    served.write(&keys(&["second"]));
    let line = served.reload("settings taken up");
    assert!(line.contains("\"version\":2"), "{line}");
    assert_eq!(served.ask("first").status, 401);
    assert_eq!(served.ask("second").status, 200);
    assert_eq!(served.metric("fal_gateway_config_version"), "2");
    let applied = "fal_gateway_config_reloads_total{outcome=\"applied\"}";
    assert_eq!(served.metric(applied), "1");
}

#[test]
fn a_file_that_changes_is_read_again_by_itself() {
    let fal = Emulated::start();
    let served = Served::watching("watched", fal.setup(), &keys(&["first"]));
    served.write(&keys(&["second"]));
    served.process.until_line("settings taken up");
    assert_eq!(served.ask("first").status, 401);
    assert_eq!(served.ask("second").status, 200);
    // One that takes its place is looked at as well.
    let other = served.file.with_extension("new");
    fs::write(&other, keys(&["third!"])).unwrap();
    fs::rename(&other, &served.file).unwrap();
    served.process.until_line("\"version\":3");
    assert_eq!(served.ask("third!").status, 200);
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing_and_is_told_of() {
    let fal = Emulated::start();
    let served = Served::start("unusable", fal.setup(), &keys(&["first"]));
    let half = keys(&["second"]);
    for (text, complaint) in [
        ("[auth]\nkeys = [".to_owned(), "not valid TOML"),
        (half[..half.len() - 9].to_owned(), "not valid TOML"),
        (
            format!("{}nonsense = 1\n", keys(&["second"])),
            "no setting `auth.nonsense`",
        ),
        (
            format!("{}[limits]\nmax_n = 0\n", keys(&["second"])),
            "limits.max_n",
        ),
    ] {
        served.write(&text);
        let line = served.reload("settings not taken up");
        assert!(line.contains(complaint), "{line}");
        assert_eq!(served.ask("first").status, 200);
        assert_eq!(served.ask("second").status, 401);
    }
    fs::remove_file(&served.file).unwrap();
    let line = served.reload("settings not taken up");
    assert!(line.contains("does not exist"), "{line}");
    assert_eq!(served.ask("first").status, 200);
    let refused = "fal_gateway_config_reloads_total{outcome=\"refused\"}";
    assert_eq!(served.metric(refused), "5");
    assert_eq!(served.metric("fal_gateway_config_version"), "1");
    served.write(&keys(&["second"]));
    served.reload("settings taken up");
    assert_eq!(served.ask("second").status, 200);
}

/// Whoever gets hold of the file only later has not been trusted with it.
#[cfg(unix)]
#[test]
fn a_file_that_came_into_other_hands_is_not_read_again() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let fal = Emulated::start();
    let served = Served::start("hands", fal.setup(), &keys(&["first"]));
    served.write(&keys(&["second"]));
    let open = fs::Permissions::from_mode(0o666);
    fs::set_permissions(&served.file, open).unwrap();
    let line = served.reload("settings not taken up");
    assert!(line.contains("every user of this machine"), "{line}");
    let elsewhere = served.file.with_extension("elsewhere");
    fs::write(&elsewhere, keys(&["second"])).unwrap();
    fs::remove_file(&served.file).unwrap();
    symlink(&elsewhere, &served.file).unwrap();
    let line = served.reload("settings not taken up");
    assert!(line.contains("become a link"), "{line}");
    assert_eq!(served.ask("first").status, 200);
    assert_eq!(served.ask("second").status, 401);
}

#[test]
fn what_needs_a_restart_keeps_its_value_and_is_named() {
    let fal = Emulated::start();
    let served = Served::start("restart", fal.setup(), &keys(&["first"]));
    let more = "[fal]\nconnect_timeout = \"7s\"\npool_idle = 3\n[limits]\nmax_n = 2\n";
    served.write(&format!("{}{more}", keys(&["second"])));
    let line = served.reload("need a restart");
    let settings = "\"settings\":\"fal.connect_timeout, fal.pool_idle\"";
    assert!(line.contains(settings), "{line}");
    until("the rest", || {
        (served.ask("second").status == 200).then_some(())
    });
    assert_eq!(served.metric("fal_gateway_config_pending_restart"), "2");
    served.write(&keys(&["second"]));
    served.reload("settings taken up");
    until("nothing waits for a restart", || {
        (served.metric("fal_gateway_config_pending_restart") == "0").then_some(())
    });
}

/// Values that were kept may not meet new ones with which the gateway would not have started.
#[test]
fn what_is_kept_has_to_go_with_what_is_new() {
    let fal = Emulated::start();
    let served = Served::start("mixed", fal.setup(), "[server]\ncors_origins = [\"*\"]\n");
    served.write(&keys(&["first"]));
    let line = served.reload("settings not taken up");
    assert!(line.contains("server.cors_origins"), "{line}");
    assert_eq!(served.ask("whatever").status, 200);
}

/// However often, and in whatever state, the file is read again.
#[test]
fn no_reload_lets_anybody_in_without_a_key() {
    let fal = Emulated::start();
    let served = Served::start("closed", fal.setup(), &keys(&["first"]));
    let texts = [
        String::new(),
        keys(&[]),
        "[auth]\nallow_unauthenticated = true\n".to_owned(),
        keys(&["second"]),
    ];
    for round in 0..200 {
        served.write(&texts[round % texts.len()]);
        served.process.signal("HUP");
        assert_eq!(served.ask("").status, 401, "{round}");
    }
    assert_eq!(fal.count(), 0);
    served.write("[auth]\nadmin_key = \"\"\n");
    let line = served.reload("need a restart");
    assert!(line.contains("auth.keys"), "{line}");
}

#[test]
fn who_pays_changes_with_a_restart_only() {
    let fal = Emulated::start();
    let setup = fal.setup().without_fal_key();
    let served = Served::start("pays", setup, "[fal]\nkey = \"kid:ksecret\"\n");
    assert_eq!(served.ask("").status, 200);
    served.write("");
    let line = served.reload("need a restart");
    assert!(line.contains("fal.key"), "{line}");
    assert_eq!(served.ask("").status, 200);
}

#[test]
fn an_answer_that_runs_ends_as_it_began() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
        Step::Gate(1),
        Step::Write(final_event("one two")),
    ]);
    let text = keys(&["first"]);
    let served = Served::start("running", fal.setup(), &text);
    let mut raw = Raw::connect(served.address);
    let call = Call::chat(&question("hi", true)).header("authorization", "Bearer first");
    raw.send(&call.to_bytes());
    let mut stream = raw.stream();
    stream.until("one");
    let usage = "[usage]\nalways_stream = true\n[limits]\nmax_inflight = 1\n";
    served.write(&format!("{}{usage}", keys(&["second"])));
    served.reload("settings taken up");
    // The old request counts under the new limit.
    assert_eq!(served.ask("second").status, 503);
    fal.open_gate();
    let (body, _) = stream.rest();
    assert!(
        body.contains("[DONE]") && !body.contains("\"usage\":{"),
        "{body}"
    );
}
