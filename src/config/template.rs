//! A settings file to begin with, rendered from the table: every setting with its meaning and its
//! default, commented out.

use super::settings::{Setting, sections};

/// The widest line of the file, in characters.
const WIDTH: usize = 100;

/// The whole file in TOML. As it stands it changes nothing; without the `#` before a setting it
/// still changes nothing, where the setting has a default.
pub fn template() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in sections() {
        page += "\n";
        comment(&mut page, &section.about);
        page += &format!("[{}]\n", section.name);
        for setting in &section.settings {
            page += "\n";
            comment(&mut page, setting.meaning.trim());
            if let Some(flag) = setting.flag {
                comment(&mut page, &format!("Flag {flag}."));
            }
            page += &format!("#{}\n", line(setting));
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Settings of fal-gateway. All of them are here, commented out: take the # away before the ones
# that you change. What is not here comes from the defaults, the environment (FAL_GATEWAY__SERVER__LISTEN
# for server.listen) and the command line. `fal-gateway check` shows the outcome and where it comes from.
";

/// A setting with its default, as TOML has it: numbers, switches, lists and tables as they are,
/// everything else as text. One without a default says what it takes.
fn line(setting: &Setting) -> String {
    let name = setting.name();
    let takes = &setting.takes_in_short;
    match setting.default {
        "" => format!(" {name} =   # {takes}"),
        default => {
            let bare = format!("{name} = {default}");
            match toml::de::DeTable::parse(&bare) {
                Ok(_) => bare,
                // The defaults hold nothing that a string in Rust escapes otherwise than one in TOML.
                Err(_) => format!("{name} = {default:?}"),
            }
        }
    }
}

/// Writes a text as comments, broken between words.
fn comment(page: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count() + 1;
        match width {
            0 => *page += "#",
            _ if width + length > WIDTH => {
                *page += "\n#";
                width = 0;
            }
            _ => {}
        }
        *page += " ";
        *page += word;
        width += length;
    }
    *page += "\n";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn the_file_is_fine_as_it_stands_and_with_every_default_written_out() {
        let page = template();
        let load = |text: &str| {
            let sources = Sources::default()
                .with_env("FAL_KEY", "id:secret")
                .with_file("fal-gateway.toml", text);
            Config::load(&sources).map(|config| format!("{:?}", config.server))
        };
        let untouched = load("").expect("no settings are fine");
        assert_eq!(load(&page).expect("the file is fine"), untouched);
        let is_default = |line: &str| line.starts_with('#') && !line.starts_with("# ");
        let written = page.lines().map(|line| match is_default(line) {
            true => line.trim_start_matches('#'),
            false => line,
        });
        let written: String = written.flat_map(|line| [line, "\n"]).collect();
        assert!(
            written.contains("\nlisten = \"127.0.0.1:3250\"\n"),
            "{written}"
        );
        assert_eq!(load(&written).expect("the defaults are fine"), untouched);
        let all = sections().iter().map(|section| section.settings.len());
        let named = page
            .lines()
            .filter(|line| is_default(line) || line.starts_with("# ") && line.contains(" =   # "));
        assert_eq!(named.count(), all.sum::<usize>());
    }
}
