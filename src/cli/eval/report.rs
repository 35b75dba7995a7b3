//! The table, and what is said besides.

use std::io::{self, Write};

use super::judge::Outcome;
use crate::config::Figures;

/// What came of the tasks in one row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) figures: Figures,
    /// Answers that were not right, in words.
    pub(super) remarks: Vec<String>,
    /// Whether the server told how its answers came about.
    pub(super) is_told: bool,
}

impl Row {
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            is_told: true,
            ..Self::default()
        }
    }

    /// Counts what came of one task.
    pub(super) fn count(&mut self, task: &str, outcome: &Outcome) {
        let figures = &mut self.figures;
        let (figure, remark) = match outcome {
            Outcome::FirstTry => (&mut figures.first_try, None),
            Outcome::Repaired => (&mut figures.repaired, None),
            Outcome::Reasked => (&mut figures.reasked, None),
            Outcome::Missed(why) => (&mut figures.missed, Some(format!("missed: {why}"))),
            Outcome::Error(code) => (&mut figures.errors, Some(format!("error: {code}"))),
            Outcome::Invalid(how) => (&mut figures.invalid, Some(format!("INVALID: {how}"))),
        };
        *figure += 1;
        self.remarks
            .extend(remark.map(|remark| format!("{task}: {remark}")));
    }
}

/// Begins the table.
pub(super) fn write_head(first_column: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "| {first_column} | First try | Repaired | Asked again | Missed | Errors | Invalid |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    out.flush()
}

/// Adds a row to the table.
pub(super) fn write_row(row: &Row, out: &mut impl Write) -> io::Result<()> {
    let Figures {
        first_try,
        repaired,
        reasked,
        missed,
        errors,
        invalid,
    } = row.figures;
    let label = row.label.replace('|', "\\|");
    writeln!(
        out,
        "| {label} | {first_try} | {repaired} | {reasked} | {missed} | {errors} | {invalid} |"
    )?;
    out.flush()
}

/// What was wrong, answer by answer, as far as `is_shown` wants it.
pub(super) fn write_remarks(
    rows: &[Row],
    is_shown: impl Fn(&str) -> bool,
    out: &mut impl Write,
) -> io::Result<()> {
    const LONGEST: usize = 300;
    for row in rows {
        for remark in row.remarks.iter().filter(|remark| is_shown(remark)) {
            // What a model wrote may hold anything, and goes to a terminal.
            let plain = remark.chars().take(LONGEST).flat_map(char::escape_debug);
            writeln!(out, "{}: {}", row.label, plain.collect::<String>())?;
        }
    }
    Ok(())
}
