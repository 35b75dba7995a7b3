//! The words that shapes keep.

/// Members whose names are kept, because they are the APIs' own. Of one length, those come first that are
/// in every request.
pub(super) static MEMBERS: Words<79> = Words::new([
    "n",
    "id",
    "url",
    "role",
    "text",
    "type",
    "name",
    "code",
    "data",
    "enum",
    "file",
    "seed",
    "stop",
    "user",
    "model",
    "index",
    "anyOf",
    "delta",
    "error",
    "input",
    "items",
    "tools",
    "top_p",
    "usage",
    "stream",
    "prompt",
    "system",
    "detail",
    "effort",
    "format",
    "models",
    "object",
    "output",
    "schema",
    "strict",
    "content",
    "message",
    "choices",
    "created",
    "enabled",
    "exclude",
    "partial",
    "refusal",
    "messages",
    "function",
    "required",
    "filename",
    "metadata",
    "priority",
    "arguments",
    "audio_url",
    "file_data",
    "functions",
    "image_url",
    "reasoning",
    "video_url",
    "tool_calls",
    "parameters",
    "properties",
    "max_tokens",
    "image_urls",
    "video_urls",
    "description",
    "temperature",
    "input_audio",
    "json_schema",
    "tool_choice",
    "tool_call_id",
    "system_prompt",
    "finish_reason",
    "include_usage",
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
pub(super) static WORDS: Words<38> = Words::new([
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
pub(super) const LONGEST_WORD: usize = 24;
/// Words to be looked up, the shorter ones first: few are of one length, so that hardly any text is
/// compared with more than a few of them.
pub(super) struct Words<const COUNT: usize> {
    words: [&'static str; COUNT],
    /// Where the words of a length begin.
    begins: [usize; LONGEST_WORD + 2],
}

impl<const COUNT: usize> Words<COUNT> {
    #[expect(
        clippy::indexing_slicing,
        reason = "it runs while the program is built, which would fail"
    )]
    pub(super) const fn new(words: [&'static str; COUNT]) -> Self {
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

    pub(super) const fn len(&self) -> usize {
        COUNT
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &&'static str> {
        self.words.iter()
    }

    /// The place of the one that reads so.
    pub(super) fn find(&self, raw: &[u8]) -> Option<usize> {
        let length = raw.len();
        let (begin, end) = (self.begins.get(length)?, self.begins.get(length + 1)?);
        let same_length = self.words.get(*begin..*end)?;
        // The first letter tells most of them apart without a call.
        let is_it = |word: &&str| {
            let word = word.as_bytes();
            word.first() == raw.first() && word == raw
        };
        same_length.iter().position(is_it).map(|at| begin + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_and_no_other() {
        fn check<const COUNT: usize>(known: &Words<COUNT>) {
            assert!(known.words.is_sorted_by_key(|word| word.len()));
            for (at, word) in known.words.iter().enumerate() {
                assert!(word.len() <= LONGEST_WORD);
                assert_eq!(known.find(word.as_bytes()), Some(at));
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
}
