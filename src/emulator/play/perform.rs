//! Turns snapshots into steps, and steps into bytes at their time.

use std::{future::pending, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::LocalBoxStream};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};

use super::{
    frame::{Form, Framing},
    snapshots::Snapshot,
};
use crate::emulator::{
    http::{call::Cut, record::Entry},
    script::{Behaviour, Break, Quirk},
};

/// Time for written bytes to leave before the connection is cut under them.
const LEAVE: Duration = Duration::from_millis(10);
const MIB: usize = 1 << 20;

/// One step of a performance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Step {
    Wait(Duration),
    /// Bytes that count as an event.
    Event(Bytes),
    /// Bytes that do not.
    Bytes(Bytes),
    /// What follows is the last thing to say.
    Last,
    /// Nothing more, for ever.
    Silence,
    /// The connection breaks.
    Cut,
}

/// The steps of a stream of `snapshots`.
pub(in crate::emulator) fn steps(
    mut snapshots: LocalBoxStream<'static, Snapshot>,
    behaviour: Behaviour,
    form: Form,
) -> LocalBoxStream<'static, Step> {
    let framing = Framing::new(&behaviour, form);
    let steps = async_stream::stream! {
        yield Step::Bytes(framing.opening().into());
        yield Step::Wait(behaviour.first);
        let mut sent = 0;
        loop {
            let rupture = behaviour.break_after(sent);
            if rupture == Some(Break::Stall) {
                yield Step::Silence;
            }
            if rupture == Some(Break::Drop) {
                yield Step::Cut;
            }
            if sent == 1 && let Some(mib) = behaviour.flood_mib {
                for step in flood(mib) {
                    yield step;
                }
            }
            let Some(snapshot) = snapshots.next().await else { return };
            if sent > 0 {
                yield Step::Wait(behaviour.gap);
            }
            let last = !snapshot.partial || matches!(rupture, Some(Break::Eof | Break::Error));
            if last {
                yield Step::Last;
            }
            if let Some(step) = broken(rupture, &snapshot, &framing) {
                yield step;
            }
            if matches!(rupture, Some(Break::Eof | Break::Error)) {
                return;
            }
            let event = framing.event(&snapshot);
            for _ in 0..=behaviour.repeat {
                yield Step::Event(event.clone());
            }
            sent += 1;
        }
    };
    steps.boxed_local()
}

/// What is sent in place of an event, or before it.
fn broken(rupture: Option<Break>, snapshot: &Snapshot, framing: &Framing) -> Option<Step> {
    match rupture? {
        Break::Eof => {
            let event = framing.event(snapshot);
            Some(Step::Bytes(event.slice(..event.len() / 2)))
        }
        Break::Garbage => Some(Step::Event(
            framing.event_of("{\"output\": \"half a tho").into(),
        )),
        Break::BadUtf8 => {
            let event = framing.event_of(r#"{"output": "~", "partial": true, "error": null}"#);
            let bad = event
                .into_bytes()
                .into_iter()
                .map(|byte| if byte == b'~' { 0xff } else { byte });
            Some(Step::Event(bad.collect()))
        }
        // Nothing in such an answer could say it: it merely ends.
        Break::Error if framing.is_mute() => None,
        Break::Error => {
            let error = Some("Upstream provider failed in mid-answer".to_owned());
            let failed = Snapshot {
                error,
                partial: false,
                ..snapshot.clone()
            };
            Some(Step::Event(framing.event(&failed)))
        }
        Break::Stall | Break::Drop => None,
    }
}

/// A line that does not end.
pub(in crate::emulator) fn flood(mib: usize) -> impl Iterator<Item = Step> {
    let filler = Bytes::from(vec![b'a'; MIB]);
    let start = Step::Bytes(Bytes::from_static(b"data: {\"output\": \""));
    std::iter::once(start).chain(std::iter::repeat_n(Step::Bytes(filler), mib))
}

/// Plays `steps`: waits, pings with `ping_bytes`, splits, joins, breaks; and notes in the record what
/// was sent.
pub(in crate::emulator) fn perform(
    mut steps: LocalBoxStream<'static, Step>,
    behaviour: &Behaviour,
    ping_bytes: Bytes,
    entry: Entry,
) -> LocalBoxStream<'static, Result<Bytes, Cut>> {
    let ping = behaviour.ping.filter(|every| !every.is_zero());
    let split = behaviour.split;
    let burst = behaviour.has(Quirk::Burst);
    let performance = async_stream::stream! {
        let mut held = BytesMut::new();
        while let Some(step) = steps.next().await {
            let bytes = match step {
                Step::Event(bytes) => {
                    entry.event_sent();
                    bytes
                }
                Step::Bytes(bytes) => bytes,
                Step::Last => {
                    entry.answered();
                    continue;
                }
                Step::Wait(Duration::ZERO) => continue,
                Step::Wait(_) | Step::Silence | Step::Cut => {
                    if !held.is_empty() {
                        yield Ok(held.split().freeze());
                    }
                    if step == Step::Cut {
                        sleep(LEAVE).await;
                        yield Err(Cut);
                        return;
                    }
                    let mut pings = std::pin::pin!(pings(&step, ping));
                    while pings.next().await.is_some() {
                        yield Ok(ping_bytes.clone());
                    }
                    continue;
                }
            };
            if burst {
                held.extend_from_slice(&bytes);
                continue;
            }
            for piece in pieces(bytes, split) {
                yield Ok(piece);
                // Lets the server write this piece before it sees the next one.
                yield_now().await;
            }
        }
        if !held.is_empty() {
            yield Ok(held.freeze());
        }
    };
    performance.boxed_local()
}

/// The chunks in which bytes are written; nothing is written for none.
fn pieces(mut bytes: Bytes, split: Option<usize>) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let size = split.unwrap_or(bytes.len()).min(bytes.len());
        (size > 0).then(|| bytes.split_to(size))
    })
}

/// An item for every ping that is due during a silence; ends when the silence does.
fn pings(silence: &Step, every: Option<Duration>) -> impl Stream<Item = ()> + use<> {
    let end = match silence {
        Step::Wait(pause) => Some(Instant::now() + *pause),
        _ => None,
    };
    async_stream::stream! {
        loop {
            let next = every.map(|every| Instant::now() + every);
            match (next, end) {
                (Some(next), Some(end)) if next >= end => return sleep_until(end).await,
                (Some(next), _) => sleep_until(next).await,
                (None, Some(end)) => return sleep_until(end).await,
                (None, None) => pending::<()>().await,
            }
            yield ();
        }
    }
}
