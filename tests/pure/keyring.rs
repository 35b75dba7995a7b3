//! Keys of the store that change one by one open what they would if all of them were read anew.

use std::sync::Arc;

use fal_gateway::access::keyring::Sources;
use fal_gateway::access::roster::{LastChange, News, StoredKey, StoredProject};
use fal_gateway::access::{ClientKeys, Filed, Limiters, Purses, Roster};
use fal_gateway::config::{self, Config, Key, KeyHash, Project};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NAMES: u8 = 6;
const SECRETS: u8 = 10;
const PROJECTS: [&str; 3] = ["web", "ops", "filed"];

/// What is done to a key or a project of the store.
#[derive(Clone, Debug)]
enum Step {
    Key {
        name: u8,
        secret: u8,
        previous: Option<u8>,
        project: Option<usize>,
        is_disabled: bool,
        is_revoked: bool,
    },
    UnreadableKey(u8),
    Project {
        name: usize,
        is_disabled: bool,
        is_archived: bool,
    },
    UnreadableProject(usize),
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let project = 0..PROJECTS.len();
    let step = prop_oneof![
        6 => (
            0..NAMES,
            0..SECRETS,
            proptest::option::of(0..SECRETS),
            proptest::option::of(project.clone()),
            any::<bool>(),
            proptest::bool::weighted(0.2),
        )
            .prop_map(|(name, secret, previous, project, is_disabled, is_revoked)| Step::Key {
                name,
                secret,
                previous,
                project,
                is_disabled,
                is_revoked,
            }),
        1 => (0..NAMES).prop_map(Step::UnreadableKey),
        2 => (project.clone(), any::<bool>(), any::<bool>()).prop_map(
            |(name, is_disabled, is_archived)| Step::Project {
                name,
                is_disabled,
                is_archived,
            }
        ),
        1 => project.prop_map(Step::UnreadableProject),
    ];
    // What is told at once, several times.
    proptest::collection::vec(proptest::collection::vec(step, 1..4), 1..12)
}

