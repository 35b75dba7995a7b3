//! A file that nobody named, found in the working directory; and files that others may read or
//! change.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fal_gateway::config::{Config, Sources};
use tempfile::TempDir;

use super::{FILE, file, problems};

/// The program in a folder, with these variables and no others.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command.output().expect("the program can be run")
}

/// All it printed.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn folder_with(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::write(folder.path().join(FILE), text).expect("a temporary file can be written");
    set_mode(&folder.path().join(FILE), 0o644);
    set_mode(folder.path(), 0o755);
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// Makes the group of a file another one than its owner's own; only root may choose any.
fn share(path: &Path) {
    chown(path, None, Some(9999))
        .or_else(|_| chown(path, None, None))
        .expect("it is ours");
}

const HARMLESS: &str = "[limits]\nmax_n = 2\n";

#[test]
fn a_file_of_ones_own_is_read_and_named() {
    let folder = folder_with(HARMLESS);
    let output = run(folder.path(), &["check"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).contains("# fal-gateway.toml:2"),
        "{}",
        said(&output)
    );
    let output = run(folder.path(), &["models"], &[]);
    let full = folder
        .path()
        .canonicalize()
        .expect("it is there")
        .join(FILE);
    let line = format!("settings from {}", full.display());
    assert!(said(&output).contains(&line), "{}", said(&output));
    let named = run(folder.path(), &["models", "--config", FILE], &[]);
    assert!(!said(&named).contains("settings from"), "{}", said(&named));
}

#[test]
fn a_file_that_somebody_else_could_have_written_is_read_only_when_it_is_named() {
    let request = r#"{"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hi"}]}"#;
    for (path, mode) in [(FILE, 0o646), (FILE, 0o666), (".", 0o757), (".", 0o1777)] {
        let folder = folder_with(HARMLESS);
        fs::write(folder.path().join("request.json"), request).expect("it can be written");
        set_mode(&folder.path().join(path), mode);
        for arguments in [
            &["check"][..],
            &["serve"],
            &["models"],
            &["explain", "request.json"],
        ] {
            let output = run(folder.path(), arguments, &[("FAL_KEY", "id:secret")]);
            assert_eq!(output.status.code(), Some(2), "{arguments:?} {mode:o}");
            let said = said(&output);
            assert!(said.contains("is not read, because"), "{said}");
            assert!(said.contains("--config ./fal-gateway.toml"), "{said}");
        }
        let named = ["check", "--config", "./fal-gateway.toml"];
        assert_eq!(run(folder.path(), &named, &[]).status.code(), Some(0));
    }
}

#[test]
fn a_shared_group_and_another_owner_are_somebody_else() {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    for (path, mode) in [(FILE, 0o664), (".", 0o775)] {
        let folder = folder_with(HARMLESS);
        share(&folder.path().join(path));
        set_mode(&folder.path().join(path), mode);
        let output = run(folder.path(), &["check"], &[]);
        let refused = said(&output).contains("group can");
        assert_eq!(refused, is_root, "{}", said(&output));
    }
    if is_root {
        for path in [FILE, "."] {
            let folder = folder_with(HARMLESS);
            chown(folder.path().join(path), Some(9999), None).expect("root may");
            let output = run(folder.path(), &["check"], &[]);
            assert!(
                said(&output).contains("belongs to another user"),
                "{}",
                said(&output)
            );
        }
    }
}

/// What lies about in an unpacked archive or a cloned repository is ours, and was not meant.
#[test]
fn a_found_file_cannot_choose_who_reads_what_is_sent() {
    let authority = folder_with("");
    let ca_file = authority.path().join("ca.pem");
    fs::write(&ca_file, super::CERTIFICATE).expect("a temporary file can be written");
    set_mode(&ca_file, 0o644);
    for (setting, value) in [
        ("proxy", "http://proxy.example.com:3128"),
        ("proxy", "env"),
        ("ca_file", &ca_file.display().to_string()),
    ] {
        let folder = folder_with(&format!("[fal]\n{setting} = {value:?}\n"));
        let variables = [
            ("FAL_KEY", "id:secret"),
            ("HTTPS_PROXY", "proxy.example.com:3128"),
        ];
        let output = run(folder.path(), &["check"], &variables);
        assert_eq!(output.status.code(), Some(2), "{setting}");
        let said = said(&output);
        let place = format!("fal-gateway.toml:2: fal.{setting} decides who may read");
        assert!(said.contains(&place), "{said}");
        let named = run(folder.path(), &["check", "--config", FILE], &variables);
        assert_eq!(
            named.status.code(),
            Some(0),
            "{}",
            super::found::said(&named)
        );
    }
}

