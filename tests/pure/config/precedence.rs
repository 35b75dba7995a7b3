//! Which source wins, and how each spells a value.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{file, hash, load, problems};
use fal_gateway::config::{
    Config, KeyHash, LogLevel, MissingFinal, Overflow, ReasoningField, Sources, Thinking,
    UnknownModel, UsageCount,
};
use fal_gateway::translate::model::{Modality, Parameter};

fn fal_key(config: &Config) -> Option<&str> {
    config.fal.key.as_ref().map(|key| key.expose_secret())
}

#[test]
fn without_any_source_every_setting_has_its_default() {
    let config = load(&Sources::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3250");
    assert_eq!(config.server.workers, None);
    assert_eq!(config.server.max_body, 16 << 20);
    assert_eq!(config.server.heartbeat, Some(Duration::from_secs(15)));
    assert_eq!(config.server.max_connections, None);
    assert_eq!(config.fal.url.as_str(), "https://fal.run/");
    assert_eq!(config.fal.app, "fal-ai/any-llm");
    assert_eq!(fal_key(&config), None);
    assert_eq!(config.fal.first_byte_timeout, None);
    assert_eq!(config.fal.total_timeout, Duration::from_secs(1800));
    assert_eq!(config.fal.missing_final, MissingFinal::Error);
    assert_eq!(config.limits.max_tokens, None);
    assert_eq!(config.limits.overflow, Overflow::Error);
    assert!(config.auth.keys.is_empty() && !config.auth.allow_unauthenticated);
    assert_eq!(config.models.unknown, UnknownModel::Forward);
    assert!(config.models.builtin_aliases && config.models.aliases.is_empty());
    assert_eq!(config.compat.reasoning_field, ReasoningField::Both);
    assert_eq!(config.usage.count, UsageCount::Estimate);
    assert_eq!(config.images.upload_threshold, None);
    assert!(config.metrics.enabled && config.metrics.listen.is_none());
    assert!(config.warnings().is_empty());
}

#[test]
fn the_environment_beats_the_file_and_a_flag_beats_both() {
    let mut sources =
        file("[server]\nlisten = \"127.0.0.1:1\"\nmax_body = 1024\n[log]\nlevel = \"warn\"");
    assert_eq!(load(&sources).server.listen.port(), 1);
    assert_eq!(load(&sources).server.max_body, 1024);

    sources = sources.with_env("FAL_GATEWAY__SERVER__LISTEN", "127.0.0.1:2");
    assert_eq!(load(&sources).server.listen.port(), 2);

    sources = sources.with_flag("--listen", "127.0.0.1:3");
    let config = load(&sources);
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(
        config.server.max_body, 1024,
        "other settings of the section stay"
    );
    assert_eq!(config.log.level, LogLevel::Warn);
}

#[test]
fn a_bad_value_that_a_higher_layer_replaces_does_no_harm() {
    let sources = file("[server]\nlisten = \"?\"").with_flag("--listen", "127.0.0.1:3");
    assert_eq!(load(&sources).server.listen.port(), 3);
}

#[test]
fn localhost_is_an_address() {
    let sources = Sources::default().with_flag("--listen", "localhost:4000");
    assert_eq!(load(&sources).server.listen.to_string(), "127.0.0.1:4000");
}

#[test]
fn port_replaces_the_port_of_file_and_environment_but_not_of_the_flag() {
    let sources = Sources::default().with_env("PORT", "8080");
    assert_eq!(load(&sources).server.listen.to_string(), "127.0.0.1:8080");

    let sources = file("[server]\nlisten = \"[::1]:1\"").with_env("PORT", "8080");
    assert_eq!(load(&sources).server.listen.to_string(), "[::1]:8080");

    let sources = sources.with_flag("--listen", "127.0.0.1:3");
    assert_eq!(load(&sources).server.listen.port(), 3);

    let empty = Sources::default().with_env("PORT", "");
    assert_eq!(load(&empty).server.listen.port(), 3250);
}

#[test]
fn lists_come_as_toml_or_separated_by_commas() {
    let from_file = load(&file(
        "[server]\ncors_origins = [\"https://a.example\", \"http://b.example:8080\"]",
    ));
    let from_env = load(&Sources::default().with_env(
        "FAL_GATEWAY__SERVER__CORS_ORIGINS",
        "https://a.example/, http://b.example:8080,",
    ));
    assert_eq!(
        from_file.server.cors_origins,
        ["https://a.example", "http://b.example:8080"]
    );
    assert_eq!(from_env.server.cors_origins, from_file.server.cors_origins);
}

#[test]
fn tables_come_as_toml_from_the_environment_too() {
    let sources = file(
        "[models.aliases]\n\"gpt-4.1\" = \"openai/gpt-4.1\"\n\"a/B\" = \"gpt-4.1\"\n[models.fallbacks]\n\"a/B\" = [\"x/y\", \"gpt-4.1\"]",
    );
    let models = load(&sources).models;
    assert_eq!(
        models.aliases.get("gpt-4.1").map(String::as_str),
        Some("openai/gpt-4.1")
    );
    assert_eq!(
        models.aliases.get("a/B").map(String::as_str),
        Some("gpt-4.1")
    );
    assert_eq!(models.fallbacks.get("a/B").map(Vec::len), Some(2));

    let sources = sources
        .with_env("FAL_GATEWAY__MODELS__ALIASES", "{ Fast = \"x/y\" }")
        .with_env("FAL_GATEWAY__MODELS__FALLBACKS", "{ Fast = [\"x/z\"] }");
    let models = load(&sources).models;
    assert_eq!(models.aliases.into_keys().collect::<Vec<_>>(), ["Fast"]);
    assert_eq!(models.fallbacks.into_keys().collect::<Vec<_>>(), ["Fast"]);
}

#[test]
fn added_models_have_defaults_for_all_but_their_id() {
    let sources = file(
        "[[models.add]]\nid = \"me/mine\"\nvision = true\ncontext_length = 8192\n[[models.add]]\nid = \"me/other\"\nenterprise = false",
    );
    let models = load(&sources).models.add;
    let [mine, other] = models.as_slice() else {
        unreachable!("two models were added: {models:?}");
    };
    assert_eq!(
        (mine.id.as_str(), mine.context_length),
        ("me/mine", Some(8192))
    );
    assert!(mine.vision && mine.enterprise && !mine.premium);
    assert_eq!(mine.reasoning, Thinking::Never);
    assert_eq!((mine.any_llm, mine.router), (None, None));
    assert_eq!((&mine.parameters, &mine.price), (&None, &None));
    assert!(!other.enterprise);

    let from_env = Sources::default().with_env(
        "FAL_GATEWAY__MODELS__ADD",
        "[{ id = \"me/mine\", vision = true, context_length = 8192 }]",
    );
    assert_eq!(load(&from_env).models.add.first(), Some(mine));
}

#[test]
fn added_models_tell_what_they_can_and_cost() {
    let sources = file(
        "[[models.add]]\nid = \"x-ai/grok\"\nany_llm = false\nrouter = true\nreasoning = \"mandatory\"\n\
         parameters = [\"tools\", \"structured_outputs\"]\ninputs = [\"text\", \"image\"]\n\
         prompt_price = \"0.000003\"\ncompletion_price = 0.000015",
    );
    let models = load(&sources).models.add;
    let price = models[0].price.as_ref().unwrap();
    // Not even a number without quotes loses decimals on its way.
    assert_eq!(
        (price.prompt.as_str(), price.completion.as_str()),
        ("0.000003", "0.000015")
    );
    assert_eq!(
        (models[0].any_llm, models[0].router),
        (Some(false), Some(true))
    );
    assert_eq!(models[0].reasoning, Thinking::Always);
    assert_eq!(
        models[0].parameters,
        Some(vec!["tools", "structured_outputs"])
    );
    assert_eq!(models[0].inputs, Some(vec!["text", "image"]));
}

/// The settings know OpenRouter's words by themselves, since they know nothing of the catalogue.
#[test]
fn every_word_of_the_catalogue_can_be_set() {
    let quoted = |names: Vec<&str>| format!("[\"{}\"]", names.join("\", \""));
    let parameters: Vec<&str> = Parameter::ALL.iter().map(|one| one.name()).collect();
    let inputs: Vec<&str> = Modality::ALL.iter().map(|one| one.name()).collect();
    let models = load(&file(&format!(
        "[[models.add]]\nid = \"a/b\"\nparameters = {}\ninputs = {}",
        quoted(parameters.clone()),
        quoted(inputs.clone()),
    )))
    .models
    .add;
    assert_eq!(models[0].parameters, Some(parameters));
    assert_eq!(models[0].inputs, Some(inputs));
}

#[test]
fn durations_sizes_switches_and_words_are_read() {
    let config = load(&file(
        "[server]\nheader_timeout = \"500ms\"\nheartbeat = \"0s\"\nworkers = 3\nmax_connections = \"9\"\n\
         [fal]\nfirst_byte_timeout = \"2m\"\nmissing_final = \"accept\"\nenterprise = true\nmax_event = \"64KiB\"\n\
         [limits]\noverflow = \"drop_oldest\"\nmax_prompt_chars = 5000\n\
         [images]\nupload_threshold = \"4MB\"\n[usage]\nalways_stream = true",
    ));
    assert_eq!(config.server.header_timeout, Duration::from_millis(500));
    assert_eq!(config.server.heartbeat, None);
    assert_eq!(config.server.workers, Some(3));
    assert_eq!(config.server.max_connections, Some(9));
    assert_eq!(
        config.fal.first_byte_timeout,
        Some(Duration::from_secs(120))
    );
    assert_eq!(config.fal.missing_final, MissingFinal::Accept);
    assert!(config.fal.enterprise);
    assert_eq!(config.fal.max_event, 65_536);
    assert_eq!(config.limits.overflow, Overflow::DropOldest);
    assert_eq!(config.limits.max_prompt_chars, Some(5000));
    assert_eq!(config.images.upload_threshold, Some(4_000_000));
    assert!(config.usage.always_stream);
}

#[test]
fn a_key_of_digits_arrives_as_it_is() {
    for key in ["0012", "1e5", "true", "0x10", "12"] {
        for variable in ["FAL_KEY", "FAL_GATEWAY__FAL__KEY"] {
            let config = load(&Sources::default().with_env(variable, key));
            assert_eq!(fal_key(&config), Some(key), "{variable}");
        }
    }
}

#[test]
fn the_fal_key_comes_from_our_variable_before_fals_and_from_either_before_the_file() {
    let mut sources = file("[fal]\nkey = \"from-file\"");
    assert_eq!(fal_key(&load(&sources)), Some("from-file"));

    sources = sources
        .with_env("FAL_KEY_ID", "id")
        .with_env("FAL_KEY_SECRET", "secret\n");
    assert_eq!(fal_key(&load(&sources)), Some("id:secret"));

    sources = sources.with_env("FAL_KEY", "from-fals-variable\n");
    assert_eq!(fal_key(&load(&sources)), Some("from-fals-variable"));

    sources = sources.with_env("FAL_GATEWAY__FAL__KEY", "from-ours");
    assert_eq!(fal_key(&load(&sources)), Some("from-ours"));
}

#[test]
fn an_empty_fal_key_is_no_key() {
    assert_eq!(fal_key(&load(&file("[fal]\nkey = \"\""))), None);
    let half = Sources::default()
        .with_env("FAL_KEY_ID", "id")
        .with_env("FAL_KEY", "");
    assert_eq!(fal_key(&load(&half)), None);
    let kept = file("[fal]\nkey = \"from-file\"").with_env("FAL_KEY", "");
    assert_eq!(fal_key(&load(&kept)), Some("from-file"));
}

#[test]
fn plain_client_keys_from_the_environment_are_hashed() {
    let config = load(&Sources::default().with_env("FAL_GATEWAY_KEYS", "sk-one, sk-two,"));
    assert_eq!(
        config.auth.keys,
        [KeyHash::of("sk-one"), KeyHash::of("sk-two")]
    );
}

#[test]
fn hashed_client_keys_come_with_or_without_a_name() {
    let text = format!(
        "[auth]\nkeys = [\"alice:{}\", \"{}\"]\nadmin_key = \"{}\"",
        hash('a'),
        hash('B'),
        hash('c')
    );
    let auth = load(&file(&text)).auth;
    let names: Vec<Option<&str>> = auth.keys.iter().map(KeyHash::name).collect();
    assert_eq!(names, [Some("alice"), None]);
    assert!(auth.admin_key.is_some());

    let list = format!("alice:{},{}", hash('a'), hash('b'));
    let config = load(&Sources::default().with_env("FAL_GATEWAY__AUTH__KEYS", list));
    assert_eq!(config.auth.keys, auth.keys);
}

#[test]
fn the_variables_kubernetes_sets_beside_a_service_of_our_name_are_not_ours() {
    let sources = Sources::default()
        .with_env("FAL_GATEWAY_SERVICE_HOST", "10.0.0.1")
        .with_env("FAL_GATEWAY_PORT", "tcp://10.0.0.1:3250");
    assert_eq!(problems(&sources), "");
}
