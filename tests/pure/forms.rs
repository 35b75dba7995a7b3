//! The forms in which models write calls: each is read as a call, whole and letter by letter, and
//! what merely looks like one is text.

use serde_json::{Value, json};

use fal_gateway::translate::contract::Contract;
use fal_gateway::translate::guide::GuideSettings;
use fal_gateway::translate::plan::PlanLimits;
use fal_gateway::translate::reading::Verdict;
use fal_gateway::translate::reading::shape::{Shaped, Shaper};
use fal_gateway::translate::tools::Dialect;

use crate::support::{self, CAPABILITIES};

const DIALECTS: [Dialect; 3] = [Dialect::Tagged, Dialect::Json, Dialect::Markup];

fn tool(name: &str, schema: &Value) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": schema}})
}

fn tools() -> Value {
    let weather = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    });
    let mail = json!({
        "type": "object",
        "properties": {"to": {"type": "string"}, "text": {"type": "string"}},
        "required": ["to", "text"],
    });
    json!([tool("get_weather", &weather), tool("send_mail", &mail)])
}

fn contract(dialect: Dialect, request: &Value) -> Contract {
    let guide = GuideSettings {
        dialects: vec![(String::new(), dialect)],
        ..CAPABILITIES.guide
    };
    let capabilities = PlanLimits {
        guide,
        ..CAPABILITIES
    };
    let mut body = json!({"messages": [{"role": "user", "content": "Hi"}], "tools": tools()});
    let fields = body.as_object_mut().unwrap();
    fields.extend(request.as_object().unwrap().clone());
    let body = body.to_string();
    let plan = support::plan(body.as_bytes(), &capabilities).unwrap();
    plan.reading.contract
}

#[derive(Debug, PartialEq)]
struct Outcome {
    text: String,
    /// Names and arguments.
    calls: Vec<(String, Value)>,
    leniencies: Vec<&'static str>,
    is_met: bool,
}

/// What an answer comes to, which is the same however it is cut.
fn read(contract: &Contract, text: &str) -> Outcome {
    let key = contract.tools.as_ref().unwrap().key.as_str();
    let text = text.replace("KEY", key);
    let whole = shape(contract, [text.as_str()]);
    let letters = text.split_inclusive(|_: char| true);
    assert_eq!(shape(contract, letters), whole, "letter by letter: {text}");
    for length in [2, 3, 7, 20] {
        let letters: Vec<char> = text.chars().collect();
        let pieces: Vec<String> = letters.chunks(length).map(String::from_iter).collect();
        let cut = shape(contract, pieces.iter().map(String::as_str));
        assert_eq!(cut, whole, "in pieces of {length}: {text}");
    }
    whole
}

fn shape<'t>(contract: &Contract, pieces: impl IntoIterator<Item = &'t str>) -> Outcome {
    let mut shaper = Shaper::new(contract.clone());
    let mut shaped = Shaped::default();
    for piece in pieces {
        shaper.push(piece, &mut shaped);
        if shaper.is_done() {
            break;
        }
    }
    let verdict = shaper.finish(&mut shaped);
    let parsed = |arguments: &str| serde_json::from_str(arguments).unwrap();
    let calls = shaped.calls.iter();
    Outcome {
        text: shaped.text,
        calls: calls
            .map(|call| (call.name.clone(), parsed(&call.arguments)))
            .collect(),
        leniencies: shaper.leniencies().to_vec(),
        is_met: verdict == Verdict::Met,
    }
}

fn weather(city: &str) -> (String, Value) {
    ("get_weather".to_owned(), json!({"city": city}))
}

