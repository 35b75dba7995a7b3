//! The README tells the truth: its tables, its commands, its examples.

use std::path::Path;
use std::process::Command;

use clap::Parser;
use fal_gateway::cli::args::Cli;
use fal_gateway::config::{self, Config, Sources};
use fal_gateway::translate::draft::Fate;
use serde_json::Value;

use crate::contract::description::{Judge, document};
use crate::contract::fates::{CHAT, COMPLETIONS, Face, MESSAGES, name};
use crate::contract::{eval, file};

/// The fields of a chat request by what becomes of them.
fn fields() -> String {
    let mut page = String::new();
    for (fate, about) in [
        (Fate::Forwarded, "fal has the same thing"),
        (Fate::Emulated, "the gateway does it itself"),
        (
            Fate::Ignored,
            "without effect, and named in `x-gateway-ignored`",
        ),
        (
            Fate::Refused,
            "a 400, because the answer would mean something else without it",
        ),
    ] {
        let name = name(fate);
        let (first, rest) = name.split_at(1);
        let title = first.to_uppercase() + rest;
        page += &format!("**{title}**: {about}.\n\n| Field | How |\n|---|---|\n");
        for row in CHAT.table.iter().filter(|row| row.fate == fate) {
            page += &format!("| `{}` | {} |\n", row.name, row.says);
        }
        page += "\n";
    }
    page
}

/// The fields of a completion request, in one table.
fn completion_fields() -> String {
    in_one_table(&COMPLETIONS)
}

fn in_one_table(face: &Face) -> String {
    let mut page = "| Field | Fate | How |\n|---|---|---|\n".to_owned();
    for row in face.table {
        page += &format!("| `{}` | {} | {} |\n", row.name, name(row.fate), row.says);
    }
    page
}

/// Compares what stands between two markers with what belongs there, or writes it.
fn generated(marker: &str, wanted: &str) {
    let readme = file("README.md");
    let (begin, end) = (
        format!("<!-- {marker}: generated -->\n\n"),
        format!("<!-- /{marker} -->"),
    );
    let (before, rest) = readme.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(&end).unwrap();
    let wanted = wanted.trim_end_matches('\n').to_owned() + "\n\n";
    if std::env::var_os("UPDATE_README").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        std::fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "the README is behind; UPDATE_README=1 cargo test --test http writes it"
    );
}

/// One test for all parts, because all write the same file.
#[test]
fn the_generated_parts_are_up_to_date() {
    generated("fields", &fields());
    generated("completion-fields", &completion_fields());
    generated("message-fields", &in_one_table(&MESSAGES));
    generated("settings", &config::reference());
    generated("speed", &file("bench/RESULTS.md"));
    generated("eval", &eval::table());
}

/// A fenced block: its language and its text.
struct Block<'t> {
    language: &'t str,
    text: &'t str,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, after) = after.split_once('\n').unwrap();
        let (text, after) = after.split_once("\n```").unwrap();
        blocks.push(Block { language, text });
        rest = after;
    }
    blocks
}

