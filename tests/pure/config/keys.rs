//! The tables of client keys and projects.

use super::{file, hash, load, problems};

#[test]
fn a_key_is_read_with_all_that_is_said_of_it() {
    let config = load(&file(&format!(
        "[[projects]]\nname = \"web\"\n\n[[keys]]\nname = \"ci\"\nproject = \"web\"\nhash = \"{}\"\n\
         models = [\"openai/*\", \"!*-pro\"]\npremium = false\nexpires = 2027-01-31\n",
        hash('1')
    )));
    let key = &config.keys[0];
    assert_eq!(
        (key.name.as_str(), key.project.as_deref()),
        ("ci", Some("web"))
    );
    assert_eq!(key.models.len(), 2);
    assert!(key.models[1].excludes && !key.premium);
    assert_eq!(key.expires.unwrap().to_string(), "2027-01-31T00:00:00Z");
    assert_eq!(config.client_keys(), 1);
    assert_eq!(config.projects[0].name, "web");
}

/// Each names the line, the field and what it takes, and none shows what may be a key.
#[test]
fn what_is_wrong_with_a_key_is_said_where_it_stands() {
    let good = format!("name = \"ci\"\nhash = \"{}\"\n", hash('1'));
    for (text, expected) in [
        (
            "[[keys]]\nname = \"ci\"\n".to_owned(),
            "fal-gateway.toml:1: entry 1 of keys lacks `hash`",
        ),
        (
            format!("[[keys]]\nhash = \"{}\"\n", hash('1')),
            "lacks `name`",
        ),
        (
            format!("[[keys]]\n{good}modles = []\n"),
            "fal-gateway.toml:4: entry 1 of keys has no field `modles`; did you mean `models`?",
        ),
        (
            format!("[[keys]]\n{good}expires = \"soon\"\n"),
            "fal-gateway.toml:4: expires in entry 1 of keys is \"soon\", but takes a date",
        ),
        (
            format!("[[keys]]\n{good}expires = 2027-01-31T18:00:00\n"),
            "but takes a date",
        ),
        (
            format!("[[keys]]\n{good}models = [\"two words\"]\n"),
            "entry 1 of models in entry 1 of keys",
        ),
        (
            format!("[[keys]]\n{good}scopes = [\"chats\"]\n"),
            "scopes in entry 1 of keys",
        ),
        (
            format!("[[keys]]\n{good}project = \"wbe\"\n[[projects]]\nname = \"web\"\n"),
            "did you mean `web`?",
        ),
        (
            format!("[[keys]]\n{good}previous_until = 2027-01-01\n"),
            "belong together",
        ),
        (
            format!("[keys]\n{good}"),
            "`keys` is a list of tables; write `[[keys]]`",
        ),
        (
            format!("[[key]]\n{good}"),
            "there is no section `key`; did you mean `keys`?",
        ),
        (
            "[[keys]]\nname = \"ci\"\nhash = \"sk-planted\"\n".to_owned(),
            "is not the hash of a key (the value is not shown)",
        ),
    ] {
        let found = problems(&file(&text));
        assert!(found.contains(expected), "{text}\n{found}");
        assert!(!found.contains("planted"), "{found}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_both_named() {
    let key =
        |name: &str, digit| format!("[[keys]]\nname = \"{name}\"\nhash = \"{}\"\n", hash(digit));
    let lines = |digit| format!("[auth]\nkeys = [\"ci:{}\"]\n", hash(digit));
    for (text, here, there) in [
        (
            key("ci", '1') + &key("ci", '2'),
            "fal-gateway.toml:4: the key `ci` is called like",
            "fal-gateway.toml:1;",
        ),
        (
            lines('1') + &key("ci", '2'),
            "fal-gateway.toml:3: the key `ci` is called like",
            "fal-gateway.toml:2 (entry 1 of auth.keys)",
        ),
        (
            key("a", '1') + &key("b", '1'),
            "fal-gateway.toml:4: the key `b` has the same hash",
            "fal-gateway.toml:1;",
        ),
        (
            lines('1') + &key("b", '1'),
            "the key `b` has the same hash",
            "fal-gateway.toml:2 (entry 1 of auth.keys)",
        ),
        (
            format!("[auth]\nadmin_key = \"{}\"\n{}", hash('1'), key("b", '1')),
            "the key `b` has the same hash",
            "auth.admin_key",
        ),
        (
            key("b", '1')
                + &format!(
                    "previous_hash = \"{}\"\nprevious_until = 2027-01-01\n",
                    hash('1')
                ),
            "the key `b` has the same hash",
            "fal-gateway.toml:1;",
        ),
        (
            "[[projects]]\nname = \"a\"\n".repeat(2),
            "fal-gateway.toml:3: the project `a`",
            "fal-gateway.toml:1 already",
        ),
    ] {
        let found = problems(&file(&text));
        assert!(
            found.contains(here) && found.contains(there),
            "{text}\n{found}"
        );
    }
}

/// Whatever asks for client keys is content with those of the tables.
#[test]
fn keys_in_tables_are_client_keys() {
    let key = format!("[[keys]]\nname = \"ci\"\nhash = \"{}\"\n", hash('1'));
    let exposed = file(&key)
        .with_env("FAL_KEY", "kid:ksecret")
        .with_flag("--listen", "0.0.0.0:3250");
    assert!(load(&exposed).warnings().is_empty());
    let any_page = exposed.with_env("FAL_GATEWAY__SERVER__CORS_ORIGINS", "*");
    assert!(problems(&any_page).contains("server.cors_origins"));
}

#[test]
fn a_pattern_that_no_model_fits_is_named_once_with_both_places() {
    let config = load(&file(&format!(
        "[[keys]]\nname = \"ci\"\nhash = \"{}\"\nmodels = [\"openai/*\", \"opnai/*\", \"!*-vision\"]\n\
         [[keys]]\nname = \"dev\"\nhash = \"{}\"\nmodels = [\"opnai/*\", \"gpt-4o-mini\", \"acme/*\"]\n\
         [[projects]]\nname = \"web\"\nmodels = [\"*mini*\", \"nobody/model\"]\n\
         [[models.add]]\nid = \"acme/one\"\npremium = false\n",
        hash('1'),
        hash('2'),
    )));
    let found = fal_gateway::api::catalogue::warnings(&config);
    let idle: Vec<&String> = found.iter().filter(|one| one.contains("pattern")).collect();
    let expected = [
        "the key `ci` has the pattern `*-vision` in models",
        "the key `dev` has the pattern `gpt-4o-mini` in models",
        "the project `web` has the pattern `nobody/model` in models",
        "the key `ci` (and 1 more) has the pattern `opnai/*` in models",
    ];
    assert_eq!(idle.len(), expected.len(), "{idle:#?}");
    for (sentence, part) in idle.iter().zip(expected) {
        assert!(sentence.contains(part), "{sentence}");
        assert!(sentence.starts_with("fal-gateway.toml"), "{sentence}");
        assert!(sentence.contains("built-in list of models"), "{sentence}");
    }
    let alias = "It is another name of `openai/gpt-4o-mini`, and patterns take ids.";
    assert!(idle[1].ends_with(alias), "{}", idle[1]);
}
