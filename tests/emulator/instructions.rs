//! Instructions as somebody may write them who puts tools and schemas into a system prompt, in
//! several wordings, and ways to ask with them.

use serde_json::{Value, json};

use crate::harness::{Fal, read_stream, send};

/// Two tools, as JSON, one per line.
pub(crate) const TOOLS: &str = r#"{"name": "get_weather", "description": "Current weather of a city", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 10}, "unit": {"enum": ["c", "f"]}}, "required": ["city", "days"], "additionalProperties": false}}
{"name": "send_mail", "description": "Sends a message to somebody", "parameters": {"type": "object", "properties": {"to": {"type": "string", "format": "email"}, "urgent": {"type": "boolean"}}, "required": ["to", "urgent"]}}"#;

pub(crate) const KEYED: &str = "You can use the tools listed below. The calling application runs them and returns the results in its next message.\n\
    To use tools, write this block, starting on its own line, and end your message after it:\n\
    <tool_calls k=\"7K2Q\">\n<tool_call>{\"name\": \"TOOL\", \"arguments\": {}}</tool_call>\n</tool_calls>\n\
    Write one <tool_call> per call; several are allowed. Each holds one JSON object, \"name\" first, then \"arguments\" with exactly the\n\
    parameter names of the tool. No code fence inside the block; newlines inside strings are written \\n. Results come back as\n\
    <tool_result-7K2Q>; never write results yourself. You may explain your plan in text before the block.\nTools:\n{tools}\n\
    If no tool is needed, answer in plain text.";

/// Other words, other blanks, another order.
const REWORDED: &str = "Be kind.\n\n# Functions\nYou have functions. To call some, end your reply with:\n\n\
    \x20 <tool_calls k=\"7K2Q\">\n\n  <tool_call> {\"name\":\"NAME\",\"arguments\":{}} </tool_call>\n  </tool_calls>\n\n\
    Their output arrives in <tool_result-7K2Q> tags.\n\n## Available tools\n\n{tools}\n\nOtherwise just answer.";

const WHOLE_REPLY: &str = "You can use the tools below. To use tools, make your whole reply one JSON object:\n\
    {\"tool_calls\": [{\"name\": \"TOOL\", \"arguments\": {}}]}\nTools:\n{tools}\nIf no tool is needed, answer in plain text.";

const SIGNATURES: &str = "get_weather(city: string, days: integer, unit?: \"c\"|\"f\") - Current weather of a city\n\
    send_mail(to: string, urgent: boolean) - Sends a message to somebody";

pub(crate) const BLOCK_OPEN: &str = "<tool_calls k=\"7K2Q\">\n<tool_call>";
pub(crate) const BLOCK_CLOSE: &str = "</tool_call>\n</tool_calls>";

/// The instructions in the usual form.
pub(crate) fn keyed() -> String {
    KEYED.replace("{tools}", TOOLS)
}

/// The instructions in the usual form, and a sentence after them.
pub(crate) fn keyed_and(sentence: &str) -> String {
    format!("{}\n{sentence}", keyed())
}

/// Every wording of the same block.
pub(crate) fn wordings() -> Vec<String> {
    let wrapped: Vec<String> = TOOLS
        .lines()
        .map(|tool| format!("- {{\"type\": \"function\", \"function\": {tool}}}"))
        .collect();
    vec![
        keyed(),
        KEYED.replace("{tools}", SIGNATURES),
        REWORDED.replace("{tools}", &wrapped.join("\n")),
        REWORDED.replace("{tools}", &format!("[{}]", TOOLS.replace('\n', ",\n "))),
        keyed().replace('\n', "\r\n"),
    ]
}

pub(crate) fn whole_reply() -> String {
    WHOLE_REPLY.replace("{tools}", TOOLS)
}

/// The demand for an answer that fits `schema`.
pub(crate) fn format_of(schema: &Value) -> String {
    format!(
        "Always respond with a JSON object that's compatible with this schema:\n\n{schema}\n\n\
         Don't include any text or Markdown fencing before or after."
    )
}

/// A record of one question and its results, and the words that point to them.
pub(crate) fn after_results(question: &str, results: &[(&str, &str)]) -> String {
    let results: String = results
        .iter()
        .map(|(tool, text)| {
            format!("<tool_result-7K2Q id=\"call_1\" name=\"{tool}\">{text}</tool_result-7K2Q>")
        })
        .collect();
    format!(
        "<conversation-7K2Q>\n<turn-7K2Q role=\"user\">{question}</turn-7K2Q>\n\
         <turn-7K2Q role=\"assistant\"><tool_calls k=\"7K2Q\">…</tool_calls></turn-7K2Q>\n\
         <turn-7K2Q role=\"tool\">{results}</turn-7K2Q>\n</conversation-7K2Q>\n\n\
         The results of your tool calls are in the last turn. Continue."
    )
}

impl Fal {
    /// The answer to `prompt` under `system`, which must be the same streamed and whole.
    pub(crate) async fn told(&self, system: &str, prompt: &str) -> String {
        let input = json!({ "system_prompt": system, "prompt": prompt });
        let answer = send(self.post("/fal-ai/any-llm", &input)).await.json();
        let whole = answer["output"].as_str().unwrap().to_owned();
        let events = read_stream(self.post("/fal-ai/any-llm/stream", &input))
            .await
            .events();
        assert_eq!(events.last().unwrap()["output"], whole, "{prompt}");
        whole
    }
}

/// The calls in a well-formed block, and the text before it.
pub(crate) fn calls_in(output: &str) -> (&str, Vec<Value>) {
    let (before, block) = output
        .split_once("<tool_calls k=\"7K2Q\">\n")
        .unwrap_or_else(|| panic!("no block: {output}"));
    let calls = block
        .strip_suffix("\n</tool_calls>")
        .unwrap_or_else(|| panic!("no end: {output}"));
    let calls = calls.lines().map(|line| {
        let call = line.strip_prefix("<tool_call>").unwrap();
        serde_json::from_str(call.strip_suffix("</tool_call>").unwrap()).unwrap()
    });
    (before, calls.collect())
}

/// Whether a schema allows a value, formats included.
pub(crate) fn allows(schema: &Value, value: &Value) -> bool {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
        .is_valid(value)
}
