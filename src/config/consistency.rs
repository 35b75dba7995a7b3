//! Settings that are fine one by one but do not go together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;

use config::{Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::capabilities::read_capabilities;
use super::kinds::{FalKey, Found, Kind};
use super::problem::{Problems, did_you_mean, nearest};
use super::reader::Reader;
use super::sources::reason;
use super::{Config, Secrecy, Upstream, UsageCount, admin, keys, mounts, trust};

/// Reports contradictions, and fetches the fal key from its file.
pub(super) fn settle(config: &mut Config, reader: &mut Reader) {
    read_key_file(config, reader);
    read_capabilities_file(config, reader);
    refuse_contradictions(config, reader);
}

/// Reports settings that do not go together.
pub(super) fn refuse_contradictions(config: &Config, reader: &mut Reader) {
    if reader.trusts(&[
        "server.listen",
        "console.listen",
        "fal.key",
        "fal.key_file",
        "auth.keys",
    ]) {
        refuse_giving_credit_away(config, reader);
    }
    if reader.trusts(&["server.cors_origins", "auth.keys"]) {
        refuse_any_origin_with_keys(config, reader);
    }
    if reader.trusts(&["auth.keys", "auth.admin_key"]) {
        refuse_equal_keys(config, reader);
    }
    keys::refuse_contradictions(config, reader);
    admin::refuse_contradictions(config, reader);
    if reader.trusts(&["models.aliases", "models.add"]) {
        refuse_dangling_names(config, reader);
        refuse_alias_cycles(&config.models.aliases, reader);
    }
    if reader.trusts(&["server.listen", "metrics.listen", "console.listen"]) {
        refuse_one_address_twice(config, reader);
    }
    if reader.trusts(&["fal.upstream", "fal.enterprise"]) {
        refuse_enterprise_without_route(config, reader);
    }
    if reader.trusts(&["usage.count"]) {
        refuse_counting_without_tokenizer(config, reader);
    }
    if reader.trusts(&["store.path", "store.url"]) {
        refuse_two_stores(config, reader);
        refuse_unclear_lines(config, reader);
    }
}

/// What works but deserves a second look.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.auth.allow_unauthenticated {
        warnings.push(if config.client_keys() == 0 {
            let listen = config.server.listen;
            format!(
                "auth.allow_unauthenticated is on and auth.keys is empty: anyone who reaches \
                 {listen} may use the gateway."
            )
        } else {
            "auth.allow_unauthenticated has no effect, because auth.keys is set.".to_owned()
        });
    }
    let needs_their_keys = config.fal.key.is_none() && !config.auth.allow_unauthenticated;
    if let Some((setting, listen)) = config.beyond().filter(|_| needs_their_keys) {
        warnings.push(format!(
            "{setting} is {listen}, beyond this machine, and no fal key is set: anyone who \
             reaches it may send fal keys of their own through it, or try some. Pass `--open` \
             (auth.allow_unauthenticated = true) if that is meant."
        ));
    }
    if config.fal.key.as_ref().is_some_and(lacks_its_form) {
        warnings.push(
            "the fal key is not of the form `id:secret`, and fal will most likely refuse it: copy all \
             of it from https://fal.ai/dashboard/keys."
                .to_owned(),
        );
    }
    let metrics_beyond = config
        .metrics
        .listen
        .filter(|listen| !listen.ip().is_loopback());
    if let (true, Some(listen), None) = (
        config.metrics.enabled,
        metrics_beyond,
        &config.auth.admin_key,
    ) {
        warnings.push(format!(
            "metrics.listen is {listen}, beyond this machine, but without auth.admin_key /metrics \
             answers only this machine."
        ));
    }
    let console = config.console.listen.filter(|_| config.console.enabled);
    let console_beyond = console.filter(|listen| !listen.ip().is_loopback());
    if let (Some(listen), None) = (console_beyond, &config.auth.admin_key) {
        warnings.push(format!(
            "console.listen is {listen}, beyond this machine, but without auth.admin_key nobody is \
             shown the console."
        ));
    }
    let store = config.store.path.as_deref();
    if let Some((path, kind)) = store.and_then(|path| Some((path, mounts::remote(path)?))) {
        warnings.push(format!(
            "store.path is {}, on a file system of another machine ({kind}), whose locks are not enough \
             for SQLite: what is kept there may be damaged. Take a disk of this machine, or store.url.",
            path.display()
        ));
    }
    warnings.extend(exposures(config));
    warnings
}

