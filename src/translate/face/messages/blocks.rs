//! Content blocks, read into the parts of a turn.
//!
//! A block that was sent once is sent again with every later request. So only what the answer would
//! be about is refused; what stands further back, or beside the result of a tool, is told in words
//! where it cannot be carried.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::translate::ask::{Part, Thoughts, push_text};
use crate::translate::draft::read_at;
use crate::translate::face::attached::between_lines;
use crate::translate::face::thoughts::unseal;
use crate::translate::image::{self, DataUri, ImageCount};
use crate::translate::notes::Members;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::anthropic::request::{Block, Content, Source};
use crate::wire::text::Text;

/// What unknown blocks and dropped members are named after.
const PATH: &str = "messages[].content[]";

/// Reads the blocks of one request.
pub struct Reader<'a, 'l> {
    images: &'l image::ImageLimits,
    image_count: ImageCount,
    pub members: &'l mut Members,
    /// Where the last image stands.
    pub last_image: Option<String>,
    pub loaded_tools: HashSet<Cow<'a, str>>,
    /// The blocks of reasoning that the message holds, which its model wants to have back.
    pub thoughts: Option<Thoughts>,
    /// Whether this is the message that the answer would be about.
    pub is_last_message: bool,
    /// Whether the message holds the result of a tool.
    pub is_among_results: bool,
}

impl<'a, 'l> Reader<'a, 'l> {
    pub fn new(images: &'l image::ImageLimits, members: &'l mut Members) -> Self {
        Self {
            images,
            image_count: ImageCount::default(),
            members,
            last_image: None,
            loaded_tools: HashSet::new(),
            thoughts: None,
            is_last_message: false,
            is_among_results: false,
        }
    }

    /// Adds a text, unless it says nothing.
    pub fn push_text(&mut self, parts: &mut Vec<Part<'a>>, text: Cow<'a, str>) {
        if !text.trim().is_empty() {
            push_text(parts, text);
        }
    }

    /// Members of a block that have no effect.
    pub fn note_members(&mut self, block: &Block<'_>) {
        self.members.add_unknown(PATH, &block.unknown);
        let asks = |raw: &RawValue| raw.get().contains("\"enabled\"") && raw.get().contains("true");
        let wants_citations = block.citations.is_some_and(asks);
        self.members.add_if(wants_citations, PATH, "citations");
    }

    /// A block of the user's that is no result.
    pub fn users_block(
        &mut self,
        parts: &mut Vec<Part<'a>>,
        path: &str,
        block: Block<'a>,
    ) -> Result<(), Rejection> {
        match block.kind.as_str() {
            "image" => self.image(parts, path, block),
            "document" => self.document(parts, path, block),
            "container_upload" | "browser_state" => Err(unsupported(
                path,
                "no files are kept here. Send the text itself.",
            )),
            _ => self.common_block(parts, path, block),
        }
    }

    /// The assistant has replied to the images so far.
    pub fn replied(&mut self) {
        self.image_count.replied();
    }