/// A form with one call, and one of the names by which it is counted; `""` where it is the form
/// that is asked for in one of the dialects.
const ONE: [(&str, &str); 79] = [
    (
        "",
        "<tool_calls k=\"KEY\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_calls>",
    ),
    (
        "",
        "<tool_calls k=\"KEY\">\n<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}</tool_call>\n</tool_calls>",
    ),
    (
        "tool-list",
        "<tool_calls k=\"KEY\">\n[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]\n</tool_calls>",
    ),
    (
        "fence",
        "<tool_calls k=\"KEY\">\n```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n```\n</tool_calls>",
    ),
    (
        "tool-attributes",
        "<tool_calls k=\"KEY\">\n<tool_call name=\"get_weather\" arguments={\"city\":\"Oslo\"}/>\n</tool_calls>",
    ),
    (
        "tool-attributes",
        "<tool_calls k=\"KEY\">\n<tool_call name=\"get_weather\" arguments={\"city\":\"Oslo\"}}>\n</tool_call>\n</tool_calls>",
    ),
    (
        "tool-attributes",
        "<tool_calls k=\"KEY\">\n<tool_call name='get_weather' arguments='{\"city\":\"Oslo\"}'></tool_call></tool_calls>",
    ),
    (
        "tool-attributes",
        "<tool_calls k=\"KEY\">\n<invoke name=\"get_weather\" arguments=\"{&quot;city&quot;: &quot;Oslo&quot;}\"/>",
    ),
    (
        "tool-attributes",
        "<tool_call name=\"get_weather\" arguments={\"city\": \"Oslo\"}>",
    ),
    (
        "tool-placeholder",
        "<tool_calls k=\"KEY\">\n{\"name\": \"TOOL\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_calls>",
    ),
    (
        "tool-placeholder",
        "{\"name\": \"<tool-name>\", \"arguments\": {\"city\": \"Oslo\"}}",
    ),
    (
        "placeholder",
        "<tool_calls k=\"KEY\">\n<invoke name=\"get_weather\">\n<parameter name=\"PARAMETER\" type=\"json\">\n{\"city\": \"Oslo\"}</parameter>\n</invoke>\n</tool_calls>",
    ),
    (
        "schema-echo",
        "{\"name\": \"get_weather\", \"arguments\": {\"type\": \"object\", \"properties\": {\"city\": \"Oslo\"}, \"required\": [\"city\"]}}",
    ),
    (
        "schema-echo",
        "{\"name\": \"get_weather\", \"description\": \"The weather\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": \"Oslo\"}}}",
    ),
    (
        "",
        "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}",
    ),
    (
        "",
        "[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]",
    ),
    (
        "",
        "{\"tool_calls\": [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]}",
    ),
    (
        "",
        "[{\"id\": \"call_2\", \"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": \\\"Oslo\\\"}\"}}]",
    ),
    (
        "",
        "```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n```",
    ),
    (
        "",
        "```tool_calls-KEY\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n```",
    ),
    (
        "tool-fence",
        "I look.\n\n```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n```",
    ),
    (
        "tool-fence",
        "I use the tool:\n```json\n{\"tool_calls\": [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]}\n```\n",
    ),
    (
        "",
        "I look.\n\n<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}</tool_call>",
    ),
    (
        "tool-member",
        "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}",
    ),
    (
        "tool-tokens",
        "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}<|eom_id|>",
    ),
    (
        "tool-tokens",
        "<|python_tag|>get_weather.call(city=\"Oslo\")",
    ),
    (
        "tool-tokens",
        "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]",
    ),
    (
        "tool-tokens",
        "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]</s>",
    ),
    (
        "tool-tokens",
        "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Oslo\"}",
    ),
    ("tool-tokens", "[TOOL_CALLS]get_weather{\"city\": \"Oslo\"}"),
    (
        "tool-tokens",
        "I look.[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Oslo\"}",
    ),
    (
        "tool-tokens",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Oslo\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "tool-tokens",
        "Let me look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Oslo\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "tool-tokens",
        "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Oslo\"}<|tool_call_end|><|tool_calls_section_end|>",
    ),
    (
        "tool-tokens",
        "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>",
    ),
    (
        "tool-tokens",
        "<|start|>assistant<|channel|>commentary to=functions.get_weather<|message|>{\"city\": \"Oslo\"}<|call|>",
    ),
    (
        "tool-tokens",
        "commentary to=functions.get_weather json{\"city\": \"Oslo\"}",
    ),
    (
        "tool-tokens",
        "<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Oslo\"}",
    ),
    (
        "tool-tokens",
        "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]<|/tool_call|>",
    ),
    (
        "tool-tokens",
        "functools[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]",
    ),
    (
        "tool-tokens",
        "<TOOLCALL>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]</TOOLCALL>",
    ),
    (
        "tool-tokens",
        "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}]<|END_ACTION|>",
    ),
    (
        "tool-tokens",
        "<|tool_call_start|>[get_weather(city=\"Oslo\")]<|tool_call_end|>",
    ),
    (
        "tool-tokens",
        "<start_function_call>call:get_weather{city:<escape>Oslo<escape>}<end_function_call>",
    ),
    ("tool-function", "[get_weather(city=\"Oslo\")]"),
    ("tool-function", "get_weather(city='Oslo')"),
    (
        "tool-function",
        "```tool_code\nget_weather(city=\"Oslo\")\n```",
    ),
    (
        "tool-function",
        "I look.\n```tool_code\nprint(get_weather(city=\"Oslo\"))\n```",
    ),
    (
        "tool-action",
        "Thought: I need the weather.\nAction: get_weather\nAction Input: {\"city\": \"Oslo\"}",
    ),
    (
        "tool-action",
        "Action: get_weather\nAction Input: {\"city\": \"Oslo\"}\nObservation: sunny\nThought: done",
    ),
    (
        "tool-action",
        "Action: ```json\n[{\"tool_name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}]\n```",
    ),
    (
        "tool-markup",
        "<function=get_weather>{\"city\": \"Oslo\"}</function>",
    ),
    (
        "tool-markup",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>",
    ),
    (
        "tool-markup",
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>",
    ),
    (
        "tool-markup",
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Oslo</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    ),
    (
        "tool-markup",
        "<function_calls>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Oslo</parameter>\n</invoke>\n</function_calls>",
    ),
    (
        "tool-markup",
        "<tool>get_weather</tool><tool_input>{\"city\": \"Oslo\"}</tool_input>",
    ),
    (
        "tool-markup",
        "<tool>get_weather</tool>\n<tool_input><city>Oslo</city></tool_input>",
    ),
    (
        "tool-markup",
        "<function_calls>\n<invoke>\n<tool_name>get_weather</tool_name>\n<parameters>\n<city>Oslo</city>\n</parameters>\n</invoke>\n</function_calls>",
    ),
    (
        "tool-markup",
        "<function_calls>\n<function_call>\n<tool>get_weather</tool>\n<args_json><![CDATA[{\"city\": \"Oslo\"}]]></args_json>\n</function_call>\n</function_calls>",
    ),
    (
        "",
        "<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]</tool_calls>",
    ),
    (
        "",
        "I look. <tool_calls k=\"KEY\">{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}</tool_calls>",
    ),
    (
        "",
        "<tool_calls-KEY>{\"tool_calls\": [{\"id\": \"call_2\", \"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]}</tool_calls-KEY>",
    ),
    ("tool-positional", "get_weather(\"Oslo\")"),
    ("tool-positional", "[get_weather('Oslo')]"),
    (
        "tool-positional",
        "<|tool_call_start|>[get_weather(\"Oslo\")]<|tool_call_end|>",
    ),
    (
        "tool-positional",
        "```tool_code\nprint(get_weather(\"Oslo\"))\n```",
    ),
    ("tool-positional", "Action: get_weather\nAction Input: Oslo"),
    (
        "tool-positional",
        "Thought: I look.\nAction: get_weather\nAction Input: \"Oslo\"\nObservation: sunny",
    ),
    ("tool-positional", "Action: get_weather[Oslo]"),
    ("tool-positional", "Action: get_weather(\"Oslo\")"),
    ("tool-action", "Action: get_weather(city=\"Oslo\")"),
    (
        "tool-result",
        "<tool_result>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}",
    ),
    (
        "tool-result",
        "<tool_result id=\"call_1\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_result>",
    ),
    (
        "tool-result",
        "<tool_response>\n```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n```\n</tool_response>",
    ),
    (
        "tool-result",
        "<tool_result-ABCD>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}</tool_result-ABCD>",
    ),
    (
        "tool-placeholder",
        "<tool_calls k=\"KEY\">\n<invoke name=\"(tool name)\">\n<parameter name=\"city\">Oslo</parameter>\n</invoke>\n</tool_calls>",
    ),
    (
        "placeholder",
        "<tool_calls k=\"KEY\">\n<invoke name=\"get_weather\">\n<parameter name=\"(parameter name)\" type=\"json\">{\"city\": \"Oslo\"}</parameter>\n</invoke>\n</tool_calls>",
    ),
    (
        "placeholder",
        "<invoke name=\"get_weather\">\n<parameter name=\"PARAMETER\">{\"city\": \"Oslo\"}</parameter>\n</invoke>",
    ),
];

