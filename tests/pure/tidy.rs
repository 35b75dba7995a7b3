//! The rules of the house that no compiler keeps, read off the source files.
//!
//! Who may use whom, how long a function may be, and what may not be left lying about. Comments,
//! strings and `#[cfg(test)]` modules are blanked out first; what is left is searched for paths.
//! Every rule has a test below that breaks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A module under `src` and what may be named in it.
struct Layer {
    name: String,
    /// Modules of ours, besides itself.
    ours: Vec<String>,
    /// Crates, besides `std`; `None` is any that no rule below keeps for others.
    crates: Option<Vec<String>>,
}

impl Layer {
    fn may_use_crate(&self, name: &str) -> bool {
        let listed = self.crates.as_deref();
        listed.is_none_or(|listed| listed.iter().any(|may| may == name))
    }
}

/// The table of `ARCHITECTURE.md`: what is written for readers is what holds.
static LAYERS: LazyLock<Vec<Layer>> = LazyLock::new(|| {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = page.split_once("## Who may use whom").unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let layers: Vec<Layer> = rows.map(layer).collect();
    assert!(layers.len() > 8, "the table of ARCHITECTURE.md is not read");
    layers
});

/// A row: the module, what of ours it may use, and which crates.
fn layer(row: &str) -> Layer {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [name, ours, crates] = cells[..] else {
        panic!("{row} does not have three cells");
    };
    let names = |cell: &str| match cell {
        "nothing" => Vec::new(),
        cell => cell.split(", ").map(quoted).collect(),
    };
    let layer = Layer {
        name: quoted(name),
        ours: names(ours),
        crates: (crates != "any").then(|| names(crates)),
    };
    let folder = root().join("src").join(layer.name.replace("::", "/"));
    assert!(folder.is_dir(), "there is no {}", folder.display());
    layer
}

/// What stands between backquotes.
fn quoted(cell: &str) -> String {
    let name = cell
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    name.unwrap_or_else(|| panic!("{cell} is no name"))
        .to_owned()
}

/// The pure core.
const PURE: [&str; 3] = ["wire", "translate", "budget"];

/// Parts of `std` that the pure core may not name: it has no clock, no files, no threads.
const IMPURE: [&str; 10] = [
    "std::time::Instant",
    "std::time::SystemTime",
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::TcpStream",
    "std::process",
    "std::thread",
];

/// Who may name an HTTP client: the layer that talks to fal; the stand-in for it and the command line,
/// which have one of their own.
const CLIENTS: [(&str, &[&str]); 4] = [
    ("hyper", &["upstream/"]),
    ("hyper_util", &["upstream/"]),
    ("hyper_rustls", &["upstream/"]),
    ("reqwest", &["emulator/", "cli/client.rs"]),
];

/// Functions that are tables, and may be as long as what they list.
const TABLES: [(&str, &str); 2] = [
    ("translate/model/builtin.rs", "models"),
    ("observe/metrics.rs", "new"),
];
const MAX_LINES: usize = 70;

#[test]
fn every_layer_names_only_what_it_may() {
    report(each_file(imports));
}

#[test]
fn no_function_is_longer_than_a_screen() {
    report(each_file(long_functions));
}

#[test]
fn nothing_unfinished_and_no_unwrap_is_left_in_the_source() {
    report(each_file(leftovers));
}

/// A clock that somebody sets must not lengthen or shorten a limit: only the time stamp of an
/// answer and the date of an evaluation come from it.
#[test]
fn the_wall_clock_only_gives_dates() {
    report(each_file(|file| {
        let may = ["api/answer.rs", "cli/doctor/way.rs", "cli/eval/models.rs"]
            .contains(&file.path.as_str())
            || file.path.starts_with("emulator/");
        let reads = words(&file.code).any(|word| word == "SystemTime");
        (reads && !may).then(|| "reads the wall clock".to_owned())
    }));
}

/// Values go into statements as values: a statement is a text of the program, and where a number has to
/// be part of it (partitions, locks, migrations) it stands in one of these files.
#[test]
fn no_statement_is_put_together_of_values() {
    report(each_file(statements));
}

const PUT_TOGETHER: [&str; 4] = [
    "store/ledger/keep.rs",
    "store/ledger/write.rs",
    "store/migrations.rs",
    "store/responses/jobs.rs",
];

