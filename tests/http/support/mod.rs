//! What the tests are made of: a gateway, raw sockets, and two stand-ins for fal.

mod egress;
mod emulated;
mod gateway;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
mod raw;
mod scripted;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) use egress::{Authority, Manners, TestProxy, nobody};
pub(crate) use emulated::Emulated;
pub(crate) use gateway::{FAL_KEY, Setup, TestGateway};
#[cfg(feature = "postgres")]
pub(crate) use postgres::{Held, PostgresServer, Relay, execute};
pub(crate) use process::Process;
pub(crate) use raw::{Answer, Call, End, Raw, Stream};
pub(crate) use scripted::{
    ScriptedUpstream, Step, event, final_event, one_and_two_later, silent_at_first, sse, sse_head,
    whole,
};

/// Long enough for anything that is going to happen, on a busy machine too.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// A chat request of one message.
pub(crate) fn question(text: &str, stream: bool) -> Value {
    json!({
        "model": "openai/gpt-4o-mini",
        "stream": stream,
        "messages": [{"role": "user", "content": text}],
    })
}

/// Looks again and again until there is something to see; for states that nobody announces.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "never came to pass: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
