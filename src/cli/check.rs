//! `fal-gateway check`: every setting, its origin, and what is wrong.

use std::io::{self, Write};

use super::terminal::tell;
use crate::api::catalogue::warnings;
use crate::config::{Config, Effective, Inspection, Sources, reference};

/// Exit code for settings that cannot be used.
pub const BAD_SETTINGS: u8 = 2;

/// Says on stderr which file the settings come from, where nobody named one.
pub fn name_found_file(sources: &Sources) {
    if let Some(file) = sources.file.as_ref().filter(|file| file.by_chance) {
        tell(format_args!(
            "fal-gateway: settings from {}",
            file.full_path().display()
        ));
    }
}

/// Prints the settings as they hold, then warnings and problems.
///
/// # Errors
///
/// Only those of writing.
pub fn check(sources: &Sources, out: &mut impl Write) -> io::Result<u8> {
    let Inspection { effective, outcome } = Config::inspect(sources);
    write_settings(&effective, out)?;
    writeln!(out)?;
    match outcome {
        Ok(config) => {
            for warning in warnings(&config) {
                writeln!(out, "warning: {warning}")?;
            }
            writeln!(out, "OK")?;
            Ok(0)
        }
        Err(problems) => {
            writeln!(out, "{problems}")?;
            let noun = if problems.len() == 1 {
                "problem"
            } else {
                "problems"
            };
            writeln!(out, "{} {noun}", problems.len())?;
            Ok(BAD_SETTINGS)
        }
    }
}

/// Prints the configuration reference, as `docs/configuration.md` has it.
///
/// # Errors
///
/// Only those of writing.
pub fn print_reference(out: &mut impl Write) -> io::Result<u8> {
    out.write_all(reference().as_bytes())?;
    Ok(0)
}

fn write_settings(effective: &[Effective], out: &mut impl Write) -> io::Result<()> {
    /// Beyond this width a value pushes its own origin aside, not all others.
    const WIDEST: usize = 40;
    let width = |text: &str| text.chars().count();
    let keys = effective.iter().map(|setting| width(setting.key)).max();
    let values = effective.iter().map(|setting| width(&setting.shown));
    let values = values.filter(|&width| width <= WIDEST).max();
    let (keys, values) = (keys.unwrap_or(0), values.unwrap_or(0));
    for Effective { key, shown, origin } in effective {
        writeln!(out, "{key:keys$} = {shown:values$}  # {origin}")?;
    }
    Ok(())
}
