//! How far the gateway's estimate of tokens is from the count of `o200k_base`, by kind of text.
//!
//! `cargo run --features tokenizer --example token-error`

use fal_gateway::translate::{tokenizer, usage};

#[path = "../tests/http/usage/texts.rs"]
mod texts;

fn main() {
    println!("| Text | Bytes | Estimated | Exact | Error |");
    println!("|---|---:|---:|---:|---:|");
    for sample in texts::SAMPLES {
        let estimated = usage::tokens(sample.text);
        let exact = tokenizer::count(sample.text, || true).unwrap_or_default();
        let error = (estimated as f64 / exact as f64 - 1.0) * 100.0;
        println!(
            "| {} | {} | {estimated} | {exact} | {error:+.1} % |",
            sample.kind,
            sample.text.len(),
        );
    }
    println!("\nThe tests allow {} % for each.", texts::BOUND_PERCENT);
}
