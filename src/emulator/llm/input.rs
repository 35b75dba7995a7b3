//! The input of any-llm, parsed as fal's app parses it. Source: the schema on fal's any-llm API
//! page; unknown fields are ignored, as pydantic does unless told otherwise.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    catalogue::{DEFAULT_MODEL, Variant, models, options_text, quoted_choice},
    pydantic::{Invalid, parse_bool, parse_float_within, parse_int},
};

/// A request that the app accepts.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Input {
    /// The endpoint, without the owner of the application.
    pub(in crate::emulator) endpoint: &'static str,
    pub(in crate::emulator) variant: Variant,
    pub(in crate::emulator) prompt: String,
    pub(in crate::emulator) system_prompt: Option<String>,
    pub(in crate::emulator) model: String,
    pub(in crate::emulator) reasoning: bool,
    pub(in crate::emulator) priority: &'static str,
    pub(in crate::emulator) temperature: Option<f64>,
    pub(in crate::emulator) max_tokens: Option<i64>,
    pub(in crate::emulator) image_urls: Vec<String>,
    /// The router's alone, as are the videos.
    pub(in crate::emulator) audio_url: Option<String>,
    pub(in crate::emulator) video_urls: Vec<String>,
}

const PRIORITIES: [&str; 2] = ["throughput", "latency"];

impl Input {
    /// Reads a request body for `variant`; `limit` is the length in characters that `prompt` and
    /// `system_prompt` may have, and with `any_model` the catalogue does not matter.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the schema's fields.
    pub(in crate::emulator) fn parse(
        body: &[u8],
        variant: Variant,
        limit: Option<usize>,
        any_model: bool,
    ) -> Result<Input, Vec<Invalid>> {
        read_object(body, |fields, whole| {
            let mut reader = Reader::new(fields, whole, limit);
            let input = Input {
                endpoint: match variant {
                    Variant::Plain => "any-llm",
                    Variant::Vision => "any-llm/vision",
                    Variant::Enterprise => "any-llm/enterprise",
                },
                variant,
                prompt: reader.prompt(),
                system_prompt: reader.system_prompt(),
                model: reader.model(variant, any_model),
                reasoning: reader
                    .unless_absent("reasoning", parse_bool)
                    .unwrap_or(false),
                priority: reader
                    .unless_absent("priority", parse_priority)
                    .unwrap_or("latency"),
                temperature: reader.optional("temperature", |field, value| {
                    parse_float_within(field, value, 0.0, 2.0)
                }),
                max_tokens: reader.optional("max_tokens", parse_int),
                image_urls: if variant == Variant::Vision {
                    reader.images()
                } else {
                    Vec::new()
                },
                audio_url: None,
                video_urls: Vec::new(),
            };
            reader.finish(input)
        })
    }
}

/// Reads a body that has to be an object of JSON.
pub(super) fn read_object(
    body: &[u8],
    read: impl FnOnce(&Map<String, Value>, &Value) -> Result<Input, Vec<Invalid>>,
) -> Result<Input, Vec<Invalid>> {
    let value = parse_json(body).map_err(|invalid| vec![invalid])?;
    match &value {
        Value::Object(fields) => read(fields, &value),
        _ => Err(vec![Invalid::not_an_object(&value)]),
    }
}

fn parse_json(body: &[u8]) -> Result<Value, Invalid> {
    if body.is_empty() {
        return Err(Invalid::missing(&[], &Value::Null));
    }
    serde_json::from_slice(body).map_err(|error| {
        let before: usize = body
            .split_inclusive(|&byte| byte == b'\n')
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum();
        let offset = before + error.column().saturating_sub(1);
        Invalid::not_json(offset, "Expecting value")
    })
}