#[test]
fn a_call_is_read_in_every_form_that_is_unmistakable() {
    for dialect in DIALECTS {
        for choice in ["auto", "required"] {
            let contract = contract(dialect, &json!({"tool_choice": choice}));
            for (label, answer) in ONE {
                let outcome = read(&contract, answer);
                assert_eq!(
                    outcome.calls,
                    [weather("Oslo")],
                    "{dialect:?} {choice}: {answer}"
                );
                assert!(outcome.is_met, "{answer}");
                let is_asked = label == "tool-markup" && dialect == Dialect::Markup;
                let is_named = label.is_empty() || outcome.leniencies.contains(&label);
                let is_named = is_named || is_asked;
                assert!(is_named, "{answer}: {:?}", outcome.leniencies);
                let before = ["I look.", "I use", "Let me", "Thought:"];
                let has_text = before.iter().any(|before| answer.starts_with(before));
                let is_told = has_text && choice == "auto";
                assert_eq!(
                    !outcome.text.is_empty(),
                    is_told,
                    "{answer}: {}",
                    outcome.text
                );
            }
        }
    }
}

/// What a single tool that has to be called is given is what it would be given of its own accord.
#[test]
fn a_call_is_read_in_every_form_where_its_arguments_alone_were_asked_for() {
    for parallel in [true, false] {
        let mut request = json!({"tool_choice": "required", "parallel_tool_calls": parallel});
        request["tools"] = json!([tools()[0]]);
        let contract = contract(Dialect::Tagged, &request);
        let arguments = [
            "{\"city\": \"Oslo\"}",
            "```json\n{\"city\": \"Oslo\"}\n```",
            "Here you are: {\"city\": \"Oslo\"}",
            "{\"type\": \"object\", \"properties\": {\"city\": \"Oslo\"}}",
            "I will answer.\n\n[{\"id\": \"call_2\", \"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}}]",
            "Calling tools:\n[{'id': 'call_2', 'type': 'function', 'function': {'name': 'get_weather', 'arguments': {'city': 'Oslo'}}}]",
            "I call ```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n``` and wait.",
        ];
        for answer in ONE.iter().map(|(_, answer)| *answer).chain(arguments) {
            let outcome = read(&contract, answer);
            assert_eq!(outcome.calls, [weather("Oslo")], "{answer}");
            assert!(outcome.is_met, "{answer}");
        }
    }
}