    /// A block of the assistant's that is no call.
    pub fn assistants_block(
        &mut self,
        parts: &mut Vec<Part<'a>>,
        path: &str,
        block: Block<'a>,
    ) -> Result<(), Rejection> {
        match block.kind.as_str() {
            // Models are not shown what was thought before, so that nobody's signature matters. But
            // there are some that want their own thoughts back as they were.
            "thinking" => Ok(()),
            "redacted_thinking" => {
                let data = block.data.map(RawValue::get);
                let sealed = data.and_then(|data| serde_json::from_str::<Text<'_>>(data).ok());
                let blocks = sealed.and_then(|Text(sealed)| unseal(&sealed));
                self.thoughts = blocks.or(self.thoughts.take());
                Ok(())
            }
            "document" => Err(unsupported(
                path,
                "an assistant's message cannot hold a document. Move it into a user message.",
            )),
            _ => self.common_block(parts, path, block),
        }
    }

    /// Blocks that both can have: text, and what a tool of Anthropic's has said in an earlier life
    /// of the conversation, which goes on as words.
    fn common_block(
        &mut self,
        parts: &mut Vec<Part<'a>>,
        path: &str,
        block: Block<'a>,
    ) -> Result<(), Rejection> {
        self.note_members(&block);
        match block.kind.as_str() {
            "text" => {
                let Some(Text(text)) = block.text else {
                    return Err(Rejection::missing(format!("{path}.text")));
                };
                self.push_text(parts, text);
                Ok(())
            }
            "search_result" => {
                let text = search_result(&block);
                self.push_text(parts, Cow::Owned(text));
                Ok(())
            }
            "server_tool_use" | "mcp_tool_use" => {
                let name = block.name.as_ref().map_or("a tool", Text::as_str);
                let input = block.input.map_or("{}", |input| input.get());
                self.push_text(parts, Cow::Owned(format!("[{name}: {input}]")));
                Ok(())
            }
            "compaction" => {
                let said = block.content.map(found_texts).unwrap_or_default();
                self.push_text(parts, Cow::Owned(said));
                Ok(())
            }
            kind if kind.ends_with("_tool_result") => {
                let said = block.content.map(found_texts).unwrap_or_default();
                self.members.add(PATH, kind);
                self.push_text(parts, Cow::Owned(format!("[{kind}: {said}]")));
                Ok(())
            }
            kind => {
                let shown: String = kind
                    .chars()
                    .filter(|letter| !letter.is_control())
                    .take(64)
                    .collect();
                let path = format!("{path}.type");
                let message =
                    format!("Invalid '{path}': a block of the type '{shown}' cannot stand there.");
                Err(Rejection::invalid(path, message))
            }
        }
    }

    /// The content of a tool's result.
    pub fn result(&mut self, path: &str, block: Block<'a>) -> Result<Vec<Part<'a>>, Rejection> {
        self.note_members(&block);
        let mut parts = Vec::new();
        let Some(value) = block.content else {
            return Ok(parts);
        };
        let place = format!("{path}.content");
        let content: Content<'a> = read_at(value, &place, "a string or a list of content blocks")?;
        match content {
            Content::Text(Text(text)) => push_text(&mut parts, text),
            Content::List(blocks) => {
                for (at, block) in blocks.into_iter().enumerate() {
                    let path = format!("{path}.content[{at}]");
                    match block.kind.as_str() {
                        "tool_reference" => self.reference(&mut parts, block),
                        _ => self.users_block(&mut parts, &path, block)?,
                    }
                }
            }
        }
        Ok(parts)
    }

    /// A tool that a search has found, and that may be called from now on.
    fn reference(&mut self, parts: &mut Vec<Part<'a>>, block: Block<'a>) {
        if let Some(Text(name)) = block.tool_name {
            push_text(
                parts,
                Cow::Owned(format!("[the tool {name} can be called now]")),
            );
            self.loaded_tools.insert(name);
        }
    }

    fn image(
        &mut self,
        parts: &mut Vec<Part<'a>>,
        path: &str,
        block: Block<'a>,
    ) -> Result<(), Rejection> {
        self.note_members(&block);
        let source = source(&block, path)?;
        let url = match (source.kind.as_str(), source.data, source.url) {
            ("base64", Some(Text(data)), _) => {
                let media_type = source.media_type.as_ref().map_or("", Text::as_str);
                Cow::Owned(format!("data:{media_type};base64,{data}"))
            }
            ("url", _, Some(Text(url))) => url,
            _ => {
                return Err(unsupported(
                    path,
                    "an image is sent as base64 data or by its URL; no files are kept here.",
                ));
            }
        };
        let url = image::accept(url, path, &mut self.image_count, self.images)?;
        parts.push(Part::Image(url));
        self.last_image = Some(path.to_owned());
        Ok(())
    }

    fn document(
        &mut self,
        parts: &mut Vec<Part<'a>>,
        path: &str,
        block: Block<'a>,
    ) -> Result<(), Rejection> {
        self.note_members(&block);
        let source = source(&block, path)?;
        let title = block.title.as_ref().map(Text::as_str);
        if let Some(Text(context)) = &block.context {
            self.push_text(parts, Cow::Owned(context.to_string()));
        }
        let text = match (source.kind.as_str(), &source.data, source.content) {
            ("text", Some(Text(data)), _) => Some(data.to_string()),
            ("content", _, Some(Content::Text(Text(text)))) => Some(text.into_owned()),
            ("content", _, Some(Content::List(blocks))) => Some(texts_of(blocks)),
            ("base64", Some(Text(data)), _) => {
                let media_type = source.media_type.as_ref().map_or("", Text::as_str);
                decoded(media_type, data)
            }
            _ => None,
        };
        if let Some(text) = text {
            push_text(parts, Cow::Owned(between_lines(title, &text)));
            return Ok(());
        }
        if self.is_last_message && !self.is_among_results {
            return Err(unsupported(
                path,
                "only text can be carried to fal, and no PDF. Send the text of the document.",
            ));
        }
        let name: String = title
            .unwrap_or("without a name")
            .chars()
            .filter(|letter| !letter.is_control())
            .take(200)
            .collect();
        let words = format!("[document {name}: it is not text, and cannot be read here]");
        push_text(parts, Cow::Owned(words));
        self.members.add(PATH, "document");
        Ok(())
    }
}

fn source<'a>(block: &Block<'a>, path: &str) -> Result<Source<'a>, Rejection> {
    let Some(value) = block.source else {
        return Err(Rejection::missing(format!("{path}.source")));
    };
    let expected = "an object such as {\"type\": \"base64\", \"media_type\": ..., \"data\": ...}";
    read_at(value, &format!("{path}.source"), expected)
}

