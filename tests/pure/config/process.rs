//! The one place that looks at the process: files named on the command line.

use std::fs;

use super::problems;
use fal_gateway::config::{Config, Override, Sources};

fn named(path: &std::path::Path) -> String {
    let mut sources = Sources::from_process(Some(path), Vec::new());
    // What the machine that runs the tests has set is not under test.
    sources.env.clear();
    problems(&sources)
}

#[test]
fn a_named_file_must_be_readable_text() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("my.toml");
    assert!(named(&path).ends_with("my.toml: the file cannot be read: it does not exist."));
    assert!(named(folder.path()).ends_with("the file cannot be read: it is a folder."));

    fs::write(&path, b"[server]\n\xff").expect("a temporary file can be written");
    assert!(named(&path).ends_with("my.toml: the file is not UTF-8 text."));

    fs::write(&path, "[server]\nworkers = 2").expect("a temporary file can be written");
    assert_eq!(named(&path), "");
}

#[test]
fn flags_are_handed_through() {
    let flags = vec![Override {
        flag: "--log-level",
        value: "trace".to_owned(),
    }];
    let mut sources = Sources::from_process(None, flags);
    sources.env.clear();
    let config = Config::load(&sources).expect("there is no file beside the tests");
    assert_eq!(format!("{:?}", config.log.level), "Trace");
}
