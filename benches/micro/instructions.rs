//! Instructions, counted by callgrind: those of a run that does the work, less those of a run that
//! only prepares it.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::cases::{ANY_LLM_EVENT, CASES, NATIVE_EVENT};

/// Before a case's name: do its work once, and nothing else.
pub(crate) const WORK: &str = "--work";
/// Before a case's name: only prepare its work.
pub(crate) const PREPARE: &str = "--prepare";

/// How many times the instructions of an event of any-llm a chunk of the native face may take.
const MOST_FOR_A_CHUNK: f64 = 1.3;

/// Runs each case under callgrind and prints the instructions of one operation, and
/// how an event of the native face compares with one of any-llm.
pub(crate) fn print_table() {
    println!("| Step | instructions |\n|---|---:|");
    let mut counted = HashMap::new();
    for case in CASES {
        let work = count(WORK, case.name) - count(PREPARE, case.name);
        let each = work / case.operations as f64;
        counted.insert(case.name, each);
        println!("| {} | {each:.0} |", case.name);
    }
    let ratio = counted[NATIVE_EVENT] / counted[ANY_LLM_EVENT];
    println!("\n{NATIVE_EVENT}: {ratio:.2} times an {ANY_LLM_EVENT}");
    assert!(
        ratio <= MOST_FOR_A_CHUNK,
        "that is more than {MOST_FOR_A_CHUNK} times"
    );
}

/// What callgrind looks at.
pub(crate) fn run(what: &str, name: &str) {
    let case = CASES.iter().find(|case| case.name == name);
    let work = (case.expect("the name of a case").prepare)();
    if what == WORK {
        work();
    }
}

fn count(what: &str, name: &str) -> f64 {
    let program = std::env::current_exe().expect("a program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([what, name])
        .stdout(Stdio::null())
        .output()
        .expect("valgrind has to be installed");
    let printed = String::from_utf8_lossy(&output.stderr);
    let collected = printed.split("Collected : ").nth(1);
    let number = collected.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("callgrind counted nothing: {printed}"))
}