const TWO: [&str; 17] = [
    "Action: get_weather\nAction Input: {\"city\": \"Oslo\"}\nThought: And the other.\nAction: get_weather\nAction Input: Rome",
    "<tool_calls k=\"KEY\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}},\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_calls>",
    "<tool_calls k=\"KEY\">\n[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}, {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}]\n</tool_calls>",
    "<tool_calls k=\"KEY\">\n<tool_call>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}, {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}]</tool_call>\n</tool_calls>",
    "<tool_calls k=\"KEY\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_calls>\n<tool_calls k=\"KEY\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_calls>",
    "<tool_calls k=\"KEY\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_calls>\n\nAnd the other city:\n\n<tool_calls k=\"KEY\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_calls>\nDone.",
    "<tool_calls k=\"KEY\">\n<tool_call name=\"get_weather\" arguments={\"city\":\"Oslo\"}/>\n<tool_call name=\"get_weather\" arguments={\"city\":\"Rome\"}/>\n</tool_calls>",
    "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}; {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}",
    "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}},\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}",
    "```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n```\n\n```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n```",
    "[get_weather(city=\"Oslo\"), get_weather(city=\"Rome\")]",
    "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Oslo\"}[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Rome\"}",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Oslo\"}<|tool_call_end|><|tool_call_begin|>functions.get_weather:1<|tool_call_argument_begin|>{\"city\": \"Rome\"}<|tool_call_end|><|tool_calls_section_end|>",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Oslo\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Rome\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "<start_function_call>call:get_weather{city:<escape>Oslo<escape>}<end_function_call><start_function_call>call:get_weather{city:<escape>Rome<escape>}<end_function_call>",
    "```tool_code\nprint(get_weather(city=\"Oslo\"))\nprint(get_weather(city=\"Rome\"))\n```",
    "<tool>get_weather</tool><tool_input>{\"city\": \"Oslo\"}</tool_input>\n<tool>get_weather</tool><tool_input>{\"city\": \"Rome\"}</tool_input>",
];

