//! Settings that are fine one by one but do not go together.

use std::io::Write;

use secrecy::ExposeSecret;

use super::{CERTIFICATE, file, hash, load, problems};
use fal_gateway::config::{Proxy, Sources};

#[test]
fn spending_the_fal_key_for_strangers_needs_a_decision() {
    let exposed = Sources::default()
        .with_env("FAL_KEY", "id:secret")
        .with_flag("--listen", "0.0.0.0:3250");
    let found = problems(&exposed);
    assert!(
        found.starts_with("flag --listen: server.listen is 0.0.0.0:3250, beyond this machine"),
        "{found}"
    );
    for cure in ["`fal-gateway keys new`", "127.0.0.1", "`--open`"] {
        assert!(found.contains(cure), "{found}");
    }

    let cured = exposed.clone().with_env("FAL_GATEWAY_KEYS", "sk-one");
    assert!(load(&cured).warnings().is_empty());

    let opened = exposed.with_flag("--open", "true");
    assert_eq!(load(&opened).warnings().len(), 1);

    let pass_through = Sources::default().with_flag("--listen", "[::]:3250");
    let warnings = load(&pass_through).warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("fal keys of their own"),
        "{warnings:?}"
    );
}

/// The API is served beside the console, so its address is as far as anyone's key goes.
#[test]
fn the_consoles_address_gives_no_credit_away_either() {
    let paid = |text: &str| file(text).with_env("FAL_KEY", "id:secret");
    let exposed = paid("[console]\nlisten = \"0.0.0.0:3253\"");
    let found = problems(&exposed);
    assert!(
        found.contains("console.listen is 0.0.0.0:3253, beyond this machine"),
        "{found}"
    );
    let warned = load(&exposed.with_env("FAL_GATEWAY_KEYS", "sk-one"));
    let warnings = warned.warnings();
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("nobody is shown the console")),
        "{warnings:?}"
    );
    let off = paid("[console]\nenabled = false\nlisten = \"0.0.0.0:3253\"");
    assert!(load(&off).warnings().is_empty());

    let both = file("[console]\nlisten = \"127.0.0.1:3250\"");
    assert!(problems(&both).contains("where the API listens already"));
    let metrics = "[console]\nlisten = \"127.0.0.1:1\"\n[metrics]\nlisten = \"127.0.0.1:1\"";
    assert!(problems(&file(metrics)).contains("console.listen is also metrics.listen"));
}

#[test]
fn a_setting_whose_feature_is_missing_is_refused_by_its_name() {
    let exact = file("[usage]\ncount = \"exact\"");
    if cfg!(feature = "tokenizer") {
        load(&exact);
    } else {
        let found = problems(&exact);
        assert!(found.contains("the feature `tokenizer`"), "{found}");
    }
}

#[test]
fn a_refused_value_causes_no_second_problem() {
    let sources = file("[auth]\nkeys = [\"plain\"]")
        .with_env("FAL_KEY", "id:secret")
        .with_flag("--listen", "0.0.0.0:3250");
    let found = problems(&sources);
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.contains("keys hash"), "{found}");
}

#[test]
fn an_unreadable_file_causes_no_second_problem() {
    let sources = file("[auth\nkeys = []")
        .with_env("FAL_KEY", "id:secret")
        .with_flag("--listen", "0.0.0.0:1");
    let found = problems(&sources);
    assert!(
        found.lines().all(|line| line.contains("not valid TOML")),
        "{found}"
    );
}

#[test]
fn open_together_with_keys_is_pointless_and_said_so() {
    let sources = Sources::default()
        .with_env("FAL_GATEWAY_KEYS", "sk-one")
        .with_flag("--open", "true");
    let warnings = load(&sources).warnings();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("has no effect")),
        "{warnings:?}"
    );
}

