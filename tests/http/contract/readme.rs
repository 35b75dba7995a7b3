//! The written pages tell the truth: their tables, commands, examples and links.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use fal_gateway::cli::args::Cli;
use fal_gateway::config::{self, Config, Sources};
use fal_gateway::translate::draft::{Fate, Parameter};
use fal_gateway::translate::upstream::UpstreamId;
use serde_json::Value;

use crate::contract::description::{Judge, document};
use crate::contract::fates::{CHAT, COMPLETIONS, FACES, Face, MESSAGES, RESPONSES, fate_on, name};
use crate::contract::{eval, file, recipes};

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
        page += &format!(
            "**{title}**: {about}.\n\n| Field | How | `router` | `router-openai` |\n|---|---|---|---|\n"
        );
        for row in CHAT.table.iter().filter(|row| row.fate == fate) {
            let [_, router, openai] = UpstreamId::ALL.map(|upstream| fate_on(row, upstream));
            page += &format!("| `{}` | {} | {router} | {openai} |\n", row.name, row.says);
        }
        page += "\n";
    }
    page
}

/// The fields of a request, in the order of the code's table.
fn in_one_table(face: &Face) -> String {
    let mut page =
        "| Field | `any-llm` | `router` | `router-openai` | How |\n|---|---|---|---|---|\n"
            .to_owned();
    for row in face.table {
        let fates = UpstreamId::ALL.map(|upstream| fate_on(row, upstream));
        page += &format!(
            "| `{}` | {} | {} |\n",
            row.name,
            fates.join(" | "),
            row.says
        );
    }
    page
}

const DESCRIPTION: &str = "openapi/openapi.yaml";

/// The description of the API with what becomes of each field on each upstream, where that differs.
fn with_fates_by_upstream(description: &str) -> String {
    let (mut face, mut row) = (None, None);
    let mut written = String::new();
    for line in description.lines() {
        if line.trim_start().starts_with("x-gateway-fates:") {
            continue;
        }
        written += line;
        written += "\n";
        if let Some(schema) = key(line, 4) {
            face = FACES.iter().find(|face| face.schema == schema);
        }
        if let Some(field) = key(line, 8) {
            let table = face.map_or(&[][..], |face| face.table);
            row = table.iter().find(|row| row.name == field);
        }
        if line.starts_with("          x-gateway-fate: ")
            && let Some(row) = row
        {
            written += &by_upstream(row);
        }
    }
    written
}

/// The name of the YAML mapping that begins in a line, so many spaces deep.
fn key(line: &str, indent: usize) -> Option<&str> {
    let (spaces, rest) = line.split_at_checked(indent)?;
    let is_there = spaces.trim().is_empty() && !rest.starts_with(' ');
    rest.strip_suffix(':').filter(|_| is_there)
}

fn by_upstream(row: &Parameter) -> String {
    let fates = UpstreamId::ALL.map(|upstream| fate_on(row, upstream));
    if fates.iter().all(|fate| fate == name(row.fate)) {
        return String::new();
    }
    let told = UpstreamId::ALL.iter().zip(&fates);
    let told: Vec<String> = told
        .map(|(upstream, fate)| format!("{upstream}: \"{fate}\""))
        .collect();
    format!("          x-gateway-fates: {{{}}}\n", told.join(", "))
}

/// Compares what stands between two markers of a page with what belongs there, or writes it.
fn generated(page: &str, marker: &str, wanted: &str) {
    let text = file(page);
    let (begin, end) = (
        format!("<!-- {marker}: generated -->\n\n"),
        format!("<!-- /{marker} -->"),
    );
    let (before, rest) = text.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(&end).unwrap();
    let wanted = wanted.trim_end_matches('\n').to_owned() + "\n\n";
    if std::env::var_os("UPDATE_README").is_some() {
        let text = format!("{before}{begin}{wanted}{end}{after}");
        std::fs::write(root().join(page), text).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "{page} is behind; UPDATE_README=1 cargo test --test http up_to_date writes it"
    );
}

/// One test for all parts, because some share a page.
#[test]
fn the_generated_parts_are_up_to_date() {
    generated("docs/fields.md", "fields", &fields());
    let completions = in_one_table(&COMPLETIONS);
    generated("docs/fields.md", "completion-fields", &completions);
    let messages = in_one_table(&MESSAGES);
    generated("docs/messages.md", "message-fields", &messages);
    let responses = in_one_table(&RESPONSES);
    generated("docs/responses.md", "response-fields", &responses);
    generated("docs/configuration.md", "settings", &config::reference());
    generated("docs/speed.md", "speed", &file("bench/RESULTS.md"));
    let description = file(DESCRIPTION);
    let wanted = with_fates_by_upstream(&description);
    match std::env::var_os("UPDATE_README") {
        Some(_) => std::fs::write(root().join(DESCRIPTION), wanted).unwrap(),
        None => assert!(
            description == wanted,
            "{DESCRIPTION} is behind; UPDATE_README=1 cargo test --test http up_to_date writes it"
        ),
    }
}

