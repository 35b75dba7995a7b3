//! What the doctor says: one line for each thing that was looked at.

use std::io::{self, Write};

/// The exit codes, by what is wrong first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ailment {
    Settings = 2,
    /// The name, the connection, TLS or the proxy.
    Way = 3,
    Key = 4,
    Application = 5,
    Balance = 6,
    Answer = 7,
}

/// How something looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Fine(String),
    /// It works, and deserves a second look.
    Note(String),
    Wrong(Ailment, String),
    /// It was not looked at, and why.
    Skipped(String),
}

/// Writes findings as they come, and remembers the first that is wrong.
pub(super) struct Report<'w, W> {
    out: &'w mut W,
    first: Option<Ailment>,
}

impl<'w, W: Write> Report<'w, W> {
    pub(super) fn new(out: &'w mut W) -> Self {
        Self { out, first: None }
    }

    /// Writes one line. Whether it is none that says what is wrong.
    pub(super) fn tell(&mut self, what: &str, finding: &Finding) -> io::Result<bool> {
        let (mark, words) = match finding {
            Finding::Fine(words) => ("ok", words),
            Finding::Note(words) => ("note", words),
            Finding::Wrong(_, words) => ("WRONG", words),
            Finding::Skipped(words) => ("-", words),
        };
        writeln!(self.out, "{mark:<5} {what:<12} {words}")?;
        self.out.flush()?;
        if let Finding::Wrong(ailment, _) = finding {
            self.first.get_or_insert(*ailment);
        }
        Ok(!matches!(finding, Finding::Wrong(..)))
    }

    /// A line that is no finding.
    pub(super) fn say(&mut self, words: &str) -> io::Result<()> {
        writeln!(self.out, "{words}")?;
        self.out.flush()
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        self.first.map_or(0, |ailment| ailment as u8)
    }
}