/// Whether a fal key is not an id and a secret with a colon between them (source: fal's page
/// "Authentication").
fn lacks_its_form(key: &SecretString) -> bool {
    let parts = key.expose_secret().split_once(':');
    parts.is_none_or(|(id, secret)| id.is_empty() || secret.is_empty())
}

/// The files whose rights deserve a second look.
fn exposures(config: &Config) -> Vec<String> {
    let file = config.file.as_ref();
    let files = [
        (
            "the settings file",
            file.map(|file| &file.path),
            file.is_some_and(|file| file.holds_secret),
        ),
        ("fal.key_file", config.fal.key_file.as_ref(), true),
        ("server.tls_cert", config.server.tls_cert.as_ref(), false),
        ("server.tls_key", config.server.tls_key.as_ref(), true),
        (
            "fal.ca_file",
            config.fal.ca_file.as_ref().map(|file| &file.path),
            false,
        ),
        (
            "models.capabilities",
            config.models.capabilities.as_ref(),
            false,
        ),
        ("models.cache", config.models.cache.as_ref(), false),
        ("store.path", config.store.path.as_ref(), true),
        (
            "store.ca_file",
            config.store.ca_file.as_ref().map(|file| &file.path),
            false,
        ),
    ];
    let named = files
        .into_iter()
        .filter_map(|(name, path, holds_secret)| Some((name, path?, holds_secret)));
    named
        .flat_map(|(name, path, holds_secret)| {
            let exposures = trust::exposures(path, holds_secret).into_iter();
            exposures.map(move |what| format!("{name} {} {what}", path.display()))
        })
        .collect()
}

/// A file that is read only because it lies in the working directory may not send the fal key, and
/// what callers ask, to somebody else: whoever unpacks or clones something has such files, and none
/// of them was meant. fal itself and this machine are fine.
pub(super) fn refuse_leading_keys_away(config: &Config, reader: &mut Reader) {
    let Some(file) = &config.file else { return };
    let shown = file.path.display().to_string();
    for (setting, url) in [
        ("fal.url", &config.fal.url),
        ("fal.queue_url", &config.fal.queue_url),
        ("fal.rest_url", &config.fal.rest_url),
        ("fal.platform_url", &config.fal.platform_url),
    ] {
        if reader.comes_from(setting, &shown) && !is_fal_or_this_machine(url) {
            let host = url.host_str().unwrap_or_default();
            reader.contradiction(
                setting,
                format!(
                    "{setting} sends the fal key and all requests to {host}, and {shown} is read \
                     only because it lies in the working directory; if you trust it, name it: \
                     `--config ./{shown}`."
                ),
            );
        }
    }
    for setting in ["store.path", "store.url"] {
        if reader.comes_from(setting, &shown) {
            reader.contradiction(
                setting,
                format!(
                    "{setting} decides where conversations are kept, and {shown} is read only because \
                     it lies in the working directory; if you trust it, name it: `--config ./{shown}`."
                ),
            );
        }
    }
    for setting in ["fal.proxy", "fal.ca_file"] {
        if reader.comes_from(setting, &shown) {
            reader.contradiction(
                setting,
                format!(
                    "{setting} decides who may read what is sent to fal, and {shown} is read only \
                     because it lies in the working directory; if you trust it, name it: `--config \
                     ./{shown}`."
                ),
            );
        }
    }
}

fn is_fal_or_this_machine(url: &Url) -> bool {
    const FAL: [&str; 3] = ["fal.run", "fal.ai", "falrun.com"];
    match url.host() {
        Some(Host::Domain("localhost")) => true,
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) if url.scheme() == "https" => FAL.iter().any(|fal| {
            let sub = name.strip_suffix(fal);
            sub.is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        }),
        _ => false,
    }
}

