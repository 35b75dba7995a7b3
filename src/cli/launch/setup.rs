//! What a client is given, with all places filled in.

use std::io::{self, Write};
use std::path::Path;

use super::clients::Client;

/// What the places in a client's texts stand for.
#[derive(Debug)]
pub struct Values<'v> {
    /// The gateway's base URL, with `/v1`.
    pub base: &'v str,
    pub key: &'v str,
    pub model: &'v str,
    /// The model's context in tokens, if it is known.
    pub context: Option<u64>,
    /// Where the client's files lie.
    pub folder: &'v str,
}

/// A client's program with everything that it is given.
#[derive(Debug)]
pub struct Setup {
    pub environment: Vec<(&'static str, String)>,
    /// Files by their paths in the folder.
    pub files: Vec<(&'static str, String)>,
    /// The program and its arguments.
    pub command: Vec<String>,
}

impl Values<'_> {
    /// The first value with a character that could mean something in a client's settings.
    pub fn unfit(&self) -> Option<&str> {
        let fits = |text: &str| {
            let harmless =
                |letter: char| letter.is_ascii_alphanumeric() || "-._~:/?&=%+@[],".contains(letter);
            !text.is_empty() && text.chars().all(harmless)
        };
        [self.base, self.model, self.key]
            .into_iter()
            .find(|text| !fits(text))
    }

    fn fill(&self, text: &str) -> String {
        let origin = self.base.strip_suffix("/v1").unwrap_or(self.base);
        let context = self.context.map_or("null".to_owned(), |n| n.to_string());
        let places = [
            ("{base}", self.base),
            ("{origin}", origin),
            ("{key}", self.key),
            ("{model}", self.model),
            ("{context}", &context),
            ("{folder}", self.folder),
        ];
        places
            .into_iter()
            .fold(text.to_owned(), |text, (place, value)| {
                text.replace(place, value)
            })
    }
}

impl Setup {
    /// Fills in what `client` is given; the user's own arguments come last.
    pub fn new(client: &Client, values: &Values<'_>, arguments: &[String]) -> Setup {
        let program = Some(client.program.to_owned()).filter(|program| !program.is_empty());
        let given = client.arguments.iter().map(|text| values.fill(text));
        let pairs = |texts: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
            let filled = texts.iter().map(|(name, text)| (*name, values.fill(text)));
            filled.collect()
        };
        Setup {
            environment: pairs(client.environment),
            files: pairs(client.files),
            command: program
                .into_iter()
                .chain(given)
                .chain(arguments.iter().cloned())
                .collect(),
        }
    }

    /// Prints the same as commands of a shell.
    ///
    /// # Errors
    /// Those of writing.
    pub fn print(&self, folder: &str, out: &mut impl Write) -> io::Result<()> {
        for (path, text) in &self.files {
            let file = Path::new(folder).join(path);
            let parent = file.parent().unwrap_or(Path::new(folder));
            let parent = quoted(&parent.to_string_lossy());
            let file = quoted(&file.to_string_lossy());
            // A folder that somebody else has made cannot be closed to others, and gets no key.
            writeln!(
                out,
                "mkdir -p -m 700 {parent} && chmod 700 {} && cat > {file} <<'END'\n{}\nEND",
                quoted(folder),
                text.trim_end()
            )?;
        }
        for (name, value) in &self.environment {
            writeln!(out, "export {name}={}", quoted(value))?;
        }
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        writeln!(out, "{}", words.join(" "))
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._/:=@%+,".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::launch::clients::{CLIENTS, MISSING};

    const VALUES: Values<'_> = Values {
        base: "http://127.0.0.1:3250/v1",
        key: "sk-1",
        model: "openai/gpt-4o-mini",
        context: Some(128_000),
        folder: "/tmp/folder",
    };

    #[test]
    fn every_place_is_filled_in() {
        for client in CLIENTS {
            let setup = Setup::new(client, &VALUES, &[]);
            let pairs = setup.environment.iter().chain(&setup.files);
            let texts = pairs.map(|(_, text)| text).chain(&setup.command);
            for text in texts {
                for place in ["base", "origin", "key", "model", "context", "folder"] {
                    assert!(!text.contains(&format!("{{{place}}}")), "{text}");
                }
            }
        }
    }

    #[test]
    fn every_client_is_pointed_at_the_gateway_and_has_one_name() {
        let mut names: Vec<&str> = CLIENTS.iter().map(|client| client.name).collect();
        names.extend(MISSING.iter().map(|missing| missing.name));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for client in CLIENTS {
            let setup = format!("{:?}", Setup::new(client, &VALUES, &[]));
            assert!(setup.contains("http://127.0.0.1:3250"), "{}", client.name);
            assert!(setup.contains("sk-1"), "{}", client.name);
        }
    }

    #[test]
    fn files_of_json_are_json() {
        for context in [None, Some(128_000)] {
            let values = Values { context, ..VALUES };
            for client in CLIENTS {
                for (path, text) in Setup::new(client, &values, &[]).files {
                    let is_json = path.ends_with(".json");
                    let parsed = serde_json::from_str::<serde_json::Value>(&text);
                    assert!(!is_json || parsed.is_ok(), "{path}: {text}");
                }
            }
        }
    }

    #[test]
    fn what_could_mean_something_elsewhere_is_found() {
        assert_eq!(VALUES.unfit(), None);
        for model in [
            "a\"b", "a b", "a'b", "a\nb", "$a", "{key}", "", "a\\b", "`a`",
        ] {
            let values = Values { model, ..VALUES };
            assert_eq!(values.unfit(), Some(model));
        }
    }

    #[test]
    fn words_come_through_a_shell_as_they_are() {
        assert_eq!(quoted("--model=openai/gpt-4o"), "--model=openai/gpt-4o");
        assert_eq!(quoted("it's \"so\""), r#"'it'\''s "so"'"#);
        assert_eq!(quoted(""), "''");
    }
}
