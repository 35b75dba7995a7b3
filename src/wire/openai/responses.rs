//! `CreateResponse`: input items, their parts, and tools, as far as they are read (source: OpenAI's
//! API description 2.3.0). What differs from kind to kind stays text until the kind is known.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::wire::object::objects;
use crate::wire::text::Text;

objects! {
    /// One item of `input`. Its `type` says which members count; without one it is a message.
    "an item such as {\"role\": \"user\", \"content\": \"Hello\"}"
    pub struct InputItem<'a> {
        "type" => kind: Option<Text<'a>>,
        "id" => id: Option<Text<'a>>,
        "role" => role: Option<Text<'a>>,
        "content" => content: Option<&'a RawValue>,
        "status" => status: Option<Text<'a>>,
        "phase" => phase: Option<IgnoredAny>,
        "call_id" => call_id: Option<Text<'a>>,
        "name" => name: Option<Text<'a>>,
        "namespace" => namespace: Option<Text<'a>>,
        /// JSON in a string, and in some kinds of calls an object.
        "arguments" => arguments: Option<&'a RawValue>,
        "input" => input: Option<&'a RawValue>,
        "output" => output: Option<&'a RawValue>,
        /// What a call of a shell is about.
        "action" => action: Option<&'a RawValue>,
        /// What a call of a patch is about.
        "operation" => operation: Option<&'a RawValue>,
        "tools" => tools: Option<&'a RawValue>,
        "summary" => summary: Option<IgnoredAny>,
        "encrypted_content" => encrypted_content: Option<IgnoredAny>,
    }

    /// A part of an item's content or output.
    "a part such as {\"type\": \"input_text\", \"text\": \"Hello\"}"
    pub struct InputPart<'a> {
        "type" => kind: Text<'a>,
        "text" => text: Option<Text<'a>>,
        "refusal" => refusal: Option<Text<'a>>,
        "image_url" => image_url: Option<Text<'a>>,
        "detail" => detail: Option<Text<'a>>,
        "file_id" => file_id: Option<Text<'a>>,
        "file_data" => file_data: Option<Text<'a>>,
        "file_url" => file_url: Option<Text<'a>>,
        "filename" => filename: Option<Text<'a>>,
        "annotations" => annotations: Option<IgnoredAny>,
        "logprobs" => logprobs: Option<IgnoredAny>,
    }

    /// One of `tools`, also inside a namespace.
    "a tool such as {\"type\": \"function\", \"name\": ...}"
    pub struct ResponseTool<'a> {
        "type" => kind: Text<'a>,
        "name" => name: Option<Text<'a>>,
        "description" => description: Option<Text<'a>>,
        "parameters" => parameters: Option<&'a RawValue>,
        "strict" => strict: Option<bool>,
        "format" => format: Option<&'a RawValue>,
        "tools" => tools: Option<&'a RawValue>,
        "allowed_callers" => allowed_callers: Option<&'a RawValue>,
        /// What the caller does with a result, or shows of a tool at first.
        "output_schema" => output_schema: Option<IgnoredAny>,
        "defer_loading" => defer_loading: Option<IgnoredAny>,
    }

    /// The `format` of a custom tool.
    "an object such as {\"type\": \"text\"}"
    pub struct CustomFormat<'a> {
        "type" => kind: Text<'a>,
        "syntax" => syntax: Option<Text<'a>>,
        "definition" => definition: Option<Text<'a>>,
    }

    /// A `tool_choice` that is no word.
    "an object such as {\"type\": \"function\", \"name\": ...}"
    pub struct ToolChoice<'a> {
        "type" => kind: Text<'a>,
        "name" => name: Option<Text<'a>>,
        "namespace" => namespace: Option<Text<'a>>,
        /// As chat completions have it.
        "function" => function: Option<NamedFunction<'a>>,
        "mode" => mode: Option<Text<'a>>,
        "tools" => tools: Option<Vec<AllowedTool<'a>>>,
    }

    /// One of the tools that may be called.
    "an object such as {\"type\": \"function\", \"name\": ...}"
    pub struct AllowedTool<'a> {
        "type" => kind: Text<'a>,
        "name" => name: Option<Text<'a>>,
        "namespace" => namespace: Option<Text<'a>>,
    }

    /// A function's name.
    "an object with a 'name'"
    pub struct NamedFunction<'a> {
        "name" => name: Text<'a>,
    }

    /// A conversation that is kept.
    "an object such as {\"id\": \"conv_...\"}"
    pub struct ConversationName<'a> {
        "id" => id: Text<'a>,
    }

    /// `text`.
    "an object such as {\"format\": {\"type\": \"text\"}}"
    pub struct TextOptions<'a> {
        "format" => format: Option<&'a RawValue>,
        "verbosity" => verbosity: Option<Text<'a>>,
    }

    /// The `format` of `text`.
    "an object such as {\"type\": \"json_object\"}"
    pub struct TextFormat<'a> {
        "type" => kind: Text<'a>,
        "name" => name: Option<Text<'a>>,
        "description" => description: Option<Text<'a>>,
        "schema" => schema: Option<&'a RawValue>,
        "strict" => strict: Option<bool>,
    }

    /// `reasoning`.
    "an object such as {\"effort\": \"medium\"}"
    pub struct ReasoningRequest<'a> {
        "effort" => effort: Option<Text<'a>>,
        "summary" => summary: Option<Text<'a>>,
        "generate_summary" => generate_summary: Option<Text<'a>>,
    }

    /// `stream_options`.
    "an object such as {\"include_obfuscation\": false}"
    pub struct ResponseStreamOptions<'a> {
        "include_obfuscation" => include_obfuscation: Option<bool>,
        /// A member of chat completions; the usage is in the last event of every stream.
        "include_usage" => include_usage: Option<bool>,
    }
}