#[test]
fn several_calls_are_read_in_every_form() {
    for dialect in DIALECTS {
        let contract = contract(dialect, &json!({}));
        for answer in TWO {
            let outcome = read(&contract, answer);
            let expected = [weather("Oslo"), weather("Rome")];
            assert_eq!(outcome.calls, expected, "{dialect:?}: {answer}");
            assert_eq!(
                (outcome.text.as_str(), outcome.is_met),
                ("", true),
                "{answer}"
            );
        }
    }
}

/// A model that writes its block again does not mean to call twice; one that writes a call twice in
/// one block may.
#[test]
fn a_block_that_is_repeated_is_one_block() {
    let contract = contract(Dialect::Tagged, &json!({}));
    let call = "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n";
    let block = format!("<tool_calls k=\"KEY\">\n{call}</tool_calls>\n");
    assert_eq!(read(&contract, &block.repeat(3)).calls, [weather("Oslo")]);
    let twice = format!("<tool_calls k=\"KEY\">\n{call}{call}</tool_calls>");
    assert_eq!(read(&contract, &twice).calls.len(), 2);
}

/// Text that speaks of calls, or of something else in a like form, is what it is.
const TEXTS: [&str; 37] = [
    "Action: send_mail\nAction Input: hello",
    "Action: get_weather\nAction Input: Oslo\nThat is how one would ask.",
    "Action: get_weather\nOslo",
    "send_mail(\"ann@example.org\", \"Hi\")",
    "get_weather(Oslo)",
    "get_weather(\"Oslo\", \"Rome\")",
    "<tool_result>20 degrees</tool_result>",
    "<tool_response>{\"city\": \"Oslo\"}</tool_response>",
    "Action: is what films need.",
    "Action: get_weather is what I would do.",
    "Action Input: nothing",
    "Observation: it rains.",
    "get_weather(city) is a function that looks up the weather.",
    "get_weather(city=\"Oslo\") is how one would call it.",
    "Use it like this:\nget_weather(city=\"Oslo\")",
    "Use it like this:\n[get_weather(city=\"Oslo\")]",
    "Call it in Python:\n```python\nget_weather(city=\"Oslo\")\n```",
    "```python\nresult = get_weather(city=\"Oslo\")\nprint(result)\n```",
    "```python\nget_weather(city=\"Oslo\")\n```",
    "To call it, one would write:\n```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n```\nNothing is called by that.",
    "An example without its arguments:\n```json\n{\"name\": \"get_weather\", \"arguments\": {}}\n```",
    "The package:\n```json\n{\"name\": \"left-pad\", \"version\": \"1.0.0\"}\n```",
    "{\"name\": \"Ada\", \"age\": 36}",
    "{\"city\": \"Oslo\"}",
    "[1, 2, 3]",
    "See [1] and [TOOL_CALLS] and <|endoftext|>.",
    "[TOOL_CALLS] is Mistral's token.",
    "functools.reduce folds a list.",
    "functools is a module.",
    "<tool>hammer</tool>",
    "<tool>get_weather</tool> is what I have.",
    "commentary to the text",
    "The form is <tool_calls k=\"KEY\"> and then the call.",
    "<table><tr><td>1 < 2</td></tr></table>",
    "<|im_start|> marks a turn.",
    "<｜tool▁calls▁begin｜> marks calls.",
    "I use send_mail:\n```json\n{\"name\": \"send_mail\", \"arguments\": {\"to\": \"ann@example.org\"}}\n```",
];

