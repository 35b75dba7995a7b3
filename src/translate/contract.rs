//! What an answer has to be, as the caller asked for it.

use std::sync::Arc;

use super::json::Schema;
use super::key::Key;
use super::tools::Dialect;

/// What an answer has to be.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    pub tools: Option<ToolContract>,
    pub format: FormatContract,
}

/// Which calls the answer may hold.
#[derive(Clone, Debug)]
pub struct ToolContract {
    /// The key of the block that calls stand in.
    pub key: Key,
    /// The form in which calls were asked for.
    pub dialect: Dialect,
    pub tools: Vec<KnownTool>,
    /// An answer without a call will not do.
    pub is_required: bool,
    /// The answer is the arguments of the only tool, and nothing else.
    pub is_arguments_only: bool,
    pub is_parallel: bool,
    /// Whether a user or a tool wrote something that would be read as a call if the model repeated
    /// it.
    pub is_quotable: bool,
    /// Whether calls in other forms than the one asked for count, when they are unmistakable.
    pub is_lenient: bool,
}

/// A tool that was offered.
#[derive(Clone, Debug)]
pub struct KnownTool {
    pub name: String,
    pub schema: Option<Arc<Schema>>,
    pub is_strict: bool,
}

/// Which form the answer's text must have.
#[derive(Clone, Debug, Default)]
pub enum FormatContract {
    #[default]
    Text,
    Json {
        schema: Option<Arc<Schema>>,
        /// Nothing is delivered that does not fit.
        is_strict: bool,
        /// Nothing is delivered before all of it is there and has been looked at.
        is_held: bool,
    },
}

impl Contract {
    /// Whether any text will do.
    pub fn is_plain(&self) -> bool {
        self.tools.is_none() && matches!(self.format, FormatContract::Text)
    }
}