fn secret(number: u8) -> String {
    format!("secret-{number}")
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn key(step: &Step) -> Option<StoredKey> {
    let Step::Key {
        name,
        secret: number,
        previous,
        project,
        is_disabled,
        is_revoked,
    } = step
    else {
        return None;
    };
    let hash = |number: u8| KeyHash::of(&secret(number)).to_string();
    let mut given = json!({
        "name": format!("key-{name}"),
        "hash": hash(*number),
        "project": project.map(|at| PROJECTS[at]),
        "disabled": is_disabled,
    });
    if let Some(previous) = previous.filter(|previous| previous != number) {
        given["previous_hash"] = hash(previous).into();
        given["previous_until"] = "2030-01-01".into();
    }
    let key = Key::of_json("the key".to_owned(), "", &fields(given)).unwrap();
    Some(StoredKey {
        key,
        hint: String::new(),
        created_at: 0,
        revoked_at: is_revoked.then_some(1),
        revision: 1,
    })
}

fn news(steps: &[Step], roster: &Roster, revision: i64) -> News {
    let mut news = News {
        last: LastChange {
            number: revision,
            mark: None,
        },
        ..News::default()
    };
    for step in steps {
        match step {
            Step::Key { .. } => news.keys.extend(key(step)),
            Step::UnreadableKey(name) => {
                let label = format!("key/key-{name}");
                news.unreadable.push((label, "odd".to_owned()));
            }
            Step::Project {
                name,
                is_disabled,
                is_archived,
            } => {
                let given = json!({"name": PROJECTS[*name], "disabled": is_disabled});
                let place = "the project".to_owned();
                news.projects.push(StoredProject {
                    project: Project::of_json(place, "", &fields(given)).unwrap(),
                    created_at: 0,
                    archived_at: is_archived.then_some(1),
                    revision,
                });
            }
            Step::UnreadableProject(name) => {
                let label = format!("project/{}", PROJECTS[*name]);
                news.unreadable.push((label, "odd".to_owned()));
            }
        }
    }
    without_equal_hashes(&mut news, roster);
    news
}

/// The store keeps hashes apart: of keys that would have one in common the first has it.
fn without_equal_hashes(news: &mut News, roster: &Roster) {
    let hashes = |key: &Key| -> Vec<[u8; 32]> {
        let all = std::iter::once(&key.hash).chain(&key.previous_hash);
        all.map(|hash| *hash.sha256()).collect()
    };
    let mut names: Vec<String> = Vec::new();
    let mut kept: Vec<StoredKey> = Vec::new();
    for stored in std::mem::take(&mut news.keys) {
        let own = hashes(&stored.key);
        let is_free = |other: &Key| hashes(other).iter().all(|hash| !own.contains(hash));
        let others = roster.keys.values().map(|other| &other.key);
        let others = others.chain(kept.iter().map(|other| &other.key));
        let mut others = others.filter(|other| other.name != stored.key.name);
        if others.all(is_free) && !names.contains(&stored.key.name) {
            names.push(stored.key.name.clone());
            kept.push(stored);
        }
    }
    news.keys = kept;
}

/// A file with a key that has the name of one of the store's, one with a hash of theirs, and one in a
/// project.
fn config() -> Config {
    let hash = |secret: &str| KeyHash::of(secret).to_string();
    let text = format!(
        "[auth]\nkeys = [\"line:{}\"]\n\
         [[keys]]\nname = \"key-0\"\nhash = \"{}\"\n\
         [[keys]]\nname = \"other\"\nhash = \"{}\"\nproject = \"filed\"\n\
         [[projects]]\nname = \"filed\"\n",
        hash("line"),
        hash("filed"),
        hash(&secret(0)),
    );
    Config::load(&config::Sources::default().with_file("keys.toml", &text)).unwrap()
}

/// Under which names everything opens, and what is said of everything else.
fn opened(keys: &ClientKeys) -> Vec<String> {
    let now = Timestamp::UNIX_EPOCH;
    let secrets = (0..SECRETS).map(secret);
    let secrets = secrets.chain(["line", "filed"].map(str::to_owned));
    let by_secret = secrets.map(|secret| match keys.verify(&secret, now) {
        Ok(key) => format!("{secret}: {} of {:?}", key.id, key.project()),
        Err(refused) => format!("{secret}: {refused:?}"),
    });
    let names = (0..NAMES).map(|name| format!("key-{name}"));
    let names = names.chain(["line", "other"].map(str::to_owned));
    let by_name = names.map(|name| match keys.named(&name, now) {
        Ok(key) => format!("{name}: {}", key.is_stored),
        Err(refused) => format!("{name}: {refused:?}"),
    });
    by_secret.chain(by_name).collect()
}

proptest! {
    #[test]
    fn changes_one_by_one_come_to_what_all_of_them_come_to(told in steps()) {
        let config = config();
        let (filed, limiters, purses) = (Filed::of(&config), Limiters::default(), Purses::default());
        let mut roster = Arc::new(Roster::default());
        let mut keys: Option<ClientKeys> = None;
        for (at, steps) in told.iter().enumerate() {
            let revision = i64::try_from(at).unwrap_or(i64::MAX);
            let news = news(steps, &roster, revision);
            let changes = Arc::make_mut(&mut roster).take(news);
            let sources = Sources {
                config: &config,
                filed: &filed,
                roster: &roster,
                limiters: &limiters,
                purses: &purses,
            };
            let anew = ClientKeys::of(sources);
            let changed = match &keys {
                None => ClientKeys::of(sources),
                Some(keys) => keys.with(sources, &changes),
            };
            prop_assert_eq!(opened(&changed), opened(&anew), "after {:?}", steps);
            keys = Some(changed);
        }
    }
}
