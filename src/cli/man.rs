//! `fal-gateway man`: the manual page, made from the descriptions of the commands.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::Cli;

/// Prints the page in the form that `man` reads: the command with its subcommands, and after it
/// each subcommand with its options.
///
/// # Errors
/// Only those of writing.
pub fn print_man(out: &mut impl Write) -> io::Result<u8> {
    let command = Cli::command();
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    for command in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let name = format!("fal-gateway {}", command.get_name());
        let command = command
            .clone()
            .bin_name(name.clone())
            .display_name(name.clone());
        let man = Man::new(command);
        writeln!(page, ".SH {}", name.to_uppercase())?;
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    out.write_all(&page)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_section_for_each_command() {
        let mut page = Vec::new();
        assert_eq!(print_man(&mut page).expect("memory can be written"), 0);
        let page = String::from_utf8(page).expect("a page is text");
        for command in Cli::command().get_subcommands() {
            let heading = format!(".SH FAL-GATEWAY {}\n", command.get_name().to_uppercase());
            assert!(page.contains(&heading), "{heading}");
        }
        assert!(page.contains("\\-\\-listen"), "options are told");
    }
}
