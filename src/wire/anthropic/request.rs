//! What stands inside the fields of a request.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::wire::object::objects;
use crate::wire::text::Text;
use crate::wire::text_or_list::{ListItem, TextOrList};

objects! {
    /// One message.
    "an object with a 'role' and a 'content'"
    pub struct MessageParam<'a> {
        "role" => role: Text<'a>,
        "content" => content: Content<'a>,
    }

    /// One content block, also of `system` and of tool results. `kind` says which of the other
    /// members count.
    "an object such as {\"type\": \"text\", \"text\": \"Hello\"}"
    pub struct Block<'a> {
        "type" => kind: Text<'a>,
        "text" => text: Option<Text<'a>>,
        "source" => source: Option<&'a RawValue>,
        "title" => title: Option<Text<'a>>,
        "context" => context: Option<Text<'a>>,
        "id" => id: Option<Text<'a>>,
        "name" => name: Option<Text<'a>>,
        "input" => input: Option<&'a RawValue>,
        "tool_use_id" => tool_use_id: Option<Text<'a>>,
        "tool_name" => tool_name: Option<Text<'a>>,
        "content" => content: Option<&'a RawValue>,
        "is_error" => is_error: Option<bool>,
        "citations" => citations: Option<&'a RawValue>,
        /// The text of what was thought before is not shown to models, so nothing of it is read; `data`
        /// may be what a model wants to have back.
        "thinking" => thinking: Option<IgnoredAny>,
        "signature" => signature: Option<IgnoredAny>,
        "data" => data: Option<&'a RawValue>,
        /// Nothing is cached here, and who has called is told by the id.
        "cache_control" => cache_control: Option<IgnoredAny>,
        "caller" => caller: Option<IgnoredAny>,
        "toolset_name" => toolset_name: Option<IgnoredAny>,
    }

    /// Where the bytes of an image or a document come from.
    "an object such as {\"type\": \"base64\", \"media_type\": ..., \"data\": ...}"
    pub struct Source<'a> {
        "type" => kind: Text<'a>,
        "media_type" => media_type: Option<Text<'a>>,
        "data" => data: Option<Text<'a>>,
        "url" => url: Option<Text<'a>>,
        "file_id" => file_id: Option<Text<'a>>,
        "content" => content: Option<Content<'a>>,
    }

    /// One of `tools`.
    "an object such as {\"name\": ..., \"input_schema\": {...}}"
    pub struct Tool<'a> {
        "type" => kind: Option<Text<'a>>,
        "name" => name: Option<Text<'a>>,
        "description" => description: Option<Text<'a>>,
        "input_schema" => input_schema: Option<&'a RawValue>,
        "strict" => strict: Option<bool>,
        "defer_loading" => defer_loading: Option<bool>,
        "cache_control" => cache_control: Option<IgnoredAny>,
        "input_examples" => input_examples: Option<IgnoredAny>,
        "allowed_callers" => allowed_callers: Option<IgnoredAny>,
        "eager_input_streaming" => eager_input_streaming: Option<IgnoredAny>,
        "max_characters" => max_characters: Option<IgnoredAny>,
    }

    "an object such as {\"type\": \"auto\"}"
    pub struct ToolChoice<'a> {
        "type" => kind: Text<'a>,
        "name" => name: Option<Text<'a>>,
        "disable_parallel_tool_use" => disable_parallel_tool_use: Option<bool>,
    }

    "an object such as {\"type\": \"adaptive\"}"
    pub struct Thinking<'a> {
        "type" => kind: Text<'a>,
        "display" => display: Option<Text<'a>>,
        "budget_tokens" => budget_tokens: Option<u64>,
    }

    "an object such as {\"effort\": \"high\"}"
    pub struct OutputConfig<'a> {
        "format" => format: Option<&'a RawValue>,
        "effort" => effort: Option<Text<'a>>,
    }

    "an object such as {\"type\": \"json_schema\", \"schema\": {...}}"
    pub struct OutputFormat<'a> {
        "type" => kind: Text<'a>,
        "schema" => schema: Option<&'a RawValue>,
    }

    "an object with 'edits'"
    pub struct ContextManagement<'a> {
        "edits" => edits: Option<Vec<Edit<'a>>>,
    }

    "an object with a 'type'"
    pub struct Edit<'a> {
        "type" => kind: Text<'a>,
        "keep" => keep: Option<IgnoredAny>,
    }

    "an object with a 'type'"
    pub struct Thread<'a> {
        "type" => kind: Text<'a>,
    }

    "an object with a 'model'"
    pub struct Fallback<'a> {
        "model" => model: Text<'a>,
    }
}

/// The content of a message: a string, or a list of blocks.
pub type Content<'a> = TextOrList<'a, Block<'a>>;

impl ListItem for Block<'_> {
    const EXPECTED: &'static str = "a string or a list of content blocks";
}
