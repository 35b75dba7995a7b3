//! The shape of JSON: which members there are and how long their texts, but none of the texts.

use memchr::memchr2;

/// Members whose names are kept, because they are the APIs' own. In order, to be found fast.
const MEMBERS: [&str; 79] = [
    "additionalProperties",
    "anyOf",
    "arguments",
    "audio_url",
    "choices",
    "code",
    "content",
    "created",
    "data",
    "delta",
    "description",
    "detail",
    "effort",
    "enabled",
    "enum",
    "error",
    "exclude",
    "file",
    "file_data",
    "filename",
    "finish_reason",
    "format",
    "frequency_penalty",
    "function",
    "functions",
    "id",
    "image_url",
    "image_urls",
    "include_usage",
    "index",
    "input",
    "input_audio",
    "items",
    "json_schema",
    "max_completion_tokens",
    "max_tokens",
    "message",
    "messages",
    "metadata",
    "model",
    "models",
    "n",
    "name",
    "object",
    "output",
    "parallel_tool_calls",
    "parameters",
    "partial",
    "presence_penalty",
    "priority",
    "prompt",
    "properties",
    "reasoning",
    "reasoning_effort",
    "refusal",
    "required",
    "response_format",
    "role",
    "schema",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "strict",
    "system",
    "system_prompt",
    "temperature",
    "text",
    "tool_call_id",
    "tool_calls",
    "tool_choice",
    "tools",
    "top_p",
    "type",
    "url",
    "usage",
    "user",
    "video_url",
    "video_urls",
];
/// Texts that are kept, because they are the APIs' own too. In order as well.
const WORDS: [&str; 38] = [
    "array",
    "assistant",
    "auto",
    "boolean",
    "developer",
    "file",
    "function",
    "high",
    "image_url",
    "input_audio",
    "input_text",
    "integer",
    "json_object",
    "json_schema",
    "latency",
    "length",
    "list",
    "low",
    "max",
    "medium",
    "minimal",
    "mp3",
    "none",
    "null",
    "number",
    "object",
    "required",
    "stop",
    "string",
    "system",
    "text",
    "throughput",
    "tool",
    "tool_calls",
    "user",
    "video_url",
    "wav",
    "xhigh",
];
/// No member and no text that is kept is longer.
const LONGEST_WORD: usize = 24;
/// Longer shapes break off.
const LONGEST: usize = 16 * 1024;

/// Writes the shape of some JSON, whether it is sound or not. Takes time in proportion to its length.
pub fn shape(json: &[u8]) -> String {
    let mut shape = Shape {
        // Most of a body is text, of which nothing but a number stays.
        out: String::with_capacity(json.len().min(512)),
        is_object: Vec::new(),
        expects_name: false,
        name: None,
    };
    let mut rest = json;
    while let Some((&first, after)) = rest.split_first() {
        if shape.out.len() > LONGEST {
            shape.out.push('…');
            break;
        }
        rest = match first {
            b' ' | b'\n' | b'\r' | b'\t' => after,
            b'{' | b'[' | b'}' | b']' | b',' | b':' => {
                shape.mark(first);
                after
            }
            b'"' => shape.text(after),
            _ => shape.scalar(rest),
        };
    }
    shape.out
}

struct Shape {
    out: String,
    /// What is open: an object or a list.
    is_object: Vec<bool>,
    expects_name: bool,
    /// The name of the member whose value comes next, if it is known.
    name: Option<&'static str>,
}

impl Shape {
    fn mark(&mut self, mark: u8) {
        match mark {
            b'{' | b'[' => self.is_object.push(mark == b'{'),
            b'}' | b']' => drop(self.is_object.pop()),
            _ => {}
        }
        let is_in_object = self.is_object.last() == Some(&true);
        self.expects_name = is_in_object && matches!(mark, b'{' | b',');
        if mark != b':' {
            self.name = None;
        }
        self.out.push(char::from(mark));
    }

