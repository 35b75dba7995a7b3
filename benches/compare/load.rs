//! The figures, and how each of them is taken.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::try_join_all;

use crate::Outcome;
use crate::client::Client;
use crate::peer::{Kind, Peer, Setup};
use crate::scenario::{
    AGENT, BURST, FIRST, FOUR, INPUT, KEPT, LONG_200, LONG_2000, NEW_AGENT, PACED, PACED_INPUT,
    PACED_KEPT, SCHEMA, SIXTY, Scenario, WHOLE,
};
use crate::template::Template;
use crate::upstream::Upstream;

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// What has to be run for it; figures that come out of the same run stand together.
    pub(crate) run: Run,
    /// How the peers are set up for it.
    pub(crate) setup: Setup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Start,
    /// Many streams of a scenario at once.
    Paced(Scenario),
    FirstText,
    /// So many requests for a scenario, so many of them at once.
    Load(Scenario, usize, usize),
    /// So many requests for a scenario, so many of them in a second.
    Rate(Scenario, usize, u32),
}

/// The same events, few and many.
pub(crate) const SHORT: Run = Run::Load(LONG_200, 400, 16);
pub(crate) const LONG: Run = Run::Load(LONG_2000, 64, 16);

/// In the order in which they are taken from a fresh process, and shown.
pub(crate) const FIGURES: &[Figure] = &[
    figure("start to first answer", "ms", Run::Start),
    figure("memory after the first answer", "MiB", Run::Start),
    figure("time to the first text, median", "ms", Run::FirstText),
    figure("paced streams, CPU per event", "µs", Run::Paced(PACED)),
    figure("paced streams, memory of each", "KiB", Run::Paced(PACED)),
    figure(
        "whole answer, CPU per request",
        "µs",
        Run::Load(WHOLE, 20_000, 32),
    ),
    figure(
        "burst of 200 events, CPU per event",
        "µs",
        Run::Load(BURST, 800, 16),
    ),
    figure("200 events of 5 characters, CPU per event", "µs", SHORT),
    figure("2,000 events of 5 characters, CPU per event", "µs", LONG),
    cpu("4 messages, CPU per request", FOUR, 10_000),
    cpu("60 messages, CPU per request", SIXTY, 4_000),
    cpu("strict schema, CPU per request", SCHEMA, 8_000),
    cpu("Responses, whole answer, CPU per request", INPUT, 10_000),
    cpu(
        "agent, 25 tools that were seen before, CPU per request",
        AGENT,
        1_000,
    ),
    cpu("agent, 25 new tools, CPU per request", NEW_AGENT, 400),
    figure(
        "20 requests in a second, CPU per request",
        "µs",
        Run::Rate(WHOLE, 80, 20),
    ),
    Figure {
        setup: Setup::Quiet,
        ..cpu(
            "whole answer without a log line, CPU per request",
            WHOLE,
            20_000,
        )
    },
    Figure {
        setup: Setup::Unwatched,
        ..cpu(
            "whole answer with nothing kept for the console, CPU per request",
            WHOLE,
            20_000,
        )
    },
    for_keys(
        1,
        "whole answer for a key with limits and budgets, CPU per request",
    ),
    for_keys(
        1_000,
        "whole answer for one of 1,000 keys with limits and budgets, CPU per request",
    ),
    for_keys(
        100_000,
        "whole answer for one of 100,000 keys with limits and budgets, CPU per request",
    ),
    cpu("Responses, kept, CPU per request", KEPT, 4_000),
    Figure {
        setup: Setup::Apart,
        ..figure(
            "paced streams of Responses, CPU per event",
            "µs",
            Run::Paced(PACED_INPUT),
        )
    },
    Figure {
        setup: Setup::Apart,
        ..figure(
            "paced streams of Responses, memory of each",
            "KiB",
            Run::Paced(PACED_INPUT),
        )
    },
    Figure {
        setup: Setup::Filed,
        ..figure(
            "paced streams of Responses, kept in a file, CPU per event",
            "µs",
            Run::Paced(PACED_KEPT),
        )
    },
    Figure {
        setup: Setup::Filed,
        ..figure(
            "paced streams of Responses, kept in a file, memory of each",
            "KiB",
            Run::Paced(PACED_KEPT),
        )
    },
    Figure {
        setup: Setup::Filed,
        ..cpu(
            "whole answer with a store in a file, CPU per request",
            WHOLE,
            10_000,
        )
    },
    Figure {
        setup: Setup::Filed,
        ..cpu("Responses, kept in a file, CPU per request", KEPT, 4_000)
    },
    Figure {
        setup: Setup::Tls,
        ..cpu("whole answer, TLS to fal, CPU per request", WHOLE, 10_000)
    },
];

