//! Settings from environment variables: our own names, and the plain ones that
//! fal's clients and hosting platforms use.

use config::{Config as Stack, Value, ValueKind};

use super::KeyHash;
use super::kinds::{Address, Kind};
use super::layers::{Layer, guess, lookup};
use super::problem::{Problems, did_you_mean};
use super::settings::{Setting, VARIABLE_PREFIX, all, find};
use super::sources::Sources;

pub(super) fn environment_layer(sources: &Sources, problems: &mut Problems) -> Layer {
    let mut layer = Layer::default();
    for (variable, value) in &sources.env {
        if !variable.starts_with(VARIABLE_PREFIX) {
            continue;
        }
        let origin = variable_origin(variable);
        match all().find(|setting| setting.variable() == *variable) {
            Some(setting) => layer.set(setting, &origin, value.as_str()),
            None => problems.add(origin, unknown_variable(variable)),
        }
    }
    fal_key(sources, &mut layer);
    client_keys(sources, &mut layer, problems);
    layer
}

fn unknown_variable(variable: &str) -> String {
    let key = variable
        .trim_start_matches(VARIABLE_PREFIX)
        .to_lowercase()
        .replace("__", ".");
    let end = did_you_mean(guess(&key).map(Setting::variable));
    format!("no setting has this variable{end}")
}

fn variable_origin(variable: &str) -> String {
    format!("environment variable {variable}")
}

/// A plain variable that is empty counts as not set: compose files pass
/// `FAL_KEY=` on when the variable is missing outside.
fn plain<'a>(sources: &'a Sources, variable: &str) -> Option<&'a str> {
    let value = sources.env.get(variable)?;
    Some(value.as_str()).filter(|value| !value.trim().is_empty())
}

/// The names that fal's own clients read. Our longer name goes first.
fn fal_key(sources: &Sources, layer: &mut Layer) {
    let Some(setting) = find("fal.key") else {
        return;
    };
    if sources.env.contains_key(&setting.variable()) {
        return;
    }
    if let Some(key) = plain(sources, "FAL_KEY") {
        layer.set(setting, &variable_origin("FAL_KEY"), key);
    } else if let (Some(id), Some(secret)) = (
        plain(sources, "FAL_KEY_ID"),
        plain(sources, "FAL_KEY_SECRET"),
    ) {
        let origin = "environment variables FAL_KEY_ID and FAL_KEY_SECRET";
        layer.set(setting, origin, format!("{}:{}", id.trim_end(), secret));
    }
}

/// Plain client keys, hashed at once.
fn client_keys(sources: &Sources, layer: &mut Layer, problems: &mut Problems) {
    const VARIABLE: &str = "FAL_GATEWAY_KEYS";
    let (Some(setting), Some(list)) = (find("auth.keys"), plain(sources, VARIABLE)) else {
        return;
    };
    let origin = variable_origin(VARIABLE);
    if sources.env.contains_key(&setting.variable()) {
        let other = setting.variable();
        problems.add(
            origin,
            format!("{other} is set as well; set only one of the two."),
        );
        return;
    }
    let hashes: Vec<Value> = list
        .split(',')
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(|key| Value::new(Some(&origin), KeyHash::of(key).to_string()))
        .collect();
    if hashes.is_empty() {
        // Starting without any key would let everyone in.
        problems.add(
            origin,
            "holds no key; list plain keys separated by commas, or unset it.",
        );
        return;
    }
    layer.set(setting, &origin, ValueKind::Array(hashes));
}

/// `PORT` is how platforms assign a port. They mean it more than our image or
/// file means the port next to the address, so only a flag goes above it.
pub(super) fn port_layer(sources: &Sources, below: &Stack, problems: &mut Problems) -> Layer {
    const VARIABLE: &str = "PORT";
    let mut layer = Layer::default();
    let (Some(setting), Some(text)) = (find("server.listen"), plain(sources, VARIABLE)) else {
        return layer;
    };
    let origin = variable_origin(VARIABLE);
    let Ok(port) = text.trim().parse::<u16>() else {
        let found = text.escape_debug();
        problems.add(
            origin,
            format!("is \"{found}\", but takes a port, from 0 to 65535."),
        );
        return layer;
    };
    // An address that cannot be read is reported where it stands.
    let listen = lookup(below, setting.key).and_then(|value| Address.read_quietly(value));
    if let Some(mut listen) = listen {
        listen.set_port(port);
        layer.set(setting, &origin, listen.to_string());
    }
    layer
}
