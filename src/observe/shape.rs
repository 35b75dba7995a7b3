//! The shape of JSON: which members there are and how long their texts, but none of the texts.

use memchr::memchr2;

/// Members whose names are kept, because they are the APIs' own.
static MEMBERS: Words<79> = Words::new([
    "n",
    "id",
    "url",
    "code",
    "data",
    "enum",
    "file",
    "name",
    "role",
    "seed",
    "stop",
    "text",
    "type",
    "user",
    "anyOf",
    "delta",
    "error",
    "index",
    "input",
    "items",
    "model",
    "tools",
    "top_p",
    "usage",
    "detail",
    "effort",
    "format",
    "models",
    "object",
    "output",
    "prompt",
    "schema",
    "stream",
    "strict",
    "system",
    "choices",
    "content",
    "created",
    "enabled",
    "exclude",
    "message",
    "partial",
    "refusal",
    "filename",
    "function",
    "messages",
    "metadata",
    "priority",
    "required",
    "arguments",
    "audio_url",
    "file_data",
    "functions",
    "image_url",
    "reasoning",
    "video_url",
    "image_urls",
    "max_tokens",
    "parameters",
    "properties",
    "tool_calls",
    "video_urls",
    "description",
    "input_audio",
    "json_schema",
    "temperature",
    "tool_choice",
    "tool_call_id",
    "finish_reason",
    "include_usage",
    "system_prompt",
    "stream_options",
    "response_format",
    "presence_penalty",
    "reasoning_effort",
    "frequency_penalty",
    "parallel_tool_calls",
    "additionalProperties",
    "max_completion_tokens",
]);
/// Texts that are kept, because they are the APIs' own too.
static WORDS: Words<38> = Words::new([
    "low",
    "max",
    "mp3",
    "wav",
    "auto",
    "file",
    "high",
    "list",
    "none",
    "null",
    "stop",
    "text",
    "tool",
    "user",
    "array",
    "xhigh",
    "length",
    "medium",
    "number",
    "object",
    "string",
    "system",
    "boolean",
    "integer",
    "latency",
    "minimal",
    "function",
    "required",
    "assistant",
    "developer",
    "image_url",
    "video_url",
    "input_text",
    "throughput",
    "tool_calls",
    "input_audio",
    "json_object",
    "json_schema",
]);
/// No member and no text that is kept is longer.
const LONGEST_WORD: usize = 24;
/// Longer shapes break off.
const LONGEST: usize = 16 * 1024;
/// So much of a body is looked at, in bytes: more would cost a request with many tools as much as a
/// fifth of all that is done for it.
const MOST_READ: usize = 8 * 1024;

/// Writes the shape of some JSON, whether it is sound or not; of long JSON, that of its beginning.
pub fn shape(json: &[u8]) -> String {
    let read = json.get(..MOST_READ).unwrap_or(json);
    let mut shape = Shape {
        // Most of a body is text, of which nothing but a number stays.
        out: String::with_capacity(read.len().min(512)),
        is_object: Vec::new(),
        expects_name: false,
        name: None,
    };
    let mut rest = read;
    while let Some((&first, after)) = rest.split_first()
        && shape.out.len() <= LONGEST
    {
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
    if !rest.is_empty() || read.len() < json.len() {
        shape.out.push('…');
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
            // What breaks off may be the beginning of anything.
            _ if is_open => None,
            true => MEMBERS.find(raw),
            false => WORDS.find(raw),
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
        match is_open {
            true => &[],
            false => json.get(end + 1..).unwrap_or_default(),
        }
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

/// Words to be looked up, the shorter ones first: few are of one length, so that hardly any text is
/// compared with more than a few of them.
struct Words<const COUNT: usize> {
    words: [&'static str; COUNT],
    /// Where the words of a length begin.
    begins: [usize; LONGEST_WORD + 2],
}

impl<const COUNT: usize> Words<COUNT> {
    #[expect(
        clippy::indexing_slicing,
        reason = "it runs while the program is built, which would fail"
    )]
    const fn new(words: [&'static str; COUNT]) -> Self {
        let mut begins = [0; LONGEST_WORD + 2];
        let mut at = 0;
        let mut length = 0;
        while length < begins.len() {
            while at < COUNT && words[at].len() < length {
                at += 1;
            }
            begins[length] = at;
            length += 1;
        }
        Self { words, begins }
    }

    /// The one that reads so.
    fn find(&self, raw: &[u8]) -> Option<&'static str> {
        let length = raw.len();
        let (begin, end) = (self.begins.get(length)?, self.begins.get(length + 1)?);
        let same_length = self.words.get(*begin..*end)?;
        // The first letter tells most of them apart without a call.
        let is_it = |word: &&&str| {
            let word = word.as_bytes();
            word.first() == raw.first() && word == raw
        };
        same_length.iter().find(is_it).copied()
    }
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
    fn every_word_is_found_and_no_other() {
        fn check<const COUNT: usize>(known: &Words<COUNT>) {
            assert!(known.words.is_sorted_by_key(|word| word.len()));
            for word in known.words {
                assert!(word.len() <= LONGEST_WORD);
                assert_eq!(known.find(word.as_bytes()), Some(word));
            }
            for other in [
                "",
                "secret",
                &"x".repeat(LONGEST_WORD + 1),
                &"x".repeat(1000),
            ] {
                assert_eq!(known.find(other.as_bytes()), None);
            }
        }
        check(&MEMBERS);
        check(&WORDS);
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
        for long in ["[", "[\"a\",", "\"", "x"] {
            let shown = shape(long.repeat(1_000_000).as_bytes());
            assert!(shown.len() < 2 * LONGEST && shown.ends_with('…'), "{long}");
        }
        let texts = format!("{{\"prompt\": \"{}\"}}", "a".repeat(MOST_READ));
        assert_eq!(shape(texts.as_bytes()), "{\"prompt\":\"⟨8180⟩\"…");
    }
}