fn statements(file: &Source) -> Vec<String> {
    let layer = file.module().first().copied().unwrap_or_default();
    let mut wrong = Vec::new();
    if !["store", "accounts"].contains(&layer) {
        return wrong;
    }
    if file.code.contains(".batch(") && !PUT_TOGETHER.contains(&file.path.as_str()) {
        wrong.push("runs a statement that need not be a text of the program".to_owned());
    }
    // A text that is made would pass for one of the program.
    if words(&file.code).any(|word| word == "leak") {
        wrong.push("makes a text that lasts for ever".to_owned());
    }
    wrong
}

#[test]
fn every_module_says_what_it_is_for() {
    report(each_file(|file| {
        let has_page = file.text.starts_with("//!");
        (!has_page).then(|| "does not begin with a module comment (//!)".to_owned())
    }));
}

/// A source file: as written, and with everything that is no code blanked out.
struct Source {
    /// Below `src`: `translate/face/rules.rs`.
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: without_tests(&code_of(text)),
        }
    }

    /// The modules that lead to this file: `translate`, `face`, `rules`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/')
            .filter(|part| !["lib", "main"].contains(part))
            .collect()
    }

    fn layer(&self) -> Option<&'static Layer> {
        let module = self.module().join("::");
        LAYERS.iter().find(|layer| is_within(&module, &layer.name))
    }
}

fn imports(file: &Source) -> Vec<String> {
    let module = file.module();
    let top = module.first().copied().unwrap_or_default();
    let mut wrong = Vec::new();
    for path in paths(&file.code) {
        let full = absolute(&path, &module);
        let said = full.join("::");
        let client = CLIENTS.iter().find(|(client, _)| is_within(&said, client));
        if let Some((client, users)) = client {
            if !users.iter().any(|may| file.path.starts_with(may)) {
                wrong.push(format!("only {users:?} may name {client}"));
            }
            continue;
        }
        let Some(layer) = file.layer() else { continue };
        match full.first().map(String::as_str) {
            Some("crate") => {
                let inside = &said["crate".len()..].trim_start_matches("::");
                let is_allowed = is_within(inside, &layer.name)
                    || layer.ours.iter().any(|may| is_within(inside, may));
                if !is_allowed {
                    wrong.push(format!("`{}` may not use {said}", layer.name));
                }
            }
            Some("std" | "core" | "alloc") => {
                let is_impure = IMPURE.iter().any(|impure| is_within(&said, impure));
                if PURE.contains(&layer.name.as_str()) && is_impure {
                    wrong.push(format!("`{}` is pure and may not use {said}", layer.name));
                }
            }
            Some(root) if is_dependency(root) && !layer.may_use_crate(root) => {
                wrong.push(format!("`{}` may not use the crate {root}", layer.name));
            }
            _ => {}
        }
    }
    let is_pure = PURE.contains(&top);
    if is_pure && words(&file.code).any(|word| ["async", "await"].contains(&word)) {
        wrong.push(format!("`{top}` is not async"));
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Whether this is one of the crates of `Cargo.toml`, as the source spells them.
fn is_dependency(root: &str) -> bool {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let manifest = fs::read_to_string(self::root().join("Cargo.toml")).unwrap();
        // Features look like dependencies, and so do the fields of the package.
        let sections = manifest.split("\n[").filter(|section| {
            let (name, _) = section.split_once(']').unwrap_or_default();
            name.ends_with("dependencies")
        });
        let names =
            sections.flat_map(|section| section.lines().filter_map(|line| line.split_once(" = ")));
        names.map(|(name, _)| name.replace('-', "_")).collect()
    });
    NAMES.iter().any(|name| name == root)
}

fn is_within(path: &str, outer: &str) -> bool {
    path == outer
        || path
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// A path from the root of the crate or of another: `super` is resolved, and a name of the own
/// crate is spelt `crate`.
fn absolute(path: &[String], module: &[&str]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let is_self = path.first().is_some_and(|part| part == "self");
    let base = match (supers, is_self) {
        (0, false) => {
            return match path.first().map(String::as_str) {
                Some("fal_gateway") => [&["crate".to_owned()], &path[1..]].concat(),
                _ => path.to_vec(),
            };
        }
        (0, true) => module,
        _ => &module[..module.len().saturating_sub(supers)],
    };
    let rest = path[supers.max(1)..].iter().cloned();
    let base = base.iter().map(|part| (*part).to_owned());
    std::iter::once("crate".to_owned())
        .chain(base)
        .chain(rest)
        .collect()
}

/// All paths of two names or more, those in `use` groups taken apart.
fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_start = is_name(&tokens[at]) && (at == 0 || tokens[at - 1] != "::");
        at = match is_start && tokens.get(at + 1).is_some_and(|next| next == "::") {
            true => path(&tokens, at, &[], &mut paths),
            false => at + 1,
        };
    }
    paths
}

