//! `ChatCompletionRequestMessage` and its content parts.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::wire::object::objects;
use crate::wire::text::Text;
use crate::wire::text_or_list::{ListItem, TextOrList};

objects! {
    /// One message of a request. Which members may occur depends on `role`.
    "an object with a 'role' and a 'content'"
    pub struct RequestMessage<'a> {
        "role" => role: Text<'a>,
        "content" => content: Option<Content<'a>>,
        "name" => name: Option<Text<'a>>,
        "refusal" => refusal: Option<Text<'a>>,
        "tool_calls" => tool_calls: Option<Vec<ToolCall<'a>>>,
        "tool_call_id" => tool_call_id: Option<Text<'a>>,
        "function_call" => function_call: Option<FunctionCall<'a>>,
        "audio" => audio: Option<IgnoredAny>,
        /// The reasoning of an earlier answer, under the two names by which answers carry it.
        /// Clients send answers back as they came; models are not shown what was thought before.
        "reasoning_content" => reasoning_content: Option<IgnoredAny>,
        "reasoning" => reasoning: Option<IgnoredAny>,
        /// OpenRouter's blocks of reasoning, which models want to have back with their calls.
        "reasoning_details" => reasoning_details: Option<&'a RawValue>,
    }

    /// A tool call in the history.
    "an object with an 'id', a 'type' and a 'function'"
    pub struct ToolCall<'a> {
        "id" => id: Option<Text<'a>>,
        "type" => kind: Option<Text<'a>>,
        "function" => function: Option<FunctionCall<'a>>,
        "custom" => custom: Option<&'a RawValue>,
        /// The place of a call in a stream, which clients keep; the list has its own order.
        "index" => index: Option<IgnoredAny>,
    }

    /// Name and arguments of a call; `arguments` is JSON written into a string.
    "an object with a 'name' and 'arguments'"
    pub struct FunctionCall<'a> {
        "name" => name: Text<'a>,
        "arguments" => arguments: Option<Text<'a>>,
    }

    /// One content part. `kind` says which of the other members counts.
    "an object such as {\"type\": \"text\", \"text\": \"Hello\"}"
    pub struct ContentPart<'a> {
        "type" => kind: Text<'a>,
        "text" => text: Option<Text<'a>>,
        "refusal" => refusal: Option<Text<'a>>,
        "image_url" => image_url: Option<ImageUrl<'a>>,
        "input_audio" => input_audio: Option<InputAudio<'a>>,
        "video_url" => video_url: Option<VideoUrl<'a>>,
        "file" => file: Option<File<'a>>,
    }

    /// The `image_url` of an image part. `detail` has no counterpart at fal.
    "an object with a 'url'"
    pub struct ImageUrl<'a> {
        "url" => url: Text<'a>,
        "detail" => detail: Option<Text<'a>>,
    }

    /// The `input_audio` of a part with a recording; `data` is base64.
    "an object with 'data' and 'format'"
    pub struct InputAudio<'a> {
        "data" => data: Text<'a>,
        "format" => format: Text<'a>,
    }

    /// OpenRouter's `video_url` of a part with a video.
    "an object with a 'url'"
    pub struct VideoUrl<'a> {
        "url" => url: Text<'a>,
    }

    /// The `file` of a file part.
    "an object with 'file_data'"
    pub struct File<'a> {
        "file_data" => file_data: Option<Text<'a>>,
        "file_id" => file_id: Option<Text<'a>>,
        "filename" => filename: Option<Text<'a>>,
    }
}

/// The content of a message: a string, or a list of parts.
pub type Content<'a> = TextOrList<'a, ContentPart<'a>>;

impl ListItem for ContentPart<'_> {
    const EXPECTED: &'static str = "a string or a list of parts";
}