#[test]
fn any_web_page_and_client_keys_do_not_go_together() {
    let any = file("[server]\ncors_origins = [\"*\"]");
    assert_eq!(problems(&any), "");
    let found = problems(&any.with_env("FAL_GATEWAY_KEYS", "sk-one"));
    assert!(
        found.starts_with("fal-gateway.toml:2: server.cors_origins is \"*\""),
        "{found}"
    );
}

#[test]
fn alias_cycles_are_reported_once_each() {
    let found = problems(&file(
        "[models.aliases]\na = \"b\"\nb = \"c\"\nc = \"a\"\nme = \"me\"\nlead = \"a\"",
    ));
    assert_eq!(
        found,
        "fal-gateway.toml:2: models.aliases go in a circle: `a` stands for `b` stands for `c` stands for `a`.\n\
         fal-gateway.toml:5: models.aliases go in a circle: `me` stands for `me`."
    );
}

#[test]
fn every_name_must_lead_to_a_fal_model() {
    let found = problems(&file(
        "[models]\ndefault = \"fats\"\n[models.aliases]\nfast = \"google/g\"\nx = \"fasst\"\n[models.fallbacks]\n\"a/b\" = [\"c/d\", \"nope\"]",
    ));
    let starts = [
        "fal-gateway.toml:5: models.aliases.\"x\" stands for `fasst`, which is neither a fal model id with a slash nor a name in models.aliases or models.add; did you mean `fast`?",
        "fal-gateway.toml:7: models.fallbacks.\"a/b\" lists `nope`, which",
        "fal-gateway.toml:2: models.default is `fats`, which",
    ];
    assert_eq!(found.lines().count(), starts.len(), "{found}");
    for (line, start) in found.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn the_same_key_twice_is_a_mistake() {
    let text = format!(
        "[auth]\nkeys = [\n\"a:{}\",\n\"{}\",\n\"b:{}\",\n]\nadmin_key = \"{}\"",
        hash('a'),
        hash('b'),
        hash('A'),
        hash('b')
    );
    let found = problems(&file(&text));
    assert_eq!(
        found,
        "fal-gateway.toml:5: entry 3 of auth.keys is the same key as entry 1; remove one.\n\
         fal-gateway.toml:7: auth.admin_key is also a client key in auth.keys; make another with `fal-gateway keys new`."
    );
    let twice = Sources::default().with_env("FAL_GATEWAY_KEYS", "sk-one,sk-one");
    assert!(problems(&twice).starts_with("environment variable FAL_GATEWAY_KEYS: entry 2"));
}

#[test]
fn metrics_need_an_address_of_their_own_or_none() {
    let found = problems(&file("[metrics]\nlisten = \"127.0.0.1:3250\""));
    assert!(found.contains("where the API listens already"), "{found}");
    let warnings = load(&file("[metrics]\nlisten = \"0.0.0.0:9325\"")).warnings();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("auth.admin_key")),
        "{warnings:?}"
    );
}

#[test]
fn the_fal_key_may_stand_in_a_file_of_its_own() {
    let mut key_file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let path = key_file.path().display().to_string();
    let sources = Sources::default().with_env("FAL_GATEWAY__FAL__KEY_FILE", &path);

    assert!(
        problems(&sources).contains("must hold one key"),
        "an empty file"
    );

    key_file
        .write_all(b"id:0012\r\n")
        .expect("a temporary file can be written");
    let config = load(&sources);
    assert_eq!(
        config.fal.key.as_ref().map(|key| key.expose_secret()),
        Some("id:0012")
    );

    let both = sources.clone().with_env("FAL_KEY", "id:secret");
    let found = problems(&both);
    assert!(
        found.starts_with(
            "environment variable FAL_GATEWAY__FAL__KEY_FILE: fal.key and fal.key_file are both set"
        ),
        "{found}"
    );

    key_file
        .write_all(b"second-line")
        .expect("a temporary file can be written");
    let found = problems(&sources);
    assert!(
        found.contains("white space") && !found.contains("0012"),
        "{found}"
    );

    drop(key_file);
    assert!(problems(&sources).contains("cannot be read: it does not exist"));
    let folder = Sources::default().with_env("FAL_GATEWAY__FAL__KEY_FILE", "/");
    assert!(problems(&folder).contains("it is a folder"));
}