#[test]
fn what_only_looks_like_a_call_goes_through_as_it_is() {
    for dialect in DIALECTS {
        let contract = contract(dialect, &json!({}));
        let key = contract.tools.as_ref().unwrap().key.as_str().to_owned();
        for text in TEXTS {
            for text in [text.to_owned(), format!("{text}\n\nThat is all.")] {
                let outcome = read(&contract, &text);
                assert_eq!(outcome.text, text.replace("KEY", &key), "{dialect:?}");
                assert_eq!((outcome.calls.len(), outcome.is_met), (0, true), "{text}");
            }
        }
    }
}

/// Behind something that began as a call does, a call with the key is one all the same.
#[test]
fn a_call_with_the_key_is_read_behind_an_example_of_one() {
    let contract = contract(Dialect::Tagged, &json!({}));
    let example = "One could write:\n```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n```\nInstead:\n";
    let call = "<tool_calls k=\"KEY\">\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_calls>";
    let outcome = read(&contract, &format!("{example}{call}"));
    assert_eq!(outcome.calls, [weather("Oslo")]);
    assert_eq!(outcome.text, example);
}

/// Where a call is due and the JSON fits one tool alone, it is that tool's arguments.
#[test]
fn arguments_without_a_name_count_where_a_call_is_due() {
    for dialect in DIALECTS {
        let contract = contract(dialect, &json!({"tool_choice": "required"}));
        for answer in [
            "{\"city\": \"Oslo\"}",
            "Here:\n```json\n{\"city\": \"Oslo\"}\n```\nDone.",
        ] {
            let outcome = read(&contract, answer);
            assert_eq!(outcome.calls, [weather("Oslo")], "{dialect:?}: {answer}");
            assert!(outcome.leniencies.contains(&"tool-arguments"), "{answer}");
        }
        for answer in [
            "{}",
            "{\"town\": \"Oslo\"}",
            "{\"city\": \"Oslo\", \"to\": \"Ann\"}",
            "Oslo",
        ] {
            let outcome = read(&contract, answer);
            assert_eq!(
                (outcome.calls.len(), outcome.is_met),
                (0, false),
                "{answer}"
            );
        }
    }
}

/// A schema of a tool's own that holds a name and arguments is filled as it was asked to be.
#[test]
fn arguments_that_look_like_a_call_are_not_unwrapped() {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
        "required": ["name", "arguments"],
    });
    let mut request = json!({"tool_choice": "required"});
    request["tools"] = json!([tool("run", &schema)]);
    let contract = contract(Dialect::Tagged, &request);
    let answer = "{\"name\": \"ls\", \"arguments\": {\"path\": \"/\"}}";
    let outcome = read(&contract, answer);
    let arguments: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(outcome.calls, [("run".to_owned(), arguments)]);
}

#[test]
fn nothing_written_for_arguments_is_no_arguments() {
    let mut request = json!({});
    request["tools"] = json!([tool("ping", &json!({"type": "object"})), tools()[0]]);
    let contract = contract(Dialect::Tagged, &request);
    for nothing in ["\"\"", "null", "[]", "\" \"", "\"null\"", "\"[]\""] {
        let call = |name: &str| {
            format!(
                "<tool_calls k=\"KEY\">\n{{\"name\": \"{name}\", \"arguments\": {nothing}}}\n</tool_calls>"
            )
        };
        let outcome = read(&contract, &call("ping"));
        assert_eq!(outcome.calls, [("ping".to_owned(), json!({}))], "{nothing}");
        assert!(outcome.leniencies.contains(&"no-arguments"), "{nothing}");
        assert!(!read(&contract, &call("get_weather")).is_met, "{nothing}");
    }
}