/// Reads field after field and keeps what was wrong.
pub(super) struct Reader<'a> {
    fields: &'a Map<String, Value>,
    whole: &'a Value,
    limit: Option<usize>,
    invalid: Vec<Invalid>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        fields: &'a Map<String, Value>,
        whole: &'a Value,
        limit: Option<usize>,
    ) -> Reader<'a> {
        Reader {
            fields,
            whole,
            limit,
            invalid: Vec::new(),
        }
    }

    /// `input`, unless something was wrong with it.
    pub(super) fn finish(self, input: Input) -> Result<Input, Vec<Invalid>> {
        match self.invalid.is_empty() {
            true => Ok(input),
            false => Err(self.invalid),
        }
    }

    pub(super) fn refuse(&mut self, invalid: Invalid) {
        self.invalid.push(invalid);
    }

    /// The field if it is there; null is a value like any other.
    pub(super) fn unless_absent<T>(
        &mut self,
        field: &str,
        parse: impl Fn(&str, &Value) -> Result<T, Invalid>,
    ) -> Option<T> {
        let parsed = parse(field, self.fields.get(field)?);
        parsed.map_err(|invalid| self.invalid.push(invalid)).ok()
    }

    /// As [`Reader::unless_absent`], and null means absent.
    pub(super) fn optional<T>(
        &mut self,
        field: &str,
        parse: impl Fn(&str, &Value) -> Result<T, Invalid>,
    ) -> Option<T> {
        if self.fields.get(field)?.is_null() {
            return None;
        }
        self.unless_absent(field, parse)
    }

    pub(super) fn prompt(&mut self) -> String {
        if !self.fields.contains_key("prompt") {
            self.invalid
                .push(Invalid::missing(&[json!("prompt")], self.whole));
        }
        self.unless_absent("prompt", limited_text(self.limit))
            .unwrap_or_default()
    }

    pub(super) fn system_prompt(&mut self) -> Option<String> {
        self.optional("system_prompt", limited_text(self.limit))
    }

    /// A model of any name; there is no default.
    pub(super) fn free_model(&mut self) -> String {
        if !self.fields.contains_key("model") {
            self.invalid
                .push(Invalid::missing(&[json!("model")], self.whole));
        }
        self.unless_absent("model", limited_text(None))
            .unwrap_or_default()
    }

    /// The address of a file.
    pub(super) fn one(&mut self, field: &str) -> Option<String> {
        self.unless_absent(field, |field, value| parse_image(&[json!(field)], value))
    }

    fn model(&mut self, variant: Variant, any_model: bool) -> String {
        let model = self.unless_absent("model", |field, value| {
            let named = value.as_str();
            named
                .filter(|named| any_model || models(variant).any(|model| model == *named))
                .map(str::to_owned)
                .ok_or_else(|| Invalid::not_one_of(&[json!(field)], value, &options_text(variant)))
        });
        model.unwrap_or_else(|| DEFAULT_MODEL.to_owned())
    }

    /// `image_urls`, or the single `image_url` that older callers send.
    fn images(&mut self) -> Vec<String> {
        if let Some(url) = self.optional("image_url", |field, value| {
            parse_image(&[json!(field)], value)
        }) {
            return vec![url];
        }
        match self.fields.get("image_urls") {
            None | Some(Value::Null) => Vec::new(),
            Some(_) => self.list("image_urls", parse_image),
        }
    }

    /// The addresses in a list.
    pub(super) fn list(
        &mut self,
        field: &str,
        parse: fn(&[Value], &Value) -> Result<String, Invalid>,
    ) -> Vec<String> {
        let value = self.fields.get(field).unwrap_or(&Value::Null);
        let Value::Array(urls) = value else {
            self.invalid
                .push(Invalid::not_a_list(&[json!(field)], value));
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, url) in urls.iter().enumerate() {
            match parse(&[json!(field), json!(index)], url) {
                Ok(url) => read.push(url),
                Err(invalid) => self.invalid.push(invalid),
            }
        }
        read
    }
}

fn limited_text(limit: Option<usize>) -> impl Fn(&str, &Value) -> Result<String, Invalid> {
    move |field, value| {
        let loc = [json!(field)];
        let text = value
            .as_str()
            .ok_or_else(|| Invalid::not_a_string(&loc, value))?;
        match limit.filter(|&max| text.chars().count() > max) {
            Some(max) => Err(Invalid::too_long(&loc, value, max)),
            None => Ok(text.to_owned()),
        }
    }
}

fn parse_priority(field: &str, value: &Value) -> Result<&'static str, Invalid> {
    PRIORITIES
        .into_iter()
        .find(|&priority| value.as_str() == Some(priority))
        .ok_or_else(|| Invalid::not_one_of(&[json!(field)], value, &quoted_choice(&PRIORITIES)))
}

/// A file, mostly an image, is a web address, which we do not fetch, or a base64 data URI, which must decode.
pub(super) fn parse_image(loc: &[Value], value: &Value) -> Result<String, Invalid> {
    let url = value
        .as_str()
        .ok_or_else(|| Invalid::not_a_string(loc, value))?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url.to_owned());
    }
    match data_uri(url) {
        Some((_, bytes)) if !bytes.is_empty() => Ok(url.to_owned()),
        _ if url.starts_with("data:") => Err(Invalid::image_unreadable(loc, value)),
        _ => Err(Invalid::file_unreachable(loc, value)),
    }
}

/// Type and bytes of `data:TYPE;base64,BYTES`.
pub(super) fn data_uri(url: &str) -> Option<(&str, Vec<u8>)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    Some((kind, STANDARD.decode(data).ok()?))
}
