//! `fal-gateway launch`: what the client gets, and what is left behind.

use std::process::{Command, Output, Stdio};

use fal_gateway::cli::launch::clients::{CLIENTS, MISSING};

use crate::support::{Emulated, TestGateway};

fn launch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
        .arg("launch")
        .args(arguments)
        .env_remove("FAL_GATEWAY_KEY")
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn base(gateway: &TestGateway) -> String {
    format!("http://{}/v1", gateway.address)
}

#[test]
fn a_program_gets_the_address_and_the_key_and_its_exit_code_is_passed_on() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let base = base(&gateway);
    let script = "echo $OPENAI_BASE_URL $OPENAI_API_KEY $OPENAI_MODEL \"$@\"; exit 7";
    let output = launch(&["--url", &base, "any", "sh", "-c", script, "x", "--print"]);
    let said = told(&output);
    let wanted = format!("{base} demo openai/gpt-4o-mini --print");
    assert!(said.contains(&wanted), "{said}");
    assert_eq!(output.status.code(), Some(7), "{said}");
    let killed = launch(&["--url", &base, "any", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.status.code(), Some(128 + 9));
}

/// A client's files are its user's alone, and are gone when it has ended.
#[test]
#[cfg(unix)]
fn files_are_the_users_alone_and_are_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let client = folder.path().join("opencode");
    let script = "#!/bin/sh\nstat -c %a \"$OPENCODE_CONFIG\" \"${OPENCODE_CONFIG%/*}\"\n\
                  echo \"$OPENCODE_CONFIG\"; cat \"$OPENCODE_CONFIG\"\n";
    std::fs::write(&client, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&client, executable).unwrap();
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let base = base(&gateway);
    let paths = [
        folder.path().to_str().unwrap(),
        &std::env::var("PATH").unwrap(),
    ]
    .join(":");
    let output = Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
        .args(["launch", "opencode", "--url", &base])
        .env("PATH", paths)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = told(&output);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines = printed.lines();
    assert_eq!(lines.next(), Some("600"), "{said}");
    assert_eq!(lines.next(), Some("700"), "{said}");
    let file = std::path::Path::new(lines.next().unwrap());
    assert!(printed.contains(&base), "{said}");
    assert!(!file.parent().unwrap().exists(), "{said}");
}

#[test]
fn what_is_printed_is_a_script_that_shows_no_key() {
    for client in CLIENTS.iter().filter(|client| !client.program.is_empty()) {
        let output = launch(&[client.name, "--print", "--key", "sk-very-secret"]);
        let said = told(&output);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("sk-very-secret"), "{said}");
        let mut checked = Command::new("sh");
        let script = String::from_utf8(output.stdout).unwrap();
        let checked = checked.args(["-n", "-c", &script]).output().unwrap();
        assert!(checked.status.success(), "{script}");
    }
}

#[test]
fn who_cannot_be_launched_is_told_why() {
    let said = |arguments: &[&str]| {
        let output = launch(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        told(&output)
    };
    for missing in MISSING {
        assert!(said(&[missing.name]).contains(missing.because));
    }
    assert!(said(&["opencod"]).contains("Did you mean opencode?"));
    assert!(said(&["any"]).contains("name the program"));
    let nobody = ["--url", "http://127.0.0.1:9/v1", "any", "true"];
    assert!(said(&nobody).contains("nobody answers"));
    assert!(said(&["aider", "-m", "a\"b"]).contains("cannot carry"));
    let fal = Emulated::start();
    let keyed = fal.setup().env("FAL_GATEWAY_KEYS", "sk-one").start();
    let base = base(&keyed);
    let refused = said(&["--url", &base, "--key", "sk-wrong", "any", "true"]);
    assert!(
        refused.contains("key") && !refused.contains("sk-wrong"),
        "{refused}"
    );
    let open = fal.setup().start();
    let base = self::base(&open);
    let absent = Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
        .args(["launch", "codex", "--url", &base])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert!(told(&absent).contains("npm install -g @openai/codex"));
}