const fn figure(name: &'static str, unit: &'static str, run: Run) -> Figure {
    Figure {
        name,
        unit,
        run,
        setup: Setup::Usual,
    }
}

/// The CPU of a whole answer for one of so many keys.
const fn for_keys(keys: usize, name: &'static str) -> Figure {
    Figure {
        setup: Setup::Keys(keys),
        ..cpu(name, WHOLE, 10_000)
    }
}

/// The CPU of each of so many requests.
const fn cpu(name: &'static str, scenario: Scenario, requests: usize) -> Figure {
    figure(name, "µs", Run::Load(scenario, requests, 32))
}

/// Whether anything is to be measured with such a setup.
pub(crate) fn is_wanted(setup: Setup, only: &str) -> bool {
    let is_wanted = |figure: &Figure| figure.setup == setup && figure.name.contains(only);
    FIGURES.iter().any(is_wanted)
}

/// Takes all the figures whose name contains `only` from a peer that has just started.
pub(crate) async fn measure(
    peer: &Peer,
    upstream: &Upstream,
    streams: usize,
    only: &str,
) -> Outcome<Vec<(&'static Figure, f64)>> {
    let mut taken = Vec::new();
    let is_together = |one: &Figure, next: &Figure| one.run == next.run && one.setup == next.setup;
    for figures in FIGURES.chunk_by(is_together) {
        if figures.iter().any(|figure| figure.setup != peer.setup) {
            continue;
        }
        let is_wanted = figures.iter().any(|figure| figure.name.contains(only));
        let Some(run) = figures
            .first()
            .map(|figure| figure.run)
            .filter(|_| is_wanted)
        else {
            continue;
        };
        let values = match (run, peer.kind) {
            (Run::FirstText, _) => vec![first_text(peer).await?],
            (_, Kind::Direct) => continue,
            (Run::Start, _) => vec![
                peer.started_in.as_secs_f64() * 1e3,
                peer.idle_kib as f64 / 1024.0,
            ],
            (Run::Paced(scenario), _) => {
                let taken = paced(peer, upstream, scenario, streams).await?;
                taken.to_vec()
            }
            (Run::Load(scenario, requests, at_once), _) => {
                vec![cpu_per_event(peer, scenario, requests, at_once).await?]
            }
            (Run::Rate(scenario, requests, a_second), _) => {
                vec![cpu_at_rate(peer, scenario, requests, a_second).await?]
            }
        };
        taken.extend(figures.iter().zip(values));
    }
    Ok(taken)
}

/// In µs; where there are no events, for each request.
async fn cpu_per_event(
    peer: &Peer,
    scenario: Scenario,
    requests: usize,
    at_once: usize,
) -> Outcome<f64> {
    check(peer, scenario).await?;
    run(peer, scenario, requests / 10, at_once).await?;
    let before = peer.spent().cpu;
    run(peer, scenario, requests, at_once).await?;
    let cpu = peer.spent().cpu - before;
    Ok(cpu.as_secs_f64() * 1e6 / (requests * scenario.events.max(1)) as f64)
}

/// In µs for each request, over one connection with pauses.
async fn cpu_at_rate(
    peer: &Peer,
    scenario: Scenario,
    requests: usize,
    a_second: u32,
) -> Outcome<f64> {
    check(peer, scenario).await?;
    let mut client = Client::connect(peer.address).await?;
    let mut template = Template::new(peer.kind, scenario);
    let mut beat = tokio::time::interval(Duration::from_secs(1) / a_second);
    let before = peer.spent().cpu;
    for number in 0..requests {
        beat.tick().await;
        client.request(template.numbered(number)).await?;
    }
    beat.tick().await;
    let cpu = peer.spent().cpu - before;
    Ok(cpu.as_secs_f64() * 1e6 / requests as f64)
}