/// The text of a document that is sent as base64, if it is text.
fn decoded(media_type: &str, data: &str) -> Option<String> {
    if !media_type.starts_with("text/") {
        return None;
    }
    let uri = format!("data:{media_type};base64,{data}");
    let bytes = DataUri::read(&uri)?.decode()?;
    String::from_utf8(bytes).ok()
}

fn texts_of(blocks: Vec<Block<'_>>) -> String {
    let texts = blocks.into_iter().filter_map(|block| block.text);
    let texts: Vec<String> = texts.map(|Text(text)| text.into_owned()).collect();
    texts.join("\n")
}

/// A search result with its title, and where it is from.
fn search_result(block: &Block<'_>) -> String {
    let from = block
        .source
        .map(|source| source.get().trim_matches('"').to_owned());
    let title = block.title.as_ref().map_or("", Text::as_str);
    let said = block.content.map(found_texts).unwrap_or_default();
    format!(
        "[search result: {title} ({})]\n{said}",
        from.unwrap_or_default()
    )
}

/// All that can be read in the content of a result that no type describes: its texts, titles and
/// addresses, in order. What is encrypted for Anthropic's servers is left out.
fn found_texts(raw: &RawValue) -> String {
    const READABLE: [&str; 6] = ["text", "title", "url", "stdout", "stderr", "error_code"];
    fn collect<'v>(value: &'v serde_json::Value, found: &mut Vec<&'v str>) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        serde_json::Value::String(text) if READABLE.contains(&name.as_str()) => {
                            found.push(text);
                        }
                        serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                            collect(member, found);
                        }
                        _ => {}
                    }
                }
            }
            serde_json::Value::String(text) => found.push(text),
            _ => {}
        }
    }
    let value: serde_json::Value = serde_json::from_str(raw.get()).unwrap_or_default();
    let mut found = Vec::new();
    collect(&value, &mut found);
    found.join("\n")
}

fn unsupported(path: &str, reason: &str) -> Rejection {
    let message = format!("Unsupported value: '{path}': {reason}");
    Rejection::of(Cause::UnsupportedValue, path, message)
}
