//! Reads answers off the wire, from the bytes that a client gets.

use serde_json::Value;

use crate::cli::client::Reply;

/// An answer as a client hears it, whole or put together from its chunks.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) content: String,
    pub(super) refusal: Option<String>,
    pub(super) calls: Vec<HeardCall>,
    pub(super) finish: String,
    /// The code of the error that came instead, or that ended the stream.
    pub(super) error: Option<String>,
    /// What the gateway says it did itself; `None` where it does not say.
    pub(super) notes: Option<Vec<String>>,
}

#[derive(Debug, Default)]
pub(super) struct HeardCall {
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Heard {
    /// Whether the server tells how an answer came about.
    pub(super) fn tells(&self) -> bool {
        self.notes.is_some() || self.error.is_some()
    }

    /// Whether the server wrote tools or a schema into the prompt.
    pub(super) fn is_written(&self) -> bool {
        let mut notes = self.notes.iter().flatten();
        notes.any(|name| name == "tools" || name == "response_format")
    }

    /// Puts an answer together.
    ///
    /// # Errors
    /// What is wrong with its form, in words.
    pub(super) fn read(reply: &Reply) -> Result<Heard, String> {
        let mut heard = Heard::default();
        if reply.header("x-gateway-usage").is_some() {
            let names = reply.header("x-gateway-emulated").unwrap_or_default();
            heard.note(names.split(", ").filter(|name| !name.is_empty()));
        }
        let text = std::str::from_utf8(&reply.body).map_err(|_| "it is not UTF-8")?;
        match reply.is_event_stream() {
            true => heard.take_stream(text)?,
            false => heard.take_whole(text)?,
        }
        Ok(heard)
    }

    pub(super) fn take_whole(&mut self, text: &str) -> Result<(), String> {
        let body: Value = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
        if self.take_error(&body) {
            return Ok(());
        }
        self.take_notes(&body);
        let choice = body.pointer("/choices/0").ok_or("it has no choice")?;
        let message = choice.get("message").ok_or("it has no message")?;
        self.take_text(message);
        for call in list(message.get("tool_calls")) {
            self.calls.push(HeardCall {
                name: text_at(call, "/function/name").to_owned(),
                arguments: text_at(call, "/function/arguments").to_owned(),
            });
        }
        self.finish = text_at(choice, "/finish_reason").to_owned();
        Ok(())
    }

    fn take_stream(&mut self, text: &str) -> Result<(), String> {
        let mut has_ended = false;
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            let data = data.trim();
            if has_ended {
                return Err("something follows its end".to_owned());
            }
            if data == "[DONE]" {
                has_ended = true;
                continue;
            }
            let chunk: Value = serde_json::from_str(data).map_err(|_| "a chunk is not JSON")?;
            if self.take_error(&chunk) {
                has_ended = true;
                continue;
            }
            self.take_notes(&chunk);
            for choice in list(chunk.get("choices")) {
                let delta = choice.get("delta").unwrap_or(&Value::Null);
                self.take_text(delta);
                for piece in list(delta.get("tool_calls")) {
                    self.take_piece(piece)?;
                }
                let finish = text_at(choice, "/finish_reason");
                if !finish.is_empty() {
                    self.finish = finish.to_owned();
                }
            }
        }
        match has_ended {
            true => Ok(()),
            false => Err("the stream ends without [DONE] and without an error".to_owned()),
        }
    }

    /// A piece of a call: indices are dense from 0, and each begins with its id and name.
    fn take_piece(&mut self, piece: &Value) -> Result<(), String> {
        let index = piece.get("index").and_then(Value::as_u64);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let index = index.ok_or("a piece of a call has no index")?;
        let name = text_at(piece, "/function/name");
        if index == self.calls.len() {
            if name.is_empty() || text_at(piece, "/id").is_empty() {
                return Err("a call begins without its id and name".to_owned());
            }
            self.calls.push(HeardCall::default());
        }
        let is_last = self.calls.len().checked_sub(1) == Some(index);
        let call = self.calls.last_mut().filter(|_| is_last);
        let call = call.ok_or("the indices of the calls are not dense from 0")?;
        call.name.push_str(name);
        let more = text_at(piece, "/function/arguments");
        call.arguments.push_str(more);
        Ok(())
    }

    fn take_text(&mut self, message: &Value) {
        self.content.push_str(text_at(message, "/content"));
        if let Some(words) = message.get("refusal").and_then(Value::as_str) {
            self.refusal.get_or_insert_default().push_str(words);
        }
    }

    fn take_error(&mut self, body: &Value) -> bool {
        let Some(error) = body.get("error").filter(|error| !error.is_null()) else {
            return false;
        };
        let code = ["/code", "/type", "/message"]
            .iter()
            .map(|field| text_at(error, field))
            .find(|text| !text.is_empty());
        self.error = Some(code.unwrap_or("unnamed").to_owned());
        true
    }

    fn take_notes(&mut self, body: &Value) {
        if let Some(notes) = body.pointer("/gateway/emulated") {
            self.note(list(Some(notes)).iter().filter_map(Value::as_str));
        }
    }

    fn note<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let notes = self.notes.get_or_insert_default();
        notes.extend(names.map(str::to_owned));
    }
}

pub(super) fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Heard;

    #[test]
    fn a_stream_is_put_together_only_if_it_is_well_formed() {
        let delta = |delta: &str| format!("data: {{\"choices\": [{{\"delta\": {delta}}}]}}\n\n");
        let begun = delta(
            r#"{"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}]}"#,
        );
        let more = |index: usize| {
            let piece = json!({"index": index, "function": {"arguments": "{}"}});
            delta(&json!({"tool_calls": [piece]}).to_string())
        };
        let done = "data: [DONE]\n\n";
        let heard = |text: &str| Heard::default().take_stream(text);
        assert_eq!(heard(&format!("{begun}{}{done}", more(0))), Ok(()));
        assert_eq!(heard("data: {\"error\": {\"code\": \"x\"}}\n\n"), Ok(()));
        for broken in [
            format!("{begun}{}", more(0)),
            format!("{begun}{}{done}", more(1)),
            format!("{}{done}", more(0)),
            format!("{done}{begun}"),
            format!("data: {{\n\n{done}"),
        ] {
            assert!(heard(&broken).is_err(), "{broken}");
        }
    }
}