#[test]
fn a_found_file_cannot_send_the_key_away() {
    for (setting, url) in [
        ("url", "https://fal.example.com"),
        ("url", "https://fal.run.example.com"),
        ("url", "https://evilfal.run"),
        ("url", "https://192.0.2.1"),
        ("queue_url", "https://queue.example.com"),
        ("rest_url", "https://rest.example.com"),
    ] {
        let folder = folder_with(&format!("[fal]\n{setting} = \"{url}\"\n"));
        for variables in [&[("FAL_KEY", "id:secret")][..], &[]] {
            let output = run(folder.path(), &["check"], variables);
            assert_eq!(output.status.code(), Some(2), "{url}");
            let said = said(&output);
            let place = format!("fal-gateway.toml:2: fal.{setting} sends the fal key");
            assert!(said.contains(&place), "{said}");
            assert!(said.contains("--config ./fal-gateway.toml"), "{said}");
        }
        let named = run(
            folder.path(),
            &["check", "--config", FILE],
            &[("FAL_KEY", "id:secret")],
        );
        assert_eq!(named.status.code(), Some(0), "{}", said(&named));
        // Where somebody says by another way where to, the file has no say.
        let flag = format!("--fal-{}", setting.replace('_', "-"));
        let told = run(
            folder.path(),
            &["check", &flag, url],
            &[("FAL_KEY", "id:secret")],
        );
        assert_eq!(told.status.code(), Some(0), "{}", said(&told));
    }
    for url in [
        "https://fal.run",
        "https://queue.fal.run",
        "https://gateway.fal.ai/x",
        "https://falrun.com",
        "http://127.0.0.1:3251",
        "http://localhost:3251",
        "http://[::1]:3251",
    ] {
        let folder = folder_with(&format!("[fal]\nurl = \"{url}\"\nrest_url = \"{url}\"\n"));
        let output = run(folder.path(), &["check"], &[("FAL_KEY", "id:secret")]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
}

#[test]
fn a_link_to_nowhere_is_not_taken_for_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    symlink("/nowhere/at/all", folder.path().join(FILE)).expect("a link can be made");
    let output = run(folder.path(), &["check"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("does not exist"),
        "{}",
        said(&output)
    );
}

/// The warnings about a file with these rights, after its name.
fn warnings(text: &str, mode: u32, is_shared: bool) -> Vec<String> {
    let folder = folder_with(text);
    let path = folder.path().join(FILE);
    if is_shared {
        share(&path);
    }
    set_mode(&path, mode);
    let config = Config::load(&Sources::default().with_file(&path, text)).expect("it is good");
    let start = format!("the settings file {} ", path.display());
    let warnings = config.warnings().into_iter();
    warnings
        .map(|line| {
            line.strip_prefix(&start)
                .map_or(line.clone(), str::to_owned)
        })
        .collect()
}

#[test]
fn rights_that_a_settings_file_should_not_give_are_named_with_the_cure() {
    let secret = "[fal]\nkey = \"id:secret\"\n";
    let readable =
        "can be read by every user of this machine: take the right away with `chmod o-r`.";
    let writable =
        "can be changed by every user of this machine: take the right away with `chmod o-w`.";
    assert_eq!(warnings(HARMLESS, 0o644, false), [""; 0]);
    assert_eq!(warnings(HARMLESS, 0o646, false), [writable]);
    assert_eq!(warnings(secret, 0o600, false), [""; 0]);
    assert_eq!(warnings(secret, 0o644, false), [readable]);
    assert_eq!(warnings(secret, 0o606, false), [writable, readable]);
    assert_eq!(warnings(HARMLESS, 0o640, true), [""; 0]);
}

/// A key that the environment overrules stands in the file all the same.
#[test]
fn a_key_in_a_file_is_a_secret_whoever_has_the_last_word() {
    let text = "[fal]\nkey = \"id:secret\"\n";
    let folder = folder_with(text);
    let path = folder.path().join(FILE);
    let sources = Sources::default()
        .with_file(&path, text)
        .with_env("FAL_KEY", "id:other");
    let config = Config::load(&sources).expect("it is good");
    assert!(
        config
            .warnings()
            .iter()
            .any(|line| line.contains("chmod o-r"))
    );
}

#[test]
fn a_key_file_and_a_file_of_capabilities_are_looked_at_too() {
    let folder = folder_with("");
    let (key, models) = (folder.path().join("key"), folder.path().join("models.toml"));
    fs::write(&key, "id:secret\n").expect("it can be written");
    fs::write(&models, "").expect("it can be written");
    set_mode(&key, 0o644);
    set_mode(&models, 0o646);
    let text = format!("[fal]\nkey_file = {key:?}\n[models]\ncapabilities = {models:?}\n");
    let sources = file(&text);
    assert_eq!(problems(&sources), "");
    let warnings = Config::load(&sources).expect("it is good").warnings();
    let starts = [
        format!("fal.key_file {} can be read by every user", key.display()),
        format!(
            "models.capabilities {} can be changed by every user",
            models.display()
        ),
    ];
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for start in starts {
        assert!(
            warnings.iter().any(|line| line.starts_with(&start)),
            "{warnings:?}"
        );
    }
}
