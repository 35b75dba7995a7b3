//! A long run of mixed requests, with everything that goes wrong, in which neither memory nor
//! descriptors may grow.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::client::Client;
use crate::peer::Peer;
use crate::template::post;

/// Requests that are running at any time.
const AT_ONCE: usize = 200;
/// Different lists of tools that are sent: more than the gateway keeps for a caller, so that old ones
/// make room all the time.
const TOOL_LISTS: usize = 700;
/// How much more than at the beginning may be in use at the end.
const GROWTH: f64 = 1.10;

/// What is asked, in turns: answers that go well and the ways in which fal fails. A client that
/// is `impatient` leaves in the middle of the answer.
const TURNS: &[(&str, Manner)] = &[
    ("Tell me of the sea.", Manner::Stream),
    ("Tell me of the hills.", Manner::Whole),
    ("Long. /emulate size:3 gap:20ms", Manner::Stream),
    ("Leave. /emulate size:1 gap:50ms", Manner::Impatient),
    ("Wait. /emulate latency:300ms", Manner::Impatient),
    ("Cut. /emulate drop:2", Manner::Stream),
    ("Cut. /emulate drop:0", Manner::Whole),
    ("Noise. /emulate garbage:1", Manner::Stream),
    ("Taken back. /emulate rewrite", Manner::Stream),
    ("Ill. /emulate status:500", Manner::Whole),
    ("Busy. /emulate status:429", Manner::Stream),
    ("Call. /emulate tool:python", Manner::Tools),
    ("Call. /emulate tool:none", Manner::Tools),
    ("Bytes. /emulate split:1", Manner::Stream),
    ("Tell me of the woods.", Manner::Completion),
    ("Tell me of the lakes.", Manner::Message),
    ("Tell me of the snow.", Manner::Response),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Whole,
    Stream,
    Impatient,
    Tools,
    /// At the other public APIs.
    Completion,
    Message,
    Response,
}

/// A gateway that is asked all the time until the end, and its fal.
pub(crate) struct Soaked {
    peer: Peer,
    _emulator: Peer,
    end: Instant,
}

/// Begins to ask for so long.
///
/// # Errors
/// One of the two does not start.
pub(crate) async fn begin(gateway: &Path, length: Duration) -> Outcome<Soaked> {
    let emulator = Peer::emulator(gateway).await?;
    let peer = Peer::gateway(gateway, emulator.address).await?;
    let end = Instant::now() + length;
    for number in 0..AT_ONCE {
        tokio::task::spawn_local(keep_asking(peer.address, number, end));
    }
    Ok(Soaked {
        peer,
        _emulator: emulator,
        end,
    })
}

/// Runs for so long.
///
/// # Errors
/// When memory or descriptors are not flat after the beginning, or the gateway is gone.
pub(crate) async fn run(gateway: &Path, length: Duration) -> Outcome<()> {
    let Soaked { peer, end, .. } = &begin(gateway, length).await?;
    // The first minute, or third, is for pools and caches to fill.
    let settled = Instant::now() + (length / 3).min(Duration::from_secs(60));
    let mut samples = Vec::new();
    while Instant::now() < *end {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if Instant::now() >= settled {
            samples.push(peer.spent());
        }
    }
    let spent = peer.spent().cpu;
    let memory = samples
        .iter()
        .map(|sample| sample.resident_kib as f64)
        .collect::<Vec<_>>();
    let descriptors = samples
        .iter()
        .map(|sample| sample.descriptors as f64)
        .collect::<Vec<_>>();
    println!("{length:?} with {AT_ONCE} requests at once, {spent:.1?} of CPU");
    is_flat("memory in KiB", &memory)?;
    is_flat("descriptors", &descriptors)
}

/// Compares the least of both halves: what comes and goes with the requests is not what stays.
fn is_flat(what: &str, samples: &[f64]) -> Outcome<()> {
    let (first, last) = samples.split_at(samples.len() / 2);
    let [first, last] =
        [first, last].map(|half| half.iter().copied().fold(f64::INFINITY, f64::min));
    println!("{what}: {first:.0} at least in the first half, {last:.0} in the second");
    match last {
        0.0 => Err("the gateway is gone".into()),
        _ if last <= first * GROWTH => Ok(()),
        _ => Err(format!("{what} grew").into()),
    }
}

async fn keep_asking(gateway: std::net::SocketAddr, number: usize, end: Instant) {
    let turns = TURNS.iter().cycle().enumerate().skip(number);
    for (turn, (prompt, manner)) in turns.take_while(|_| Instant::now() < end) {
        // Faults are what is tried here: how an answer ends is of no interest.
        let _ = ask(gateway, prompt, *manner, turn % TOOL_LISTS).await;
    }
}

async fn ask(
    gateway: std::net::SocketAddr,
    prompt: &str,
    manner: Manner,
    list: usize,
) -> Outcome<()> {
    let mut body = json!({
        "model": "google/gemini-2.5-flash",
        "messages": [{"role": "user", "content": prompt}],
        "stream": !matches!(manner, Manner::Whole),
    });
    let path = match manner {
        Manner::Completion => "/v1/completions",
        Manner::Message => "/v1/messages",
        Manner::Response => "/v1/responses",
        _ => "/v1/chat/completions",
    };
    match manner {
        Manner::Completion => {
            body["prompt"] = prompt.into();
            body["messages"].take();
        }
        Manner::Message => body["max_tokens"] = 1_000.into(),
        Manner::Response => {
            body["input"] = body["messages"].take();
            // What is kept takes up more and more room, as it should.
            body["store"] = false.into();
        }
        _ => {}
    }
    if manner == Manner::Tools {
        let parameters = json!({
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        });
        let about = format!("The weather, by service {list}.");
        let function = json!({"name": "weather", "description": about, "parameters": parameters});
        body["tools"] = json!([{"type": "function", "function": function}]);
        body["tool_choice"] = "required".into();
    }
    let request = post(path, &body);
    let mut client = Client::connect(gateway).await?;
    let answer = client.request(&request);
    let patience = match manner {
        Manner::Impatient => Duration::from_millis(120),
        _ => Duration::from_secs(30),
    };
    tokio::time::timeout(patience, answer).await?.map(drop)
}