#[test]
fn plain_http_is_for_this_machine_only() {
    for url in [
        "http://127.0.0.1:3251",
        "http://localhost:3251/x",
        "http://[::1]:1",
        "https://proxy.example/fal",
    ] {
        assert_eq!(
            problems(&Sources::default().with_flag("--fal-url", url)),
            "",
            "{url}"
        );
    }
    for url in [
        "http://10.0.0.1",
        "http://fal.run",
        "http://0.0.0.0:1",
        "http://notlocalhost",
    ] {
        assert_ne!(
            problems(&Sources::default().with_flag("--fal-url", url)),
            "",
            "{url}"
        );
    }
}

#[test]
fn a_fal_key_without_its_form_is_named_and_not_shown() {
    for (key, is_named) in [
        ("id:secret", false),
        ("6f1c:abc:def", false),
        ("hunter2", true),
        (":hunter2", true),
        ("hunter2:", true),
    ] {
        let warnings = load(&Sources::default().with_env("FAL_KEY", key)).warnings();
        let named = warnings.iter().filter(|one| one.contains("`id:secret`"));
        assert_eq!(named.count(), usize::from(is_named), "{warnings:?}");
        let warnings = warnings.concat();
        assert!(!warnings.contains("hunter2"), "{warnings}");
    }
}

#[test]
fn certificates_are_read_when_the_settings_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let settings = || file(&format!("[fal]\nca_file = {path:?}"));
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let second = format!("{CERTIFICATE}{no_certificate}");
    let missing = problems(&settings());
    assert!(
        missing.ends_with("cannot be read: it does not exist."),
        "{missing}"
    );
    for (text, end) in [
        (
            "",
            "holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`).",
        ),
        (
            key,
            "holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`).",
        ),
        (cut, "is not in PEM form."),
        (
            no_certificate,
            "holds something that is no certificate, as number 1.",
        ),
        (
            &second,
            "holds something that is no certificate, as number 2.",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let found = problems(&settings());
        assert!(
            found.starts_with("fal-gateway.toml:2: fal.ca_file "),
            "{found}"
        );
        assert!(found.ends_with(end), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let twice = format!("# ours\n{CERTIFICATE}\n{CERTIFICATE}{key}");
    std::fs::write(&path, twice).unwrap();
    let read = load(&settings()).fal.ca_file.unwrap();
    assert_eq!(read.certificates.len(), 2);
}

#[cfg(feature = "postgres")]
#[test]
fn a_databases_authority_is_read_where_there_is_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, CERTIFICATE).unwrap();
    let of_store = |url: &str| file(&format!("[store]\n{url}\nca_file = {path:?}"));
    let url = "url = \"postgres://db.example/gateway\"";
    let read = load(&of_store(url)).store.ca_file.unwrap();
    assert_eq!(read.certificates.len(), 1);
    let useless = problems(&of_store(""));
    assert!(useless.contains("store.url names none"), "{useless}");
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    let broken = problems(&of_store(url));
    assert!(
        broken.starts_with("fal-gateway.toml:3: store.ca_file "),
        "{broken}"
    );
}

