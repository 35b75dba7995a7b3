//! The table, and what is said besides.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::judge::Outcome;
use super::tasks::Task;
use crate::config::Figures;

/// What came of the tasks in one row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) figures: Figures,
    /// The same, for the tasks in which the model is shown an outline of JSON, if it is.
    pub(super) outlined: Figures,
    /// Answers that were not right.
    pub(super) remarks: Vec<Remark>,
    /// What had to be mended, by name.
    pub(super) mended: BTreeSet<String>,
    /// Whether the server told how its answers came about.
    pub(super) is_told: bool,
    /// Whether tools or schemas were written into the prompt.
    pub(super) is_written: bool,
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

    /// Adds a remark on the whole row.
    pub(super) fn say(&mut self, says: String) {
        self.remarks.push(Remark {
            says,
            is_breach: false,
            texts: Vec::new(),
        });
    }

    /// Counts what came of one task, in this way of asking, for which the model wrote these texts.
    pub(super) fn count(&mut self, task: &Task, way: &str, outcome: &Outcome, texts: Vec<String>) {
        *figure(&mut self.figures, outcome) += 1;
        if task.has_outline() {
            *figure(&mut self.outlined, outcome) += 1;
        }
        let remark = match outcome {
            Outcome::FirstTry | Outcome::Repaired | Outcome::Reasked => return,
            Outcome::Missed(why) => format!("missed: {why}"),
            Outcome::Error(code) => format!("error: {code}"),
            Outcome::Invalid(how) => format!("INVALID: {how}"),
        };
        self.remarks.push(Remark {
            says: format!("{}{way}: {remark}", task.name),
            is_breach: matches!(outcome, Outcome::Invalid(_)),
            texts,
        });
    }
}

/// The figure that an outcome counts in.
fn figure<'f>(figures: &'f mut Figures, outcome: &Outcome) -> &'f mut usize {
    match outcome {
        Outcome::FirstTry => &mut figures.first_try,
        Outcome::Repaired => &mut figures.repaired,
        Outcome::Reasked => &mut figures.reasked,
        Outcome::Missed(_) => &mut figures.missed,
        Outcome::Error(_) => &mut figures.errors,
        Outcome::Invalid(_) => &mut figures.invalid,
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

/// What was mended, by name, and how the model went wrong where it was: in so many rows.
pub(super) fn write_mended(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut labels = BTreeMap::<&str, Vec<&str>>::new();
    for row in rows {
        for name in &row.mended {
            labels.entry(name).or_default().push(&row.label);
        }
    }
    writeln!(out, "\n| Mended | In rows | The first |\n|---|---|---|")?;
    for (name, rows) in labels {
        let first = rows.first().copied().unwrap_or_default();
        let first = first.split_once(": ").map_or(first, |(word, _)| word);
        writeln!(out, "| {name} | {} | {first} |", rows.len())?;
    }
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
