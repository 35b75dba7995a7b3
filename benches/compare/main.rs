//! Measures the gateway against nginx as a plain proxy of the same upstream, and against calls
//! without either. Run it by `bench/compare`, which installs what it needs.
//!
//! The process under test runs alone on one core. The upstream and the clients share this process
//! on another. Peers take turns, and each figure is the median over the rounds; what counts are the
//! ratios within one run. CPU time is what the kernel charged to all threads of the peer
//! (`/proc/PID/task/*/schedstat`), memory is its resident set.
#![allow(
    clippy::indexing_slicing,
    reason = "a benchmark that breaks off says enough"
)]

mod asked;
mod client;
mod load;
mod peer;
mod profile;
mod report;
mod scenario;
mod soak;
mod template;
mod train;
mod upstream;

use std::error::Error;
use std::time::Duration;

use clap::Parser;

use peer::{Kind, Peer, Setup};
use report::Report;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measures the gateway against nginx as a plain proxy.
#[derive(Debug, Parser)]
struct Options {
    /// How often each figure is taken.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Streams that are open at once in the paced scenario.
    #[arg(long, default_value_t = 5000)]
    streams: usize,
    /// Only the figures whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Keep the table in `bench/RESULTS.md`.
    #[arg(long)]
    record: bool,
    /// Run mixed streams with faults for this many seconds instead, and check that memory and
    /// descriptors stay flat.
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// Count the instructions of a request by function instead, with valgrind's callgrind.
    #[arg(long)]
    profile: bool,
    /// Ask for everything once, without measuring it.
    #[arg(long, hide = true)]
    train: bool,
    /// The gateway to measure instead of the one built from this tree.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_fal-gateway"))]
    gateway: std::path::PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let mut options = Options::parse();
    // Peers run in folders of their own.
    options.gateway = options.gateway.canonicalize()?;
    peer::stay_on_the_second_core();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let work = tokio::task::LocalSet::new();
    work.block_on(&runtime, async {
        match options.soak {
            Some(seconds) => soak::run(&options.gateway, Duration::from_secs(seconds)).await,
            None if options.profile => {
                let upstream = upstream::start().await?;
                profile::run(&options.gateway, &upstream, &options.only).await
            }
            None if options.train => {
                let upstream = upstream::start().await?;
                train::run(&options.gateway, &upstream).await
            }
            None => compare(&options).await,
        }
    })
}

/// In the order in which they take turns.
fn peers() -> impl Iterator<Item = (Setup, Kind)> {
    let kinds = [Kind::Direct, Kind::Nginx, Kind::Gateway];
    Setup::ALL
        .into_iter()
        .flat_map(move |setup| kinds.map(|kind| (setup, kind)))
}

async fn compare(options: &Options) -> Outcome<()> {
    let upstream = upstream::start().await?;
    let mut report = Report::default();
    for round in 1..=options.rounds {
        for (setup, kind) in peers() {
            if !load::is_wanted(setup, &options.only) {
                continue;
            }
            eprintln!("round {round} of {}: {kind}, {setup:?}", options.rounds);
            let peer = Peer::start(kind, setup, &options.gateway, &upstream).await?;
            let figures = load::measure(&peer, &upstream, options.streams, &options.only).await?;
            for (figure, value) in figures {
                report.add(figure, kind, value);
            }
        }
    }
    let table = report.to_markdown(options.rounds);
    println!("{table}");
    if options.record {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/bench/RESULTS.md"),
            table,
        )?;
    }
    Ok(())
}
