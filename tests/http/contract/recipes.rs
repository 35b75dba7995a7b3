//! The pages about clients: one for each row of `docs/clients/recipes.toml`, written from it and
//! from the table of `fal-gateway launch`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use config::{File, FileFormat};
use fal_gateway::cli::launch::clients::{CLIENTS, Client, MISSING};
use fal_gateway::cli::launch::setup::{Setup, Values};
use serde::Deserialize;

use crate::contract::file;

#[derive(Deserialize)]
struct Recipes {
    recipe: Vec<Recipe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    name: String,
    title: String,
    kind: String,
    tried: String,
    works: String,
    limits: Vec<String>,
    launch: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
    language: Option<String>,
    code: Option<String>,
    install: Option<String>,
    at: Option<String>,
    /// Read by the runner alone.
    #[serde(rename = "expect")]
    _expect: Option<String>,
}

impl Recipe {
    fn client(&self) -> Option<&'static Client> {
        let name = self.launch.as_deref()?;
        let client = CLIENTS.iter().find(|client| client.name == name);
        Some(client.unwrap_or_else(|| panic!("{}: there is no {name}", self.name)))
    }

    /// How often it is run.
    fn tested(&self) -> &'static str {
        let starts_only = self.arguments.iter().any(|word| word == "--help");
        match (&self.at, &self.install) {
            (Some(_), _) => "by each run of the tests",
            (None, Some(_)) if starts_only => "by `tests/recipes/run --all`, up to its start",
            (None, Some(_)) => "by `tests/recipes/run --all`",
            (None, None) => "by hand",
        }
    }
}

fn recipes() -> Vec<Recipe> {
    let text = file("docs/clients/recipes.toml");
    let built = config::Config::builder()
        .add_source(File::from_str(&text, FileFormat::Toml))
        .build();
    built.unwrap().try_deserialize::<Recipes>().unwrap().recipe
}

/// The page of one client.
fn page(recipe: &Recipe) -> String {
    let mut page = format!("# {}\n\n", recipe.title);
    if let Some(client) = recipe.client() {
        page += &settings(client);
    }
    if let (Some(language), Some(code)) = (&recipe.language, &recipe.code) {
        write!(page, "```{language}\n{}\n```\n\n", code.trim()).unwrap();
    }
    write!(page, "**Works**: {}\n\n", recipe.works).unwrap();
    if !recipe.limits.is_empty() {
        page += "**To know**:\n\n";
        for limit in &recipe.limits {
            writeln!(page, "- {limit}").unwrap();
        }
        page += "\n";
    }
    let (tried, tested) = (&recipe.tried, recipe.tested());
    writeln!(
        page,
        "Version tried: {tried}. This recipe is run {tested}. [All clients](README.md) · [what the address and the key are](README.md#the-address-and-the-key)"
    )
    .unwrap();
    page
}

/// How a program is launched, and the same by hand.
fn settings(client: &Client) -> String {
    let folder = format!("/tmp/fal-gateway-{}", client.name);
    let values = Values {
        base: "http://127.0.0.1:3250/v1",
        key: "demo",
        model: "openai/gpt-4o-mini",
        context: None,
        folder: &folder,
    };
    let mut by_hand = Vec::new();
    let setup = Setup::new(client, &values, &[]);
    setup.print(&folder, &mut by_hand).unwrap();
    let by_hand = String::from_utf8(by_hand).unwrap();
    let install = client.install;
    format!(
        "Install it with `{install}`. Then, while a gateway or its demo runs:\n\n\
         ```console\n$ fal-gateway launch {}\n```\n\n\
         By hand, the same is:\n\n```sh\n{}\n```\n\n",
        client.name,
        by_hand.trim_end()
    )
}

/// The table of all clients, by their kinds.
pub(crate) fn table() -> String {
    let mut table = String::from("| Client | Launched | Tried | Run |\n|---|---|---|---|\n");
    let recipes = recipes();
    let kinds: BTreeSet<&str> = recipes.iter().map(|recipe| recipe.kind.as_str()).collect();
    for kind in kinds {
        writeln!(table, "| *{kind}* | | | |").unwrap();
        for recipe in recipes.iter().filter(|recipe| recipe.kind == kind) {
            let launched = recipe.client().map(|client| format!("`{}`", client.name));
            let (title, name) = (&recipe.title, &recipe.name);
            let (tried, tested) = (&recipe.tried, recipe.tested());
            let launched = launched.unwrap_or_default();
            writeln!(
                table,
                "| [{title}]({name}.md) | {launched} | {tried} | {tested} |"
            )
            .unwrap();
        }
    }
    table += "\nNot possible yet:\n\n";
    for missing in MISSING {
        writeln!(table, "- {}: {}.", missing.title, missing.because).unwrap();
    }
    table
}

/// The clients of each kind in a line, for the first page.
pub(crate) fn overview() -> String {
    let recipes = recipes();
    let kinds: BTreeSet<&str> = recipes.iter().map(|recipe| recipe.kind.as_str()).collect();
    let mut table = String::from("| Kind | Clients |\n|---|---|\n");
    for kind in kinds {
        let of_kind = recipes.iter().filter(|recipe| recipe.kind == kind);
        let links: Vec<String> = of_kind
            .map(|recipe| format!("[{}](docs/clients/{}.md)", recipe.title, recipe.name))
            .collect();
        let (first, rest) = kind.split_at(1);
        let kind = first.to_uppercase() + rest;
        writeln!(table, "| {kind} | {} |", links.join(", ")).unwrap();
    }
    table
}

#[test]
fn readme_pages_of_clients_are_up_to_date() {
    let folder = super::readme::root().join("docs/clients");
    let mut wanted = BTreeSet::from(["README.md".to_owned(), "recipes.toml".to_owned()]);
    for recipe in recipes() {
        let name = format!("{}.md", recipe.name);
        let (path, page) = (folder.join(&name), page(&recipe));
        assert!(
            wanted.insert(name),
            "two recipes are called {}",
            recipe.name
        );
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == page,
            "{} is behind; UPDATE_README=1 cargo test --test http readme writes it",
            path.display()
        );
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(wanted.contains(&name), "no recipe is called {name}");
    }
}

#[test]
fn every_client_that_can_be_launched_has_a_recipe_and_every_recipe_says_what_to_set() {
    let recipes = recipes();
    assert!(recipes.len() >= 30, "{}", recipes.len());
    for client in CLIENTS.iter().filter(|client| !client.program.is_empty()) {
        let names = |recipe: &Recipe| recipe.launch.as_deref() == Some(client.name);
        assert!(recipes.iter().any(names), "{} has no recipe", client.name);
    }
    let each_run = recipes.iter().filter(|recipe| recipe.at.is_some()).count();
    assert!(each_run >= 12, "only {each_run} are run each time");
    for recipe in recipes {
        let says = recipe.launch.is_some() != recipe.code.is_some();
        assert!(says, "{} has a program or is launched", recipe.name);
        let is_run = recipe.at.is_some() || recipe.install.is_some();
        let is_asked = recipe.launch.is_none() || !recipe.arguments.is_empty();
        assert!(!is_run || is_asked, "{} is run with nothing", recipe.name);
    }
}