/// Reads the path that begins here and returns where it ends.
fn path(
    tokens: &[String],
    mut at: usize,
    before: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if !path.is_empty() => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    match is_name(&tokens[at]) && tokens[at] != "as" {
                        true => at = self::path(tokens, at, &path, paths),
                        false => at += 1,
                    }
                }
                return at + 1;
            }
            Some(name) if is_name(name) => path.push(name.to_owned()),
            _ => break,
        }
        match tokens.get(at + 1).map(String::as_str) {
            Some("::") => at += 2,
            _ => {
                at += 1;
                break;
            }
        }
    }
    paths.push(path);
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = match first {
            _ if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            other => other.len_utf8(),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

fn long_functions(file: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines: Vec<&str> = file.code.lines().collect();
    for (first, line) in lines.iter().enumerate() {
        let mut words = words(line);
        if !words.any(|word| word == "fn") {
            continue;
        }
        let Some(name) = words.find(|word| !word.is_empty()) else {
            continue;
        };
        let (mut depth, mut length) = (0, 0);
        for line in &lines[first..] {
            length += 1;
            depth += line.matches('{').count();
            depth = depth.saturating_sub(line.matches('}').count());
            let is_over = depth == 0 && line.trim_end().ends_with(['}', ';']);
            if is_over {
                break;
            }
        }
        if length > MAX_LINES && !TABLES.contains(&(file.path.as_str(), name)) {
            wrong.push(format!(
                "{}: fn {name} has {length} lines, over {MAX_LINES}",
                first + 1
            ));
        }
    }
    wrong
}

fn leftovers(file: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for mark in ["TODO", "FIXME", "XXX"] {
            if line.contains(mark) {
                wrong.push(format!("{number}: {mark}"));
            }
        }
    }
    for (number, line) in (1..).zip(file.code.lines()) {
        if line.contains(".unwrap()") {
            wrong.push(format!("{number}: unwrap() outside of tests"));
        }
    }
    wrong
}

/// The source with comments, strings and characters replaced by blanks; lines stay where they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_length(rest),
            'r' if is_raw_string(rest) && !ends_in_word(&code) => raw_string_length(rest),
            '\'' => character_length(rest),
            other => {
                code.push(other);
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        let (blanked, after) = rest.split_at(length.max(1));
        code.extend(
            blanked
                .chars()
                .map(|letter| if letter == '\n' { '\n' } else { ' ' }),
        );
        rest = after;
    }
    code
}

fn ends_in_word(code: &str) -> bool {
    code.ends_with(|letter: char| letter.is_alphanumeric() && letter != 'b' || letter == '_')
}

fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_raw_string(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = hashes + 2;
    text[inside..]
        .find(&end)
        .map_or(text.len(), |at| inside + at + end.len())
}

