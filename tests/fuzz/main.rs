//! The promises against inputs that nobody thought of: the seeds, then mutations of them for a few
//! seconds per target. Seeds are the named files of `seeds` and the inputs of the golden files.
//!
//! `FUZZ_SECONDS=60` looks longer, `FUZZ_SEED=7` begins elsewhere; each round has a seed of its
//! own, counted up from there, so that the one that failed can be run first. `fuzz/README.md` tells
//! how to look for new paths with libFuzzer.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics has failed, which is all it is for"
)]

mod checks;
#[path = "../pure/clock.rs"]
mod clock;
mod mutate;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use checks::{Check, TARGETS};
use clock::cpu_time;

/// How long each target is fuzzed when nobody says otherwise, in seconds.
const SECONDS: u64 = 2;
/// What no input may exceed in working time, far more than any takes without optimisation.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a target over its seeds, and then over mutations of them until the time is up.
fn fuzz(name: &str) {
    let (_, check) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds(name);
    for (path, data) in &seeds {
        if let Err(why) = run(*check, data) {
            panic!("{} breaks a promise: {why}", path.display());
        }
    }
    let inputs: Vec<Vec<u8>> = seeds.into_iter().map(|(_, data)| data).collect();
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", SECONDS));
    let mut seed = number("FUZZ_SEED", 1);
    while Instant::now() < end {
        let data = mutate::mutate(&inputs, seed);
        if let Err(why) = run(*check, &data) {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{seed}"));
            fs::write(&path, &data).unwrap();
            panic!(
                "FUZZ_SEED={seed} breaks a promise of {name}: {why}\n{}\n\
                 Once it is mended, keep what is essential in it as a test with a name. It is in {}.",
                data.escape_ascii(),
                path.display(),
            );
        }
        seed += 1;
    }
}

/// Runs a check, and says why if it fails or takes too long.
fn run(check: Check, data: &[u8]) -> Result<(), String> {
    let start = cpu_time();
    catch_unwind(AssertUnwindSafe(|| check(data))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("it panics").to_owned()
    })?;
    match cpu_time().saturating_sub(start) {
        elapsed if elapsed > TIMEOUT => Err(format!("it takes {elapsed:?}")),
        _ => Ok(()),
    }
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| {
        let number = text.parse();
        number.unwrap_or_else(|_| panic!("{variable} is {text:?}, but takes a whole number"))
    })
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let named = files(&format!("tests/fuzz/seeds/{name}"), "");
    assert!(named.len() >= 3, "{name} has too few seeds");
    named.into_iter().chain(golden(name)).collect()
}

/// The inputs of the golden files, where they are of a target's kind.
fn golden(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    match name {
        "request" => [
            "tests/golden/plan",
            "tests/golden/completions/plan",
            "tests/golden/messages/plan",
            "tests/golden/responses/plan",
        ]
        .into_iter()
        .flat_map(|folder| files(folder, ".json"))
        .map(|(path, case)| (path, request_of(&case)))
        .collect(),
        "chunks" | "events" | "router" => files("tests/golden/reading", ".fal.sse")
            .into_iter()
            .filter(|(path, _)| kind_of(path) == name)
            .zip((b'a'..=b'p').cycle())
            .map(|((path, stream), asked)| (path, [&[asked][..], &stream].concat()))
            .collect(),
        _ => Vec::new(),
    }
}

/// The target that a golden stream is of the kind of.
fn kind_of(path: &Path) -> &'static str {
    let name = path.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.split_once('-')) {
        Some(("native", _)) => "chunks",
        Some(("router", _)) => "router",
        _ => "events",
    }
}

/// The request of a golden plan: bytes as they are, or JSON. A file that is too deep to be taken apart
/// is a seed as a whole.
fn request_of(case: &[u8]) -> Vec<u8> {
    let Ok(case) = serde_json::from_slice::<serde_json::Value>(case) else {
        return case.to_vec();
    };
    match case.get("body").and_then(serde_json::Value::as_str) {
        Some(body) => body.into(),
        None => case["request"].to_string().into(),
    }
}

/// The files of a folder whose names end so, in order, with what they hold.
fn files(folder: &str, ending: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending)))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let data = fs::read(&path).unwrap();
        (path, data)
    };
    files.into_iter().map(read).collect()
}

macro_rules! fuzzed {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name));
            }
        )*

        const FUZZED: &[&str] = &[$(stringify!($name)),*];
    };
}

fuzzed!(calls chunks config events fold json object request router schema);

/// A target that is added in one place would be missed in the others.
#[test]
fn every_target_has_a_test_seeds_and_a_program() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let fuzzed: BTreeSet<String> = FUZZED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(fuzzed, targets);
    assert_eq!(names("tests/fuzz/seeds"), targets);
    assert_eq!(names("fuzz/targets"), targets);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in &targets {
        let path = format!("path = \"targets/{name}.rs\"");
        assert!(manifest.contains(&path), "fuzz/Cargo.toml lacks {path}");
    }
}
