//! What the operator can see of a running gateway: logs, counters, and a record of each request.
//!
//! Knows the settings of the log and nothing else of this crate. Nothing in here ever holds a
//! key, and nothing but [`trace`], when somebody asks for it, a prompt or an answer.

pub mod calls;
mod json_lines;
mod lines;
pub mod logging;
pub mod metrics;
pub mod record;
pub mod series;
pub mod shape;
pub mod trace;

/// Whether requests to a route are answered by a model, and not by the gateway itself.
fn is_for_a_model(route: &str) -> bool {
    matches!(
        route,
        "chat" | "completions" | "messages" | "responses" | "background"
    )
}
