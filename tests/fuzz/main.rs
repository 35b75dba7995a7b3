//! The promises against inputs that nobody thought of: the stored corpus, then mutations of it for
//! a few seconds per target.
//!
//! `FUZZ_SECONDS=60` looks longer, `FUZZ_SEED=7` begins elsewhere; each round has a seed of its
//! own, counted up from there, so that the one that failed can be run first. `fuzz/README.md` tells
//! how to look for new paths with libFuzzer, which is where the corpus comes from.
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
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a target over its corpus, and then over mutations of it until the time is up.
fn fuzz(name: &str) {
    let (_, check) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    for (path, data) in &corpus {
        if let Err(why) = run(*check, data) {
            panic!("{} breaks a promise: {why}", path.display());
        }
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, data)| data).collect();
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", SECONDS));
    let mut seed = number("FUZZ_SEED", 1);
    while Instant::now() < end {
        let data = mutate::mutate(&inputs, seed);
        if let Err(why) = run(*check, &data) {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{seed}"));
            fs::write(&path, &data).unwrap();
            panic!(
                "FUZZ_SEED={seed} breaks a promise of {name}: {why}\n{}\n\
                 Once it is mended, keep it: mv {} tests/fuzz/corpus/{name}/",
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
        elapsed if elapsed > PATIENCE => Err(format!("it takes {elapsed:?}")),
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

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("tests/fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{} holds too little", folder.display());
    files
        .into_iter()
        .map(|path| {
            let data = fs::read(&path).unwrap();
            (path, data)
        })
        .collect()
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

fuzzed!(calls config events fold json object request schema);

/// A target that is added in one place would be missed in the others.
#[test]
fn every_target_has_a_test_a_corpus_and_a_program() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let fuzzed: BTreeSet<String> = FUZZED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(fuzzed, targets);
    assert_eq!(names("tests/fuzz/corpus"), targets);
    assert_eq!(names("fuzz/targets"), targets);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in &targets {
        let path = format!("path = \"targets/{name}.rs\"");
        assert!(manifest.contains(&path), "fuzz/Cargo.toml lacks {path}");
    }
}