fn read_key_file(config: &mut Config, reader: &mut Reader) {
    const SETTING: &str = "fal.key_file";
    let Some(path) = &config.fal.key_file else {
        return;
    };
    if config.fal.key.is_some() {
        reader.contradiction(
            SETTING,
            "fal.key and fal.key_file are both set; keep one of them.",
        );
        return;
    }
    let shown = path.display();
    match fs::read_to_string(path) {
        Err(error) => {
            let reason = reason(path, &error);
            reader.contradiction(
                SETTING,
                format!("fal.key_file {shown} cannot be read: {reason}."),
            );
        }
        Ok(text) => match key_in_file(&text) {
            Some(key) => config.fal.key = Some(key),
            None => reader.contradiction(
                SETTING,
                format!(
                    "fal.key_file {shown} must hold one key: not empty, and without white \
                     space or control characters."
                ),
            ),
        },
    }
}

fn read_capabilities_file(config: &mut Config, reader: &mut Reader) {
    let Some(path) = &config.models.capabilities else {
        return;
    };
    match read_capabilities(path) {
        Ok(capabilities) => config.capabilities = capabilities,
        Err(problems) => reader.add_all("models.capabilities", &problems),
    }
}

fn key_in_file(text: &str) -> Option<SecretString> {
    let value = Value::new(None, ValueKind::String(text.to_owned()));
    let found = Found::new("fal.key_file", &value, Secrecy::Secret);
    FalKey.read(&found, &mut Problems::default())
}

fn refuse_giving_credit_away(config: &Config, reader: &mut Reader) {
    let pays = config.fal.key.is_some() || config.fal.key_file.is_some();
    // Keys of a store are asked for even where there are none yet.
    let asks_nobody =
        config.client_keys() == 0 && !config.has_store() && !config.auth.allow_unauthenticated;
    if let Some((setting, listen)) = config.beyond().filter(|_| pays && asks_nobody) {
        reader.contradiction(
            setting,
            format!(
                "{setting} is {listen}, beyond this machine, and fal.key is set, but \
                 auth.keys is empty, so anyone who reaches this port would spend your fal credit: \
                 make a client key with `fal-gateway keys new`, or listen on 127.0.0.1, or pass \
                 `--open` (auth.allow_unauthenticated = true) if a proxy in front checks \
                 callers."
            ),
        );
    }
}

fn refuse_counting_without_tokenizer(config: &Config, reader: &mut Reader) {
    if config.usage.count == UsageCount::Exact && !cfg!(feature = "tokenizer") {
        reader.contradiction(
            "usage.count",
            "usage.count is exact, but this program was built without the feature `tokenizer`; \
             set it to estimate.",
        );
    }
}

/// What is said of TLS towards the database has to be what becomes of it.
fn refuse_unclear_lines(config: &Config, reader: &mut Reader) {
    let store = &config.store;
    if let Some(why) = store.url.as_ref().and_then(|url| url.misunderstanding()) {
        reader.contradiction("store.url", format!("store.url {why}."));
    }
    if store.ca_file.is_some() && store.url.is_none() {
        reader.contradiction(
            "store.ca_file",
            "store.ca_file is for a PostgreSQL server, but store.url names none; set store.url, or \
             take store.ca_file out.",
        );
    }
}

fn refuse_two_stores(config: &Config, reader: &mut Reader) {
    let store = &config.store;
    if store.url.is_none() {
        return;
    }
    if store.path.is_some() {
        reader.contradiction(
            "store.url",
            "store.path and store.url are both set; keep one of them.",
        );
    } else if !cfg!(feature = "postgres") {
        reader.contradiction(
            "store.url",
            "store.url is set, but this program was built without the feature `postgres`; build \
             it with `--features postgres`, or set store.path instead.",
        );
    }
}

/// Whoever wants fal's enterprise endpoints wants nothing else.
fn refuse_enterprise_without_route(config: &Config, reader: &mut Reader) {
    if config.fal.enterprise && config.fal.upstream == Upstream::RouterOpenai {
        reader.contradiction(
            "fal.upstream",
            "fal.upstream is router-openai, which has no enterprise endpoint, but fal.enterprise is on; \
             set fal.upstream to any-llm.",
        );
    }
}

fn refuse_any_origin_with_keys(config: &Config, reader: &mut Reader) {
    let any = config
        .server
        .cors_origins
        .iter()
        .any(|origin| origin == "*");
    if any && config.client_keys() > 0 {
        reader.contradiction(
            "server.cors_origins",
            "server.cors_origins is \"*\" although client keys are configured; list the pages \
             that may call, such as `https://chat.example.com`.",
        );
    }
}