/// By itself, since it takes all of the evaluation.
#[test]
fn the_table_of_the_evaluation_is_up_to_date() {
    generated("docs/evaluation.md", "eval", &eval::table());
    generated("docs/clients/README.md", "clients", &recipes::table());
    generated("README.md", "clients", &recipes::overview());
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages for readers, by their paths: those at the top, and all in `docs`.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    let mut folders = vec![(PathBuf::new(), false), (PathBuf::from("docs"), true)];
    while let Some((folder, deep)) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.to_str().unwrap().to_owned());
            } else if deep && root().join(&path).is_dir() {
                folders.push((path, true));
            }
        }
    }
    assert!(pages.len() > 15, "{pages:?}");
    pages.sort();
    pages
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
    for page in pages() {
        let page = file(&page);
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
    let judge = Judge::new();
    for page in pages() {
        for block in blocks(&file(&page)) {
            can_be_read(&judge, &page, &block);
        }
    }
}

fn can_be_read(judge: &Judge, page: &str, block: &Block<'_>) {
    let text = block.text;
    match block.language {
        "json" => {
            serde_json::from_str::<Value>(text)
                .unwrap_or_else(|error| panic!("{page}: {error} in\n{text}"));
        }
        "yaml" => {
            serde_saphyr::from_str::<Value>(text)
                .unwrap_or_else(|error| panic!("{page}: {error} in\n{text}"));
        }
        "toml" => {
            Config::load(&Sources::default().with_file("fal-gateway.toml", text))
                .unwrap_or_else(|problems| panic!("{page}: {problems} in\n{text}"));
        }
        _ => {}
    }
    for data in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
        let event: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
        let schema = match event.get("error") {
            Some(_) => "ErrorResponse",
            None => "ChatCompletionChunk",
        };
        let faults = judge.schema_faults(schema, &event);
        assert_eq!(faults, [""; 0], "{page}: {event}");
    }
}

/// Codes are what programs branch on, so the page's table holds all of them and no other.
#[test]
fn the_table_of_errors_holds_every_code_under_its_status() {
    let page = file("docs/streaming.md");
    let (_, table) = page.split_once("| Status | `code` |").unwrap();
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

/// The name that GitHub gives a heading in addresses.
fn anchor(heading: &str) -> String {
    let letters = heading.trim_start_matches('#').trim().chars();
    let kept = letters.filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Takes the `.` and `..` out of a path.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => assert!(plain.pop(), "{}", path.display()),
            part => plain.push(part),
        }
    }
    plain
}

/// The places in this repository that a page links to: a path and perhaps a heading.
fn links(page: &str, text: &str) -> Vec<(PathBuf, Option<String>)> {
    let folder = Path::new(page).parent().unwrap();
    let targets = text.split("](").skip(1).filter_map(|link| {
        let (target, _) = link.split_once(')')?;
        (!target.contains("://") && !target.contains(' ')).then_some(target)
    });
    targets
        .map(|target| {
            let (path, heading) = match target.split_once('#') {
                Some((path, heading)) => (path, Some(heading.to_owned())),
                None => (target, None),
            };
            let path = match path {
                "" => PathBuf::from(page),
                path => plain(&folder.join(path)),
            };
            (path, heading)
        })
        .collect()
}

#[test]
fn no_link_inside_the_repository_is_dead() {
    let mut seen = 0;
    for page in pages() {
        for (path, heading) in links(&page, &file(&page)) {
            let shown = path.display();
            assert!(root().join(&path).exists(), "{page} links to {shown}");
            if let Some(heading) = heading {
                let target = file(path.to_str().unwrap());
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == heading),
                    "{page} links to {shown}#{heading}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} links were found");
}

/// Whoever begins at the README finds every page.
#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::from([PathBuf::from("README.md")]);
    let mut unread: Vec<PathBuf> = reached.iter().cloned().collect();
    while let Some(page) = unread.pop() {
        let page = page.to_str().unwrap();
        for (path, _) in links(page, &file(page)) {
            let is_page = path.extension().is_some_and(|extension| extension == "md");
            if is_page && reached.insert(path.clone()) {
                unread.push(path);
            }
        }
    }
    for page in pages() {
        assert!(
            reached.contains(Path::new(&page)),
            "nothing links to {page}"
        );
    }
}

#[test]
fn the_readme_is_read_in_a_few_minutes() {
    let length = file("README.md").len();
    assert!(
        length <= 12 * 1024,
        "{length} bytes: move something to docs"
    );
}

/// The map names tests for each promise: `file`: `test`, `test`; `file`: `test`.
#[test]
fn the_guards_that_the_map_names_exist() {
    let map = file("ARCHITECTURE.md");
    let (_, table) = map.split_once("## Promises").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut seen = 0;
    for row in table.lines().filter(|line| line.contains("| `tests/")) {
        let cell = row.rsplit('|').nth(1).unwrap();
        let mut source: Option<String> = None;
        for name in cell.split('`').skip(1).step_by(2) {
            if !name.starts_with("tests/") && !name.starts_with("src/") {
                if let Some(source) = &source {
                    let declared = format!("fn {name}(");
                    assert!(source.contains(&declared), "there is no {name}");
                    seen += 1;
                }
                continue;
            }
            let path = root().join(name);
            // A suite that is not in this tree at all is judged where it is.
            if path.parent().is_some_and(Path::exists) {
                assert!(path.exists(), "there is no {}", path.display());
            }
            source = std::fs::read_to_string(path).ok();
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
