//! Tools on models that were only given a prompt.
//!
//! What a caller offers ([`ToolSet`]) becomes instructions in the system prompt, written in the form
//! of a [`dialect`](dialect::Dialect); what the model writes back is found by
//! [`reading::calls`](super::reading::calls). The key of the conversation stands in the block that
//! holds calls, so that neither a quoted example nor text out of a tool's result can be a call.

pub mod dialect;
pub mod signature;
pub mod text;
pub mod tool_set;
mod written;

pub use dialect::Dialect;
pub use text::TextFormat;
pub use tool_set::{Choice, OwnedTool, Tool, ToolSet};
