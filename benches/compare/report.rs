//! The table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use crate::load::{FIGURES, Figure, LONG, SHORT, median};
use crate::peer::Kind;

/// The figures of all rounds.
#[derive(Default)]
pub(crate) struct Report {
    values: BTreeMap<(&'static str, Kind), Vec<f64>>,
}

impl Report {
    pub(crate) fn add(&mut self, figure: &Figure, kind: Kind, value: f64) {
        self.values
            .entry((figure.name, kind))
            .or_default()
            .push(value);
    }

    fn median(&self, figure: &Figure, kind: Kind) -> Option<f64> {
        self.values.get(&(figure.name, kind)).cloned().map(median)
    }

    /// A table of medians, with what was measured where and when.
    pub(crate) fn to_markdown(&self, rounds: usize) -> String {
        let mut table = format!("{}\n\n", setting(rounds));
        table.push_str("| Figure | fal, directly | nginx | fal-gateway | gateway : nginx |\n|---|---:|---:|---:|---:|\n");
        for figure in FIGURES {
            let [direct, nginx, gateway] =
                [Kind::Direct, Kind::Nginx, Kind::Gateway].map(|kind| self.median(figure, kind));
            if direct.or(nginx).or(gateway).is_none() {
                continue;
            }
            let cell = |value: Option<f64>| {
                value.map_or("-".to_owned(), |value| number(value, figure.unit))
            };
            let ratio = nginx.zip(gateway).map(|(nginx, gateway)| gateway / nginx);
            let cells = [cell(direct), cell(nginx), cell(gateway)].join(" | ");
            let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = writeln!(table, "| {} | {cells} | {ratio} |", figure.name);
        }
        self.add_growth(&mut table);
        table
    }

    /// What the length of the text before it adds to the cost of an event.
    fn add_growth(&self, table: &mut String) {
        let growth = [Kind::Nginx, Kind::Gateway].map(|kind| {
            let cost = |run| FIGURES.iter().find(|figure| figure.run == run);
            let [short, long] = [SHORT, LONG].map(|run| self.median(cost(run)?, kind));
            long.zip(short).map(|(long, short)| long / short)
        });
        if let [Some(nginx), Some(gateway)] = growth {
            let _ = writeln!(
                table,
                "| cost of an event among 2,000 : among 200 | - | {nginx:.2} | {gateway:.2} | - |"
            );
        }
    }
}

fn number(value: f64, unit: &str) -> String {
    let digits = if value < 10.0 { 2 } else { 1 };
    format!("{value:.digits$} {unit}")
}

/// Date, machine and versions.
fn setting(rounds: usize) -> String {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let date = output("date", &["-u", "+%Y-%m-%d"]);
    let nginx = output("nginx", &["-v"]);
    let cores = cpu_info.matches("processor\t").count().max(cores);
    format!(
        "Taken on {date} on {cores} cores of {model}: {nginx}, fal-gateway {}; medians of {rounds} rounds.",
        env!("CARGO_PKG_VERSION")
    )
}

/// The first line of what a program prints, wherever it prints it.
fn output(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return format!("{program} (not found)");
    };
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let line = printed.lines().next().unwrap_or_default();
    line.rsplit(": ").next().unwrap_or(line).to_owned()
}
