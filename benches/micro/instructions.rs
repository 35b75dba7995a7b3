//! Instructions, counted by callgrind: those of a run that does the work, less those of a run that
//! only prepares it.

use std::process::{Command, Stdio};

use crate::cases::CASES;

/// Before a case's name: do its work once, and nothing else.
pub(crate) const WORK: &str = "--work";
/// Before a case's name: only prepare its work.
pub(crate) const PREPARE: &str = "--prepare";

/// Runs each case under callgrind and prints the instructions of one operation.
pub(crate) fn print_table() {
    println!("| Step | instructions |\n|---|---:|");
    for case in CASES {
        let work = count(WORK, case.name) - count(PREPARE, case.name);
        println!("| {} | {:.0} |", case.name, work / case.operations as f64);
    }
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
