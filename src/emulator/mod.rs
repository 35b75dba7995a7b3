//! A stand-in for fal.ai's `any-llm` and `openrouter/router`, for demos, tests and work without a network.
//!
//! One port plays all of fal's hosts: `fal.run` at `/`, `queue.fal.run` at `/queue`, `rest.fal.ai`
//! at `/rest`, the file store at `/files`, and fal's browser proxy at `/api/fal/proxy`. fal's own
//! clients work against it unmodified. It answers without a model, the same words to the same
//! input, or relays to any server that speaks OpenAI's API; and it misbehaves on request
//! (`GET /_emulator/help`), so that every fault of the wire can be met on purpose.
//!
//! It is the witness of the gateway's tests: it shares no code with the gateway and knows nothing
//! of it. Facts about fal come from fal's public documentation, clients and SDK; each module names
//! its pages.
//!
//! In reading order: [`Options`] and [`Behaviour`] say what to do, `server` runs, `http` takes
//! calls in, `run`, `queue`, `storage` and `proxy` are fal's hosts, `endpoint` knows the applications,
//! `plan` is the way from a call to its answer, `llm` makes answers, `router` knows what is the
//! router's alone, `play` performs answers, `inspect` shows the record.
//!
//! Not here: WebSockets, HTTP/2, TLS, compression, billing. No client of `any-llm` needs them.

mod client;
mod endpoint;
mod http;
mod inspect;
mod llm;
mod options;
mod plan;
mod platform;
mod play;
mod proxy;
mod queue;
mod relay;
mod router;
mod run;
mod script;
mod server;
mod storage;

pub use http::kinds::{ERROR_KINDS, Kind};
pub use options::{Options, Overheard, Webhooks};
pub use script::{Behaviour, Break, Fault, Quirk, Rupture, Slip, SlipWord, slips};
pub use server::{Emulator, Running};
