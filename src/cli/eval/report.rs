//! The table, and what is said besides.

use std::io::{self, Write};

use super::judge::Outcome;
use crate::config::Figures;

/// What came of the tasks in one row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) figures: Figures,
    /// Answers that were not right.
    pub(super) remarks: Vec<Remark>,
    /// Whether the server told how its answers came about.
    pub(super) is_told: bool,
}

/// What was wrong with an answer.
#[derive(Debug)]
pub(super) struct Remark {
    /// In words.
    pub(super) says: String,
    /// Whether it breaks a promise.
    pub(super) is_breach: bool,
    /// What the model wrote each time that it was asked, or else what was delivered.
    pub(super) texts: Vec<String>,
}

impl Row {
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            is_told: true,
            ..Self::default()
        }
    }

    /// Counts what came of one task, for which the model wrote these texts.
    pub(super) fn count(&mut self, task: &str, outcome: &Outcome, texts: Vec<String>) {
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
        self.remarks.extend(remark.map(|remark| Remark {
            says: format!("{task}: {remark}"),
            is_breach: matches!(outcome, Outcome::Invalid(_)),
            texts,
        }));
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

/// What was wrong, answer by answer, as far as `is_shown` wants it, and with `texts` what the model
/// wrote.
pub(super) fn write_remarks(
    rows: &[Row],
    is_shown: impl Fn(&Remark) -> bool,
    with_texts: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    const LONGEST: usize = 300;
    const LONGEST_TEXT: usize = 1000;
    for row in rows {
        for remark in row.remarks.iter().filter(|remark| is_shown(remark)) {
            writeln!(out, "{}: {}", row.label, plain(&remark.says, LONGEST))?;
            for text in remark.texts.iter().filter(|_| with_texts) {
                writeln!(out, "    > {}", plain(text, LONGEST_TEXT))?;
            }
        }
    }
    Ok(())
}

/// A text's beginning on one line. What a model wrote may hold anything, and goes to a terminal.
fn plain(text: &str, most: usize) -> String {
    let letter = |letter: char| match letter {
        '"' | '\'' => vec![letter],
        '\n' => vec!['⏎'],
        _ => letter.escape_debug().collect(),
    };
    text.chars().take(most).flat_map(letter).collect()
}
