//! `fal-gateway completions`: a script for the shell.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::args::Cli;

/// Prints the completions for `shell`.
///
/// # Errors
///
/// Only those of writing.
pub fn print_completions(shell: Shell, out: &mut impl Write) -> io::Result<u8> {
    // The generator panics when it cannot write; memory can always be written.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "fal-gateway", &mut script);
    out.write_all(&script)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_names_the_commands() {
        for shell in [
            Shell::Bash,
            Shell::Elvish,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Zsh,
        ] {
            let mut script = Vec::new();
            let code = print_completions(shell, &mut script).expect("memory can be written");
            assert_eq!(code, 0);
            let script = String::from_utf8(script).expect("a script is text");
            assert!(script.contains("emulator"), "{shell}");
        }
    }
}