/// The figures mean nothing unless the answer is right.
pub(crate) async fn check(peer: &Peer, scenario: Scenario) -> Outcome<()> {
    let mut client = Client::connect(peer.address).await?;
    let answer = client
        .text(Template::new(peer.kind, scenario).numbered(1))
        .await?;
    let is_right = match (peer.kind, scenario.is_stream()) {
        (Kind::Gateway, true) => {
            heard(&answer) == scenario.text() && answer.contains("data: [DONE]\n\n")
        }
        (Kind::Gateway, false) if scenario.asked.is_input() => {
            answer.contains("\"status\":\"completed\"")
        }
        (Kind::Gateway, false) => answer.contains("\"finish_reason\":\"stop\""),
        (Kind::Direct | Kind::Nginx, _) => answer.contains("\"partial\": false"),
    };
    match is_right {
        true => Ok(()),
        false => Err(format!(
            "{} gave a wrong answer to {}: {answer}",
            peer.kind, scenario.name
        )
        .into()),
    }
}

/// The deltas of a stream, joined.
fn heard(answer: &str) -> String {
    answer
        .split("data: ")
        .filter_map(|frame| serde_json::from_str(frame.split("\n\n").next()?).ok())
        .filter_map(|frame: serde_json::Value| {
            let of_chat = frame.pointer("/choices/0/delta/content");
            let delta = of_chat.or_else(|| frame.get("delta"))?;
            delta.as_str().map(str::to_owned)
        })
        .collect()
}

/// So many requests, so many of them at once.
pub(crate) async fn run(
    peer: &Peer,
    scenario: Scenario,
    requests: usize,
    at_once: usize,
) -> Outcome<()> {
    let left = Cell::new(requests);
    let template = Template::new(peer.kind, scenario);
    let begin = peer.next_number(requests);
    let clients = (0..at_once).map(|_| async {
        let mut client = Client::connect(peer.address).await?;
        let mut template = template.clone();
        while let Some(rest) = left.get().checked_sub(1) {
            left.set(rest);
            client.request(template.numbered(begin + rest)).await?;
        }
        Outcome::Ok(())
    });
    try_join_all(clients).await.map(drop)
}

/// CPU for each event in µs and memory for each stream in KiB, once all the streams are open.
async fn paced(
    peer: &Peer,
    upstream: &Upstream,
    scenario: Scenario,
    streams: usize,
) -> Outcome<[f64; 2]> {
    const OPENING: Duration = Duration::from_secs(4);
    const WATCHED: Duration = Duration::from_secs(6);
    check(peer, scenario).await?;
    let idle_kib = peer.spent().resident_kib;
    let request: Rc<[u8]> = Template::new(peer.kind, scenario).numbered(0).into();
    let mut clients = Vec::new();
    // What is late is made up for: all of them have to be open before the first one ends.
    let mut turn = tokio::time::interval(OPENING / streams as u32);
    for _ in 0..streams {
        turn.tick().await;
        clients.push(tokio::task::spawn_local(once(
            peer.address,
            request.clone(),
        )));
    }
    let (before, events_before) = (peer.spent(), upstream.paced_events.get());
    tokio::time::sleep(WATCHED).await;
    let (after, events) = (peer.spent(), upstream.paced_events.get() - events_before);
    for client in clients {
        client.await??;
    }
    let cpu = (after.cpu - before.cpu).as_secs_f64() * 1e6 / events as f64;
    let grown_kib = after.resident_kib.saturating_sub(idle_kib);
    Ok([cpu, grown_kib as f64 / streams as f64])
}

async fn once(address: std::net::SocketAddr, request: Rc<[u8]>) -> Result<(), String> {
    let outcome: Outcome<()> = async {
        let mut client = Client::connect(address).await?;
        client.request(&request).await.map(drop)
    }
    .await;
    outcome.map_err(|error| error.to_string())
}

/// In ms, over one connection.
async fn first_text(peer: &Peer) -> Outcome<f64> {
    const TIMES: usize = 500;
    let mut template = Template::new(peer.kind, FIRST);
    let request = template.numbered(0);
    let mut client = Client::connect(peer.address).await?;
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        times.push(client.request(request).await?.as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

/// The middle one; of none, not a number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