    /// Reads a text behind its first quote; gives what follows it.
    fn text<'j>(&mut self, json: &'j [u8]) -> &'j [u8] {
        let mut end = 0;
        while let Some(found) = json.get(end..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            end += found;
            match json.get(end) {
                Some(b'\\') => end += 2,
                _ => break,
            }
        }
        let is_open = json.get(end) != Some(&b'"');
        let raw = if is_open {
            json
        } else {
            json.get(..end).unwrap_or(json)
        };
        let known = match self.expects_name {
            true => find(&MEMBERS, raw),
            false => find(&WORDS, raw),
        };
        if self.expects_name {
            self.name = known;
        }
        self.out.push('"');
        match known {
            Some(word) => self.out.push_str(word),
            None => {
                let letters = letters(raw);
                self.out.push('⟨');
                push_number(&mut self.out, letters);
                self.out.push('⟩');
            }
        }
        self.out.push('"');
        json.get(end + 1..).unwrap_or_default()
    }

    /// Numbers and words: kept where they are the value of a known member, and only counted as being
    /// there in lists, which may be a text in numbers.
    fn scalar<'j>(&mut self, json: &'j [u8]) -> &'j [u8] {
        let is_end = |byte: &u8| b",:]}[{\" \n\r\t".contains(byte);
        let length = json.iter().position(is_end).unwrap_or(json.len()).max(1);
        let (raw, rest) = json.split_at_checked(length).unwrap_or((json, &[]));
        let is_value = self.is_object.last() == Some(&true) && self.name.is_some();
        let is_scalar = |text: &str| {
            matches!(text, "true" | "false" | "null")
                || (text.len() <= 24 && text.parse::<f64>().is_ok())
        };
        match std::str::from_utf8(raw) {
            Ok(text) if is_value && is_scalar(text) => self.out.push_str(text),
            _ => self.out.push('0'),
        }
        rest
    }
}

/// The one of these words, which are in order, that reads so.
fn find(known: &[&'static str], raw: &[u8]) -> Option<&'static str> {
    if raw.len() > LONGEST_WORD {
        return None;
    }
    let at = known
        .binary_search_by(|word| word.as_bytes().cmp(raw))
        .ok()?;
    known.get(at).copied()
}

/// How many letters a text has, sound or not.
fn letters(raw: &[u8]) -> usize {
    match std::str::from_utf8(raw) {
        // The library counts many at once.
        Ok(text) => text.chars().count(),
        Err(_) => raw.iter().filter(|&&byte| byte & 0xC0 != 0x80).count(),
    }
}

/// Writes a number without the help of a formatter, which costs more than all the rest of a member.
fn push_number(out: &mut String, number: usize) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    let digit = u8::try_from(number % 10).unwrap_or_default();
    out.push(char::from(b'0' + digit));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_own_words_stay_and_nothing_else() {
        let json = br#"{"model": "secret", "temperature": 0.5, "messages": [{"role": "user", "content": "a\"b\u00e9"}],
            "prompt": [1234, 5678], "tools": [{"function": {"name": "leak", "parameters": {"properties": {"my_name": {"type": "string", "minimum": 77}}}}}]}"#;
        assert_eq!(
            shape(json),
            "{\"model\":\"⟨6⟩\",\"temperature\":0.5,\"messages\":[{\"role\":\"user\",\"content\":\"⟨10⟩\"}],\
             \"prompt\":[0,0],\"tools\":[{\"function\":{\"name\":\"⟨4⟩\",\"parameters\":{\"properties\":{\"⟨7⟩\":{\"type\":\"string\",\"⟨7⟩\":0}}}}}]}"
        );
    }

    #[test]
    fn what_is_looked_for_is_in_order() {
        for known in [&MEMBERS[..], &WORDS[..]] {
            assert!(known.is_sorted());
            assert!(known.iter().all(|word| word.len() <= LONGEST_WORD));
            for word in known {
                assert_eq!(find(known, word.as_bytes()), Some(*word));
            }
        }
        assert_eq!(find(&MEMBERS, b"secret"), None);
    }

    #[test]
    fn what_is_no_json_shows_nothing_either() {
        for broken in [
            "secret",
            "\"secret",
            "{secret: secret}",
            "\"a\\",
            "[[[",
            "{\"stop\": secret}",
        ] {
            let shown = shape(broken.as_bytes());
            assert!(!shown.contains("secret"), "{broken}: {shown}");
        }
        assert!(shape(&b"[".repeat(1_000_000)).len() < 2 * LONGEST);
    }
}
