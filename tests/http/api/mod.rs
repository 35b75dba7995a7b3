//! The gateway, tested from outside: sockets on one side, a stand-in for fal on the other.
//!
//! Nothing in here sleeps to let something happen. Tests wait for bytes, for the end of a
//! connection or for a line of a record, each with a limit, and order is forced by gates: fal's
//! stand-in goes on only when the test has seen what it waits for.

mod admin;
mod agents;
mod attempts;
mod base_url;
mod billing;
mod bodies;
mod browsers;
mod budgets;
mod calling;
mod claude;
mod concurrency;
mod described;
mod disconnect;
mod dns_rebinding;
mod doctor;
mod early;
mod egress;
mod errors;
mod exhaustion;
mod faults;
mod framing;
mod holding;
mod images;
mod keys;
mod launch;
mod limits;
mod logprobs;
mod logs;
mod malformed;
mod media;
#[cfg(target_os = "linux")]
mod memory;
mod messages;
mod native;
mod observability;
mod operators;
mod pipelining;
mod process;
mod products;
mod reasked;
mod refreshed;
mod reload;
mod responses;
mod rights;
mod router;
mod routing;
mod shares;
mod slow;
mod storage;
mod streams;
mod terminal;
mod terms;
mod thoughts;
mod tls;
mod upstream;
mod upstreams;
mod versions;