/// The words of a shell's line, quotes taken off; up to a pipe, a comment or what follows `&&`.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut is_word = false;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => (quote, is_word) = (Some(letter), true),
            (None, '|' | '&' | '#' | '<' | '>') => break,
            (None, ' ') => {
                if std::mem::take(&mut is_word) {
                    words.push(String::new());
                }
            }
            _ => {
                is_word = true;
                words.last_mut().unwrap().push(letter);
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The arguments of our program in a line, if the line runs it.
pub(crate) fn our_arguments(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let is_ours = |word: &String| word == "fal-gateway" || word.ends_with("/fal-gateway");
    let is_setting = |word: &&String| word.contains('=') && !word.starts_with('-');
    let start = words.iter().take_while(is_setting).count();
    let command = words.get(start)?;
    let arguments = match command.as_str() {
        "cargo" if words.get(start + 1)? == "run" => {
            let dashes = words.iter().position(|word| word == "--")?;
            words[dashes + 1..].to_vec()
        }
        // What follows the image's name is for our program.
        "docker" if words.get(start + 1)? == "run" => {
            let image = words.iter().rposition(is_ours)?;
            words[image + 1..].to_vec()
        }
        _ if is_ours(command) => words[start + 1..].to_vec(),
        _ => return None,
    };
    Some(arguments)
}

/// Whether the program understands the arguments; nothing is run.
#[track_caller]
pub(crate) fn assert_understood(arguments: &[String]) {
    let line = std::iter::once("fal-gateway").chain(arguments.iter().map(String::as_str));
    if let Err(error) = Cli::try_parse_from(line) {
        let is_question = matches!(
            error.kind(),
            clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
        );
        assert!(is_question, "{arguments:?}: {error}");
    }
}

#[test]
fn every_command_shown_is_understood() {
    let mut seen = 0;
    for page in ["README.md", "ARCHITECTURE.md", "SECURITY.md"] {
        let page = file(page);
        let consoles = blocks(&page)
            .into_iter()
            .filter(|block| block.language == "console");
        let lines = consoles.flat_map(|block| block.text.lines());
        // The other lines are what the commands print.
        for line in lines.filter_map(|line| line.strip_prefix("$ ")) {
            if let Some(arguments) = our_arguments(line).filter(|found| !found.is_empty()) {
                assert_understood(&arguments);
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "only {seen} commands were recognised");
}

#[test]
fn every_example_can_be_read() {
    let readme = file("README.md");
    let judge = Judge::new();
    for Block { language, text } in blocks(&readme) {
        match language {
            "json" => {
                serde_json::from_str::<Value>(text)
                    .unwrap_or_else(|error| panic!("{error} in\n{text}"));
            }
            "yaml" => {
                serde_saphyr::from_str::<Value>(text)
                    .unwrap_or_else(|error| panic!("{error} in\n{text}"));
            }
            "toml" => {
                Config::load(&Sources::default().with_file("fal-gateway.toml", text))
                    .unwrap_or_else(|problems| panic!("{problems} in\n{text}"));
            }
            _ => {}
        }
        for data in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
            let event: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
            let schema = match event.get("error") {
                Some(_) => "ErrorResponse",
                None => "ChatCompletionChunk",
            };
            assert_eq!(judge.schema_faults(schema, &event), [""; 0], "{event}");
        }
    }
}

/// Codes are what programs branch on, so the README's table holds all of them and no other.
#[test]
fn the_table_of_errors_holds_every_code_under_its_status() {
    let readme = file("README.md");
    let (_, table) = readme.split_once("| Status | `code` |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut written = Vec::new();
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let codes = cells[2].split(", ").map(|code| code.trim_matches('`'));
        written.extend(codes.map(|code| (cells[1].to_owned(), code.to_owned())));
    }
    let document = document();
    let known = document["components"]["schemas"]["ErrorCode"]["enum"]
        .as_array()
        .unwrap();
    let known: Vec<&str> = known.iter().map(|code| code.as_str().unwrap()).collect();
    let mut codes: Vec<&str> = written.iter().map(|(_, code)| code.as_str()).collect();
    let mut sorted = known.clone();
    codes.sort_unstable();
    // Some codes have two statuses: one where another try is safe, one where it is not.
    codes.dedup();
    sorted.sort_unstable();
    assert_eq!(codes, sorted);
    // The description's answers to chat requests, by status.
    let chat = &document["paths"]["/v1/chat/completions"]["post"]["responses"];
    for (status, response) in chat.as_object().unwrap() {
        let Some(reference) = response["$ref"].as_str() else {
            continue;
        };
        let described = document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap();
        for code in described["x-gateway-codes"].as_array().unwrap() {
            let row = (status.clone(), code.as_str().unwrap().to_owned());
            assert!(written.contains(&row), "{row:?} is not in the table");
        }
    }
}

#[test]
fn every_file_that_the_pages_link_to_exists() {
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ] {
        let text = file(page);
        for link in text.split("](").skip(1) {
            let (target, _) = link.split_once(')').unwrap();
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
            assert!(path.exists(), "{page} links to {target}");
        }
    }
}

/// The map names a test for each promise: `file`: `test`, `test`.
#[test]
fn the_guards_that_the_map_names_exist() {
    let map = file("ARCHITECTURE.md");
    let (_, table) = map.split_once("## Promises").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut seen = 0;
    for row in table.lines().filter(|line| line.contains("| `tests/")) {
        let cell = row.rsplit('|').nth(1).unwrap();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let (paths, tests): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.starts_with("tests/"));
        for path in paths {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            // A suite that is not in this tree at all is judged where it is.
            if path.parent().is_some_and(Path::exists) {
                assert!(path.exists(), "there is no {}", path.display());
            }
        }
        for test in tests {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(names[0]);
            let Ok(source) = std::fs::read_to_string(path) else {
                continue;
            };
            assert!(
                source.contains(&format!("fn {test}(")),
                "there is no {test}"
            );
            seen += 1;
        }
    }
    assert!(seen > 0);
}

/// What a newcomer does first: everything but the numbers is as the page shows it.
#[test]
fn the_demo_answers_as_the_readme_shows() {
    let demo = Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
        .args(["demo", "--once", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let printed = String::from_utf8(demo.stdout).unwrap();
    assert!(demo.status.success(), "{printed}");
    let letters = |line: &str| line.replace(|letter: char| letter.is_ascii_digit(), "");
    let printed: Vec<String> = printed.lines().map(letters).collect();
    let readme = file("README.md");
    let (_, shown) = readme.split_once("-- demo\n").unwrap();
    let (shown, _) = shown.split_once("\n```").unwrap();
    assert!(shown.lines().count() > 5);
    for line in shown.lines().map(letters) {
        assert!(printed.contains(&line), "{line:?} is not in {printed:#?}");
    }
}