#[cfg(feature = "postgres")]
#[test]
fn what_a_databases_address_says_of_tls_is_what_becomes_of_it() {
    let at = |parameters: &str| {
        file(&format!(
            "[store]\nurl = \"postgres://me:hunter2@db.example/gateway?{parameters}\""
        ))
    };
    for taken in [
        "",
        "sslmode=disable",
        "sslmode=require",
        "sslmode=verify-full",
    ] {
        let url = load(&at(&format!("{taken}&options=-c%20search_path%3Dfg")))
            .store
            .url;
        let rest = "postgres://me:hunter2@db.example/gateway?options=-c%20search_path%3Dfg";
        assert_eq!(url.unwrap().without_ssl_mode(), rest, "{taken}");
    }
    for (refused, cure) in [
        ("sslmode=prefer", "say `verify-full`"),
        ("sslmode=allow", "say `verify-full`"),
        ("sslmode=full", "none of `disable`, `require`"),
        ("sslrootcert=/ca.pem", "in store.ca_file instead"),
        ("sslkey=/key.pem", "take it out"),
    ] {
        let found = problems(&at(refused));
        assert!(
            found.starts_with("fal-gateway.toml:2: store.url "),
            "{found}"
        );
        assert!(found.contains(cure), "{found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn the_environments_proxy_is_looked_up_once() {
    let with = |variables: &[(&str, &str)]| {
        let sources = file("[fal]\nproxy = \"env\"");
        let add = |sources: Sources, (name, value): &(&str, &str)| sources.with_env(*name, *value);
        variables.iter().fold(sources, add)
    };
    assert_eq!(load(&with(&[])).fal.proxy, None);
    assert_eq!(load(&with(&[("HTTPS_PROXY", " ")])).fal.proxy, None);
    assert_eq!(load(&with(&[("HTTP_PROXY", "http://a")])).fal.proxy, None);
    for (variables, address, exceptions) in [
        (
            &[("HTTPS_PROXY", "http://a:1"), ("https_proxy", "b:2")][..],
            "http://b:2/",
            "",
        ),
        (
            &[("ALL_PROXY", "https://a:443"), ("NO_PROXY", "x, y")],
            "https://a/",
            "x, y",
        ),
        (
            &[("HTTPS_PROXY", "u:p@10.0.0.7:80")],
            "http://u:p@10.0.0.7/",
            "",
        ),
        (
            &[("HTTPS_PROXY", "http://[::1]:3128/")],
            "http://[::1]:3128/",
            "",
        ),
        (
            &[("HTTPS_PROXY", "my_proxy.:3128")],
            "http://my_proxy.:3128/",
            "",
        ),
    ] {
        let Some(Proxy::At { url, bypass }) = load(&with(variables)).fal.proxy else {
            unreachable!("{variables:?} name a proxy");
        };
        assert_eq!((url.as_str(), bypass.as_str()), (address, exceptions));
    }
    for nonsense in [
        "socks5://a:1",
        "nonsense",
        "3128",
        "http://-x-",
        "http://x:0",
    ] {
        let found = problems(&with(&[("https_proxy", nonsense)]));
        assert!(
            found.contains("the environment variable https_proxy is not"),
            "{nonsense}: {found}"
        );
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn enterprise_endpoints_and_an_upstream_without_any_do_not_go_together() {
    let native = file("[fal]\nupstream = \"router-openai\"");
    assert!(load(&native).warnings().is_empty());
    let both = native.with_env("FAL_GATEWAY__FAL__ENTERPRISE", "true");
    let found = problems(&both);
    assert!(found.contains("set fal.upstream to any-llm"), "{found}");
}

#[test]
fn names_lead_to_models_that_were_added_whatever_their_ids() {
    let text = "[models]\ndefault = \"isaac-0.1\"\nadd = [{ id = \"isaac-0.1\" }]\n\
                aliases = { \"isaac\" = \"isaac-0.1\" }\n\
                fallbacks = { \"isaac\" = [\"isaac-0.1\"] }\n";
    load(&file(text));
    let found = problems(&file(&text.replace("add = [{ id = \"isaac-0.1\" }]", "")));
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn no_project_is_called_like_that_of_keys_without_one() {
    let found = problems(&file(
        "[[projects]]\nname = \"web\"\n[[projects]]\nname = \"default\"",
    ));
    assert!(
        found.starts_with("fal-gateway.toml:3: no project can be called `default`"),
        "{found}"
    );
}
