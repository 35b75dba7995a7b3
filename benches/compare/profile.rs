//! Where the work of a request goes: instructions, counted by valgrind's callgrind in the gateway
//! while it answers. They are the same on a busy machine as on a quiet one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::load::{self, FIGURES, Figure, Run};
use crate::peer::{Kind, Peer, Setup};
use crate::scenario::Scenario;
use crate::upstream::Upstream;

/// How many functions are shown of each figure.
const SHOWN: usize = 10;
/// Requests that are counted for a figure; each takes some fifty times its time.
const REQUESTS: usize = 40;
/// Requests before them, so that what is made once is made.
const WARM_UP: usize = 20;
/// What callgrind writes; each dump has a number behind it.
const OUTPUT: &str = "profile";

/// Prints for each figure that takes requests the instructions of one, and its largest functions.
///
/// # Errors
/// Without valgrind, or where the gateway gives a wrong answer.
pub(crate) async fn run(gateway: &Path, upstream: &Upstream, only: &str) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let program = under_callgrind(gateway, folder.path())?;
    for setup in Setup::ALL {
        let figures = FIGURES.iter().filter_map(|figure| match figure.run {
            Run::Load(scenario, ..) if figure.setup == setup && figure.name.contains(only) => {
                Some((figure, scenario))
            }
            _ => None,
        });
        let figures: Vec<_> = figures.collect();
        if figures.is_empty() {
            continue;
        }
        let peer = Peer::start(Kind::Gateway, setup, &program, upstream).await?;
        for (figure, scenario) in figures {
            let profile = counted(&peer, scenario, folder.path()).await?;
            print(figure, &profile);
        }
    }
    Ok(())
}

/// A script that runs the gateway under callgrind.
fn under_callgrind(gateway: &Path, folder: &Path) -> Outcome<PathBuf> {
    let script = folder.join("gateway");
    let output = folder.join(OUTPUT);
    fs::write(
        &script,
        format!(
            "#!/bin/sh\nexec valgrind --tool=callgrind --callgrind-out-file='{}' '{}' \"$@\"\n",
            output.display(),
            gateway.display()
        ),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    Ok(script)
}

/// The instructions of a request.
struct Profile {
    total: usize,
    /// By function, the largest first.
    functions: Vec<(String, usize)>,
}

async fn counted(peer: &Peer, scenario: Scenario, folder: &Path) -> Outcome<Profile> {
    load::check(peer, scenario).await?;
    load::run(peer, scenario, WARM_UP, 1).await?;
    control(peer, "--zero")?;
    load::run(peer, scenario, REQUESTS, 1).await?;
    control(peer, "--dump")?;
    // A dump has a number behind its name, and each is taken away once it is read.
    let mut files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let dump = files.find(|path| path.extension().is_some());
    let dump = dump.ok_or("callgrind wrote nothing")?;
    let output = Command::new("callgrind_annotate")
        .args(["--threshold=100", "--auto=no", "--tree=none"])
        .arg(&dump)
        .output()?;
    fs::remove_file(dump)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let total = printed.lines().find_map(|line| {
        let (count, _) = line.split_once(" (100.0%)  PROGRAM TOTALS")?;
        number(count)
    });
    let total = total.ok_or("callgrind counted nothing")?;
    let mut counts = BTreeMap::<String, usize>::new();
    for (count, function) in printed.lines().filter_map(entry) {
        // To what a thread stands in since its start all is added that it does.
        if count < total / 2 {
            *counts.entry(function).or_default() += count;
        }
    }
    let each = |(function, count)| (function, count / REQUESTS);
    let mut functions: Vec<_> = counts.into_iter().map(each).collect();
    functions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(Profile {
        total: total / REQUESTS,
        functions,
    })
}

/// Tells callgrind in a running gateway to do something.
fn control(peer: &Peer, what: &str) -> Outcome<()> {
    let id = peer.process_id().ok_or("there is no process")?;
    let done = Command::new("callgrind_control")
        .args([what, &id.to_string()])
        .output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).into()),
    }
}

/// The instructions and the function of a line such as `1,234 ( 5.6%)  file.rs:function [program]`.
fn entry(line: &str) -> Option<(usize, String)> {
    let (count, rest) = line.trim_start().split_once(" (")?;
    let count = number(count)?;
    let (_, place) = rest.split_once("%)")?;
    let place = place.trim_start();
    let place = place.rsplit_once(" [").map_or(place, |(place, _)| place);
    // Paths have no colons, and what callgrind cannot place stands behind `???`.
    let (_, function) = place.split_once(':')?;
    Some((count, function.to_owned()))
}

fn number(text: &str) -> Option<usize> {
    text.trim().replace(',', "").parse().ok()
}

fn print(figure: &Figure, Profile { total, functions }: &Profile) {
    const WIDTH: usize = 100;
    println!("\n{}: {total} instructions", figure.name);
    for (function, count) in functions.iter().take(SHOWN) {
        let share = *count as f64 * 100.0 / (*total).max(1) as f64;
        let name: String = function.chars().take(WIDTH).collect();
        println!("{count:>10} {share:>5.1} %  {name}");
    }
}
