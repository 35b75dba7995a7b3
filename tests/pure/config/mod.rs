//! The settings as an operator meets them: sources in, values or sentences out.

mod bad_values;
mod capabilities;
mod check;
mod contradictions;
mod found;
mod precedence;
mod process;
mod secrets;

use fal_gateway::config::{Config, Sources};

const FILE: &str = "fal-gateway.toml";

/// Sources with nothing but this file.
fn file(text: &str) -> Sources {
    Sources::default().with_file(FILE, text)
}

fn load(sources: &Sources) -> Config {
    Config::load(sources)
        .unwrap_or_else(|problems| unreachable!("these settings are fine, but:\n{problems}"))
}

/// All problems, one per line.
fn problems(sources: &Sources) -> String {
    Config::load(sources).map_or_else(|problems| problems.to_string(), |_| String::new())
}

/// `sha256:` and a hash made of one repeated digit.
fn hash(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}
