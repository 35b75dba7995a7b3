//! Lines of names and numbers, printed as a table, as CSV or as JSON, one object a line.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::{Map, Value};

/// How lines are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Columns for people.
    #[default]
    Table,
    /// Comma-separated values with a head (RFC 4180).
    Csv,
    /// A JSON object on each line.
    Ndjson,
}

/// What stands in one column of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Count(i64),
    /// A decimal number.
    Decimal(String),
}

/// Prints lines under one head. A table is printed at the end, when the widths of its columns are
/// known; the other forms at once.
pub struct Sheet<'o, W> {
    out: &'o mut W,
    form: Form,
    head: Vec<&'static str>,
    lines: Vec<Vec<Cell>>,
}

impl<'o, W: Write> Sheet<'o, W> {
    /// A sheet with these columns.
    ///
    /// # Errors
    /// Those of writing.
    pub fn new(out: &'o mut W, form: Form, head: Vec<&'static str>) -> io::Result<Self> {
        if form == Form::Csv {
            write!(out, "{}\r\n", head.join(","))?;
        }
        Ok(Self {
            out,
            form,
            head,
            lines: Vec::new(),
        })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Those of writing.
    pub fn add(&mut self, line: Vec<Cell>) -> io::Result<()> {
        match self.form {
            Form::Table => {
                self.lines.push(line);
                Ok(())
            }
            Form::Csv => {
                let cells: Vec<String> = line.iter().map(in_csv).collect();
                write!(self.out, "{}\r\n", cells.join(","))
            }
            Form::Ndjson => {
                let names = self.head.iter().map(|name| (*name).to_owned());
                let object: Map<String, Value> = names.zip(line.into_iter().map(in_json)).collect();
                writeln!(self.out, "{}", Value::Object(object))
            }
        }
    }

    /// Ends the sheet.
    ///
    /// # Errors
    /// Those of writing.
    pub fn end(self) -> io::Result<()> {
        if self.form != Form::Table {
            return Ok(());
        }
        let head = self.head.iter().map(|name| Cell::Text((*name).to_owned()));
        let lines = || std::iter::once(head.clone().collect()).chain(self.lines.iter().cloned());
        let mut widths = vec![0; self.head.len()];
        for line in lines() {
            let line: Vec<Cell> = line;
            for (width, cell) in widths.iter_mut().zip(&line) {
                *width = (*width).max(shown(cell).chars().count());
            }
        }
        let is_text: Vec<bool> = match self.lines.first() {
            None => vec![true; widths.len()],
            Some(line) => line
                .iter()
                .map(|cell| matches!(cell, Cell::Text(_)))
                .collect(),
        };
        for line in lines() {
            let mut printed = String::new();
            for ((cell, width), is_text) in line.iter().zip(&widths).zip(&is_text) {
                let cell = shown(cell);
                printed += &match is_text {
                    true => format!("{cell:width$}  "),
                    false => format!("{cell:>width$}  "),
                };
            }
            writeln!(self.out, "{}", printed.trim_end())?;
        }
        Ok(())
    }
}

/// What a terminal shows of it: nothing in a name moves the cursor.
fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect(),
        Cell::Count(count) => count.to_string(),
        Cell::Decimal(number) => number.clone(),
    }
}

/// Spreadsheets take a text for a formula that begins like one; an apostrophe before it prevents that
/// (source: OWASP, "CSV Injection").
fn in_csv(cell: &Cell) -> String {
    let Cell::Text(text) = cell else {
        return shown(cell);
    };
    let is_formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = match is_formula {
        true => format!("'{text}"),
        false => text.clone(),
    };
    match text.contains([',', '"', '\r', '\n', ';', '\t']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn in_json(cell: Cell) -> Value {
    match cell {
        Cell::Text(text) => Value::from(text),
        Cell::Count(count) => Value::from(count),
        Cell::Decimal(number) => number.parse::<f64>().map_or(Value::Null, Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(form: Form) -> String {
        let mut out = Vec::new();
        let mut sheet = Sheet::new(&mut out, form, vec!["key", "calls", "units"]).unwrap();
        for (key, calls, units) in [
            ("ci", 7, "0.25"),
            ("=1+1", 12, "3"),
            ("a,\"b\"\u{7}", 0, "0"),
        ] {
            let decimal = Cell::Decimal(units.to_owned());
            sheet
                .add(vec![
                    Cell::Text(key.to_owned()),
                    Cell::Count(calls),
                    decimal,
                ])
                .unwrap();
        }
        sheet.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_come_in_every_form_and_formulas_are_defused() {
        assert_eq!(
            printed(Form::Table),
            "key     calls  units\nci          7   0.25\n=1+1       12      3\na,\"b\"       0      0\n"
        );
        assert_eq!(
            printed(Form::Csv),
            "key,calls,units\r\nci,7,0.25\r\n'=1+1,12,3\r\n\"a,\"\"b\"\"\u{7}\",0,0\r\n"
        );
        assert_eq!(
            printed(Form::Ndjson),
            "{\"key\":\"ci\",\"calls\":7,\"units\":0.25}\n{\"key\":\"=1+1\",\"calls\":12,\"units\":3.0}\n\
             {\"key\":\"a,\\\"b\\\"\\u0007\",\"calls\":0,\"units\":0.0}\n"
        );
    }
}