fn refuse_equal_keys(config: &Config, reader: &mut Reader) {
    let mut places = HashMap::new();
    for (i, key) in config.auth.keys.iter().enumerate() {
        let first = *places.entry(key.sha256()).or_insert(i);
        if first != i {
            let (this, first) = (i + 1, first + 1);
            let sentence =
                format!("entry {this} of auth.keys is the same key as entry {first}; remove one.");
            reader.item_contradiction("auth.keys", i, sentence);
        }
    }
    let admin = config.auth.admin_key.as_ref();
    if admin.is_some_and(|admin| places.contains_key(admin.sha256())) {
        reader.contradiction(
            "auth.admin_key",
            "auth.admin_key is also a client key in auth.keys; make another with `fal-gateway \
             keys new`.",
        );
    }
}

/// Every name that stands for a model must be a fal id or one of the models added, or lead to one.
fn refuse_dangling_names(config: &Config, reader: &mut Reader) {
    let models = &config.models;
    let added: HashSet<&str> = models.add.iter().map(|model| model.id.as_str()).collect();
    let leads_on = |name: &str| {
        name.contains('/') || models.aliases.contains_key(name) || added.contains(name)
    };
    let explain = |name: &str| {
        let known = models.aliases.keys().map(String::as_str);
        let end = did_you_mean(nearest(name, known.chain(added.iter().copied())));
        format!(
            "which is neither a fal model id with a slash nor a name in models.aliases or models.add{end}"
        )
    };
    for (alias, target) in &models.aliases {
        if !leads_on(target) {
            let why = explain(target);
            let sentence = format!("models.aliases.\"{alias}\" stands for `{target}`, {why}");
            reader.entry_contradiction("models.aliases", alias, sentence);
        }
    }
    for (model, others) in &models.fallbacks {
        for other in others.iter().filter(|other| !leads_on(other)) {
            let why = explain(other);
            let sentence = format!("models.fallbacks.\"{model}\" lists `{other}`, {why}");
            reader.entry_contradiction("models.fallbacks", model, sentence);
        }
    }
    if !leads_on(&models.default) {
        let why = explain(&models.default);
        let sentence = format!("models.default is `{}`, {why}", models.default);
        reader.contradiction("models.default", sentence);
    }
}

/// Reports each cycle once, at its alphabetically first name.
fn refuse_alias_cycles(aliases: &BTreeMap<String, String>, reader: &mut Reader) {
    let mut reported = BTreeSet::new();
    for start in aliases.keys() {
        let mut path: Vec<&String> = vec![start];
        let mut next = aliases.get(start);
        while let Some(name) = next.filter(|name| !path.contains(name)) {
            path.push(name);
            next = aliases.get(name);
        }
        // Only names on the cycle itself come back to where they started.
        if next == Some(start) && path.iter().all(|name| !reported.contains(*name)) {
            let names: Vec<String> = path
                .iter()
                .chain([&start])
                .map(|n| format!("`{n}`"))
                .collect();
            let sentence = format!(
                "models.aliases go in a circle: {}.",
                names.join(" stands for ")
            );
            reader.entry_contradiction("models.aliases", start, sentence);
            reported.extend(path);
        }
    }
}

fn refuse_one_address_twice(config: &Config, reader: &mut Reader) {
    let listen = config.server.listen;
    let (metrics, console) = (config.metrics.listen, config.console.listen);
    let taken = |address: Option<SocketAddr>, by: SocketAddr| address == Some(by) && by.port() != 0;
    if taken(metrics, listen) {
        reader.contradiction(
            "metrics.listen",
            format!(
                "metrics.listen is {listen}, where the API listens already; unset it to serve \
             /metrics there."
            ),
        );
    }
    if taken(console, listen) {
        reader.contradiction(
            "console.listen",
            format!(
                "console.listen is {listen}, where the API listens already; unset it to show the \
             console there."
            ),
        );
    }
    if metrics.is_some_and(|metrics| taken(console, metrics)) {
        reader.contradiction(
            "console.listen",
            "console.listen is also metrics.listen; give each an address of its own.".to_owned(),
        );
    }
}
