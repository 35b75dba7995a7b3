//! What the steps of an answer cost.
//!
//! `cargo bench --bench micro` measures time. `cargo bench --bench micro -- --instructions` counts
//! instructions with valgrind's callgrind, which is the same on a busy machine as on a quiet one.
#![allow(
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that breaks off says enough"
)]

#[path = "../compare/asked.rs"]
#[expect(dead_code, reason = "the other benchmark uses more of it")]
mod asked;
mod cases;
mod instructions;
#[path = "../../tests/pure/support.rs"]
#[expect(dead_code, reason = "the tests of the pure core use more of it")]
mod support;

use cases::{CASES, Case};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--instructions", ..] => instructions::print_table(),
        [
            what @ (instructions::WORK | instructions::PREPARE),
            name,
            ..,
        ] => {
            instructions::run(what, name);
        }
        _ => divan::main(),
    }
}

#[divan::bench(args = CASES)]
fn each(bencher: divan::Bencher<'_, '_>, case: &Case) {
    bencher
        .counter(divan::counter::ItemsCount::new(case.operations))
        .with_inputs(case.prepare)
        .bench_local_values(|work| work());
}