/// A character in quotes; a lifetime is one quote.
fn character_length(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(1, |end| end + 4),
        Some(_) => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The code with its `#[cfg(test)]` modules blanked out.
fn without_tests(code: &str) -> String {
    let Some(start) = code.find("#[cfg(test)]") else {
        return code.to_owned();
    };
    let (before, tests) = code.split_at(start);
    let mut depth = 0usize;
    let end = tests.char_indices().find(|(_, letter)| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(letter, '}' | ';')
    });
    let (tests, after) = tests.split_at(end.map_or(tests.len(), |(at, _)| at + 1));
    let lines = "\n".repeat(tests.matches('\n').count());
    before.to_owned() + &lines + &without_tests(after)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a rule over every file under `src`.
fn each_file<C: IntoIterator<Item = String>>(rule: impl Fn(&Source) -> C) -> Vec<String> {
    let mut folders = vec![root().join("src")];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    files.sort();
    assert!(files.len() > 20, "the source has moved");
    let mut complaints = Vec::new();
    for path in files {
        let name = path
            .strip_prefix(root().join("src"))
            .unwrap()
            .to_str()
            .unwrap();
        let file = Source::new(name, &fs::read_to_string(&path).unwrap());
        complaints.extend(
            rule(&file)
                .into_iter()
                .map(|wrong| format!("src/{name}: {wrong}")),
        );
    }
    complaints
}

fn report(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn an_import_that_points_the_wrong_way_is_found() {
    for (path, code) in [
        ("wire/openai/chat.rs", "use crate::translate::ask::Ask;"),
        ("wire/text.rs", "use super::super::config::Config;"),
        ("wire/text.rs", "use tokio::sync::Mutex;"),
        ("translate/plan.rs", "use crate::config::Config;"),
        (
            "translate/plan.rs",
            "use crate::{wire::fal, upstream::Client};",
        ),
        (
            "translate/plan.rs",
            "fn now() { std::time::Instant::now(); }",
        ),
        ("translate/plan.rs", "use std::{borrow::Cow, fs};"),
        ("translate/plan.rs", "use uuid::Uuid;"),
        ("translate/plan.rs", "fn log() { tracing::info!(\"x\"); }"),
        ("translate/plan.rs", "async fn plan() {}"),
        ("budget/books.rs", "use std::time::SystemTime;"),
        ("budget/terms.rs", "use crate::config::Config;"),
        (
            "translate/reading/mod.rs",
            "use super::super::api;\nuse super::super::api::Route;",
        ),
        ("config/mod.rs", "use crate::access::KeyRing;"),
        ("upstream/run.rs", "use crate::wire::openai::chat::Choice;"),
        ("upstream/run.rs", "use fal_gateway::translate::plan::Plan;"),
        ("access/mod.rs", "use crate::wire::text::Text;"),
        ("observe/logging.rs", "use crate::api::Route;"),
        ("api/answer.rs", "use crate::emulator::Script;"),
        ("engine/run.rs", "fn answer(_: actix_web::HttpRequest) {}"),
        ("engine/run.rs", "use crate::api::error::ApiError;"),
        ("api/answer.rs", "fn get(_: reqwest::Client) {}"),
        ("upstream/run.rs", "use reqwest::Client;"),
        ("engine/run.rs", "use hyper_util::client::legacy::Client;"),
        (
            "emulator/routes.rs",
            "use crate::wire::fal::any_llm::AnyLlmInput;",
        ),
        ("cli/eval/judge.rs", "use crate::translate::json::Schema;"),
    ] {
        let file = Source::new(path, code);
        assert!(!imports(&file).is_empty(), "{path} may say {code}");
    }
}

#[test]
fn an_import_that_points_the_right_way_is_not_complained_about() {
    for (path, code) in [
        (
            "translate/face/chat/parse.rs",
            "use super::messages::{self, Limits};\nuse crate::wire::openai::{chat, usage::{A, B}};",
        ),
        (
            "translate/plan.rs",
            "// tokio::spawn\n/// [`crate::config`]\nconst A: &str = \"std::fs::read\";",
        ),
        (
            "translate/plan.rs",
            "#[cfg(test)]\nmod tests {\n    use std::fs;\n    fn a() { tokio::spawn(()); }\n}",
        ),
        (
            "translate/plan.rs",
            "fn a<'a>(b: &'a str) -> char { let _ = b'\\''; '\"' }\nuse std::time::Duration;",
        ),
        (
            "upstream/run.rs",
            "use crate::wire::fal::any_llm::AnyLlmInput;\nuse hyper::Uri;",
        ),
        ("app.rs", "use crate::emulator::Script;"),
        (
            "translate/notes.rs",
            "use super::tokenizer;\nfn name() { tokenizer::ENCODING; }",
        ),
    ] {
        let file = Source::new(path, code);
        assert_eq!(imports(&file), Vec::<String>::new(), "{path}: {code}");
    }
}

#[test]
fn a_long_function_and_what_was_left_lying_about_are_found() {
    let long = format!("fn long(\n) {{\n{}}}\n", "    call();\n".repeat(MAX_LINES));
    let file = Source::new("app.rs", &long);
    assert_eq!(long_functions(&file), ["1: fn long has 73 lines, over 70"]);
    let short = "fn short() {\n    call();\n}\n".repeat(40);
    assert!(long_functions(&Source::new("app.rs", &short)).is_empty());
    let left = "// TODO: later\nfn a() { b().unwrap(); }\n#[cfg(test)]\nmod tests { fn a() { b().unwrap(); } }\n";
    assert_eq!(
        leftovers(&Source::new("app.rs", left)),
        ["1: TODO", "2: unwrap() outside of tests"]
    );
}

#[test]
fn a_statement_that_is_put_together_is_found() {
    for (path, code) in [
        (
            "store/windows.rs",
            "fn a() { transaction.batch(&format!(\"drop {name}\")); }",
        ),
        (
            "accounts/tables.rs",
            "fn a() { query(format!(\"select {name}\").leak()); }",
        ),
    ] {
        assert_eq!(
            statements(&Source::new(path, code)).len(),
            1,
            "{path}: {code}"
        );
    }
    let partitions = "fn a() { transaction.batch(&make); }";
    let file = Source::new("store/ledger/write.rs", partitions);
    assert_eq!(statements(&file), Vec::<String>::new());
}
