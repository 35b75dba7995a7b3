//! The file with what was measured of models: written, read, and refused with its line.

use std::fs;
use std::path::PathBuf;

use super::{file, load, problems};
use fal_gateway::config::{
    Capabilities, Capability, Dialect, Figures, read_capabilities, write_capabilities,
};

/// A file in a folder of its own, which goes with the test.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("models.toml");
    fs::write(&path, text).expect("a temporary file can be written");
    (folder, path)
}

/// The settings that name it, on the second line of their file.
fn naming(path: &std::path::Path) -> fal_gateway::config::Sources {
    file(&format!("[models]\ncapabilities = {path:?}"))
}

#[test]
fn what_is_written_is_read() {
    let figures = Figures {
        first_try: 20,
        repaired: 4,
        reasked: 3,
        missed: 2,
        errors: 1,
        invalid: 0,
    };
    let capability = |dialect| Capability {
        dialect,
        outline: dialect.map(|dialect| dialect == Dialect::Json),
        measured: Some("2026-11-22".to_owned()),
        figures,
    };
    let known = Capabilities::from([
        ("openai/gpt-4o".to_owned(), capability(Some(Dialect::Json))),
        ("a/\"odd\\é".to_owned(), capability(Some(Dialect::Tagged))),
        ("x/unchosen".to_owned(), capability(None)),
        ("x/code".to_owned(), capability(Some(Dialect::Xml))),
        (
            "x/by-hand".to_owned(),
            Capability {
                dialect: Some(Dialect::Json),
                ..Capability::default()
            },
        ),
    ]);
    let text = write_capabilities(&known);
    assert!(text.contains("[models.\"openai/gpt-4o\"]\ndialect = \"json\"\noutline = true\n"));
    assert!(text.contains("\nanswers = 30\n"), "{text}");
    let (_folder, path) = written(&text);
    assert_eq!(read_capabilities(&path).as_ref(), Ok(&known));
    assert_eq!(load(&naming(&path)).capabilities, known);
}

#[test]
fn everything_wrong_is_told_with_its_line() {
    let (_folder, path) = written(
        "[models.\"openai/gpt-4o\"]\ndialect = \"jsn\"\n\n[models.\"a/b\"]\nfirst_tri = 3\n\
         measured = \"today\"\n\n[models.\"a/c\"]\nerrors = -1\n\n[modells]\nx = 1\n",
    );
    let shown = path.display();
    let end = "(models.capabilities, set in fal-gateway.toml:2)";
    assert_eq!(
        problems(&naming(&path)).lines().collect::<Vec<_>>(),
        [
            format!(
                "{shown}:11: there is no `modells` here; the file holds tables such as \
                 `[models.\"openai/gpt-4o\"]`. {end}"
            ),
            format!(
                "{shown}:5: models.\"a/b\" has no field `first_tri`; did you mean `first_try`? {end}"
            ),
            format!(
                "{shown}:6: measured in models.\"a/b\" is \"today\", but takes a day such as \
                 `\"2026-11-22\"`. {end}"
            ),
            format!(
                "{shown}:9: errors in models.\"a/c\" is -1, but takes a whole number from 0 to \
                 1000000. {end}"
            ),
            format!(
                "{shown}:2: dialect in models.\"openai/gpt-4o\" is \"jsn\", but takes `tagged`, \
                 `json` or `xml`; did you mean `json`? {end}"
            ),
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let (folder, _) = written("");
    let missing = folder.path().join("none.toml");
    assert_eq!(
        problems(&naming(&missing)),
        format!(
            "{}: the file cannot be read: it does not exist. (models.capabilities, set in \
             fal-gateway.toml:2)",
            missing.display()
        )
    );
}
