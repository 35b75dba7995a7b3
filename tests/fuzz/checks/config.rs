//! A configuration file, and after a line `---` environment variables: read or refused in short
//! sentences, and no secret in anything that is printed.

use fal_gateway::cli::check::check as print_check;
use fal_gateway::config::{Config, Sources};

/// A key as it may stand in the environment. Without digits, which line numbers could hold by chance.
const SECRET: &str = "planted-secret-qxzj";
const SHOWN: &str = "qxzj";

pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.contains(SHOWN) {
        return;
    }
    let (file, environment) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let mut sources = Sources::default()
        .with_env("FAL_KEY", SECRET)
        .with_file("fal-gateway.toml", file.replace("SECRET", SECRET));
    for line in environment.lines() {
        if let Some((name, value)) = line.split_once('=') {
            sources = sources.with_env(name, value.replace("SECRET", SECRET));
        }
    }
    let loaded = Config::load(&sources);
    let inspection = Config::inspect(&sources);
    assert_eq!(loaded.is_ok(), inspection.outcome.is_ok());
    if let Err(problems) = &loaded {
        assert!(!problems.is_empty());
        for line in problems.to_string().lines() {
            assert!(line.chars().count() < 1000, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
    let mut page = Vec::new();
    let code = print_check(&sources, &mut page).expect("memory can be written");
    assert_eq!(code == 0, loaded.is_ok());
    // A setting that is no secret may be shown: the file then said so itself.
    if !text.contains("SECRET") {
        let page = String::from_utf8_lossy(&page);
        for shown in [
            page.as_ref(),
            &format!("{inspection:?} {sources:?} {loaded:?}"),
        ] {
            assert!(!shown.contains(SHOWN), "{shown}");
        }
    }
}
