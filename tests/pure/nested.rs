//! What stands inside a request's fields: a wrong type is refused where it stands, with what
//! belongs there, and a member without effect is named by its path.

use fal_gateway::translate::plan::PlanLimits;
use fal_gateway::translate::rejection::Rejection;

use crate::support::{self, CAPABILITIES};

/// A request that asks about the weather, with `fields` besides.
fn request(messages: &str, fields: &str) -> String {
    format!(r#"{{"model": "google/gemini-2.5-flash", "messages": [{messages}], {fields} "n": 1}}"#)
}

const HI: &str = r#"{"role": "user", "content": "Hi"}"#;

/// A message of one part.
fn part(part: &str) -> String {
    request(&format!(r#"{{"role": "user", "content": [{part}]}}"#), "")
}

/// A history with one call.
fn called(call: &str) -> String {
    let result = r#"{"role": "tool", "tool_call_id": "c", "content": "22"}"#;
    request(
        &format!(r#"{HI}, {{"role": "assistant", "tool_calls": [{call}]}}, {result}"#),
        "",
    )
}

fn field(fields: &str) -> String {
    request(HI, &format!("{fields},"))
}

/// Fields beside a tool `f`.
fn with_tool(members: &str, fields: &str) -> String {
    field(&format!(
        r#""tools": [{{"type": "function", "function": {{"name": "f"{members}}}}}]{fields}"#
    ))
}

fn refusal(body: &str) -> Rejection {
    match support::plan(body.as_bytes(), &CAPABILITIES) {
        Err(rejection) => rejection,
        Ok(_) => panic!("not refused: {body}"),
    }
}

#[test]
fn a_wrong_type_is_refused_where_it_stands_with_what_belongs_there() {
    let image = |url: &str| part(&format!(r#"{{"type": "image_url", "image_url": {url}}}"#));
    let file = |file: &str| part(&format!(r#"{{"type": "file", "file": {file}}}"#));
    let function = |function: &str| {
        called(&format!(
            r#"{{"id": "c", "type": "function", "function": {function}}}"#
        ))
    };
    let format = |format: &str| field(&format!(r#""response_format": {format}"#));
    let string = "a string";
    let url = "an object with a 'url'";
    let cases = [
        (request("1", ""), "messages[0]", "an object with a 'role'"),
        (request(r#"{"role": 1}"#, ""), "messages[0].role", string),
        (
            request(r#"{"role": "user", "content": 1}"#, ""),
            "messages[0].content",
            "a string or a list of parts",
        ),
        (
            request(r#"{"role": "user", "content": "a", "name": 1}"#, ""),
            "messages[0].name",
            string,
        ),
        (
            part(r#""text""#),
            "messages[0].content[0]",
            "an object such as",
        ),
        (
            part(r#"{"type": 1}"#),
            "messages[0].content[0].type",
            string,
        ),
        (
            part(r#"{"type": "text", "text": {}}"#),
            "messages[0].content[0].text",
            string,
        ),
        (
            image(r#""https://a.example/1.png""#),
            "messages[0].content[0].image_url",
            url,
        ),
        (
            image(r#"{"url": 1}"#),
            "messages[0].content[0].image_url.url",
            string,
        ),
        (
            image(r#"{"url": "https://a.example/1.png", "detail": 1}"#),
            "messages[0].content[0].image_url.detail",
            string,
        ),
        (
            file(r#""a.txt""#),
            "messages[0].content[0].file",
            "an object with 'file_data'",
        ),
        (
            file(r#"{"file_data": []}"#),
            "messages[0].content[0].file.file_data",
            string,
        ),
        (
            file(r#"{"filename": 1}"#),
            "messages[0].content[0].file.filename",
            string,
        ),
        (
            request(
                &format!(r#"{HI}, {{"role": "assistant", "tool_calls": {{}}}}"#),
                "",
            ),
            "messages[1].tool_calls",
            "a list",
        ),
        (
            called("1"),
            "messages[1].tool_calls[0]",
            "an object with an 'id'",
        ),
        (
            called(r#"{"id": 1}"#),
            "messages[1].tool_calls[0].id",
            string,
        ),
        (
            function("1"),
            "messages[1].tool_calls[0].function",
            "an object with a 'name'",
        ),
        (
            function(r#"{"name": 1}"#),
            "messages[1].tool_calls[0].function.name",
            string,
        ),
        (
            function(r#"{"name": "f", "arguments": {"a": 1}}"#),
            "messages[1].tool_calls[0].function.arguments",
            string,
        ),
        (
            request(
                &format!(r#"{HI}, {{"role": "tool", "tool_call_id": 1}}"#),
                "",
            ),
            "messages[1].tool_call_id",
            string,
        ),
        (field(r#""tools": [1]"#), "tools[0]", "an object such as"),
        (
            field(r#""tools": [{"type": "function", "function": "f"}]"#),
            "tools[0].function",
            "an object such as",
        ),
        (
            with_tool(r#", "description": 1"#, ""),
            "tools[0].function.description",
            string,
        ),
        (
            with_tool(r#", "strict": "yes""#, ""),
            "tools[0].function.strict",
            "true or false",
        ),
        (
            field(r#""functions": [{"name": 1}]"#),
            "functions[0].name",
            string,
        ),
        (
            with_tool(
                "",
                r#", "tool_choice": {"type": "function", "function": "f"}"#,
            ),
            "tool_choice.function",
            "an object with a 'name'",
        ),
        (
            with_tool(
                "",
                r#", "tool_choice": {"type": "function", "function": {"name": 1}}"#,
            ),
            "tool_choice.function.name",
            string,
        ),
        (
            with_tool(
                "",
                r#", "tool_choice": {"type": "allowed_tools", "allowed_tools": []}"#,
            ),
            "tool_choice.allowed_tools",
            "an object with a 'mode' and 'tools'",
        ),
        (format(r#"{"type": 1}"#), "response_format.type", string),
        (
            format(r#"{"type": "json_schema", "json_schema": "n"}"#),
            "response_format.json_schema",
            "an object with a 'name' and a 'schema'",
        ),
        (
            format(r#"{"type": "json_schema", "json_schema": {"name": "n", "strict": 1}}"#),
            "response_format.json_schema.strict",
            "true or false",
        ),
        (
            field(r#""stream_options": {"include_usage": "yes"}"#),
            "stream_options.include_usage",
            "true or false",
        ),
        (
            field(r#""reasoning": {"effort": 1}"#),
            "reasoning.effort",
            string,
        ),
        (
            field(r#""reasoning": {"max_tokens": -1}"#),
            "reasoning.max_tokens",
            "an integer",
        ),
        (field(r#""models": ["a", 1]"#), "models[1]", string),
        (field(r#""stop": [1]"#), "stop[0]", string),
    ];
    for (body, param, belongs) in cases {
        let Rejection {
            param: found,
            message,
            ..
        } = refusal(&body);
        assert_eq!(found.as_deref(), Some(param), "{body}: {message}");
        let expected = format!(" Expected {belongs}");
        assert!(message.contains(&expected), "{param}: {message}");
    }
}

#[test]
fn an_effort_that_nobody_knows_is_refused_wherever_it_stands() {
    let cases = [
        (field(r#""reasoning_effort": "AAA""#), "reasoning_effort"),
        (
            field(r#""reasoning": {"effort": "AAA"}"#),
            "reasoning.effort",
        ),
        (
            field(r#""reasoning": {"enabled": false, "effort": "AAA"}"#),
            "reasoning.effort",
        ),
        (
            field(r#""reasoning": {"effort": "AAA", "max_tokens": 9}"#),
            "reasoning.effort",
        ),
    ];
    for (body, param) in cases {
        let rejection = refusal(&body);
        assert_eq!(rejection.param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn what_is_missing_or_written_twice_is_named_where_it_belongs() {
    let cases = [
        (request(r#"{"content": "Hi"}"#, ""), "messages[0].role"),
        (part(r#"{"text": "Hi"}"#), "messages[0].content[0].type"),
        (
            part(r#"{"type": "image_url", "image_url": {}}"#),
            "messages[0].content[0].image_url.url",
        ),
        (
            called(r#"{"id": "c", "function": {"arguments": "{}"}}"#),
            "messages[1].tool_calls[0].function.name",
        ),
        (
            field(r#""tools": [{"function": {"name": "f"}}]"#),
            "tools[0].type",
        ),
        (
            field(r#""tools": [{"type": "function"}]"#),
            "tools[0].function",
        ),
        (
            field(r#""tools": [{"type": "function", "function": {}}]"#),
            "tools[0].function.name",
        ),
        (field(r#""functions": [{}]"#), "functions[0].name"),
        (field(r#""response_format": {}"#), "response_format.type"),
        (field(r#""model": "a""#), "model"),
        (field(r#""stream": true, "stream": false"#), "stream"),
        (
            part(r#"{"type": "text", "text": "a", "text": "b"}"#),
            "messages[0].content[0].text",
        ),
    ];
    for (body, param) in cases {
        let found = refusal(&body).param;
        assert_eq!(found.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn half_a_surrogate_pair_is_named_where_it_stands() {
    let schema = r#"{"type": "object", "properties": {"a": {"description": "cut \ud83d"}}}"#;
    let named = format!(r#"{{"name": "n", "schema": {schema}}}"#);
    let format = format!(r#""response_format": {{"type": "json_schema", "json_schema": {named}}}"#);
    let functions = format!(r#""functions": [{{"name": "f", "parameters": {schema}}}]"#);
    let parameters = format!(r#", "parameters": {schema}"#);
    let text = r#"{"type": "text", "text": "cut \ude00"}"#;
    for (body, param) in [
        (with_tool(&parameters, ""), "tools[0].function.parameters"),
        (field(&functions), "functions[0].parameters"),
        (field(&format), "response_format.json_schema.schema"),
        (part(text), "messages[0].content[0].text"),
    ] {
        let Rejection {
            param: found,
            message,
            ..
        } = refusal(&body);
        assert_eq!(found.as_deref(), Some(param), "{message}");
        assert!(
            message.contains("an escape that stands for no character"),
            "{message}"
        );
    }
    for whole in [r"\ud83d\ude00", r"\\ud83d", r"\u00e9"] {
        let schema = format!(r#", "parameters": {{"type": "object", "description": "{whole}"}}"#);
        let body = with_tool(&schema, "");
        assert!(
            support::plan(body.as_bytes(), &CAPABILITIES).is_ok(),
            "{whole}"
        );
    }
}

/// A request with a member without effect, and the path under which it is named.
fn dropped() -> Vec<(String, &'static str)> {
    let message = |member: &str| {
        request(
            &format!(r#"{{"role": "user", "content": "Hi", {member}}}"#),
            "",
        )
    };
    let tool = r#"{"type": "function", "x": 1, "function": {"name": "f"}}"#;
    vec![
        (
            message(r#""cache_control": {"type": "ephemeral"}"#),
            "messages[].cache_control",
        ),
        (message(r#""prefix": true"#), "messages[].prefix"),
        (message(r#""tool_call_id": "c""#), "messages[].tool_call_id"),
        (
            message(r#""reasoning_content": "Hm""#),
            "messages[].reasoning_content",
        ),
        (
            request(
                &format!(r#"{HI}, {{"role": "assistant", "toolCalls": [{{"id": "c"}}]}}, {HI}"#),
                "",
            ),
            "messages[].toolCalls",
        ),
        (
            request(
                &format!(r#"{{"role": "system", "content": "Be b.", "name": "b"}}, {HI}"#),
                "",
            ),
            "messages[].name",
        ),
        (
            called(r#"{"id": "c", "function": {"name": "f"}, "extra_content": {"google": 1}}"#),
            "messages[].tool_calls[].extra_content",
        ),
        (
            called(r#"{"id": "c", "function": {"name": "f", "parsed_arguments": {"a": 1}}}"#),
            "messages[].tool_calls[].function.parsed_arguments",
        ),
        (
            part(r#"{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}"#),
            "messages[].content[].cache_control",
        ),
        (
            part(
                r#"{"type": "text", "text": "Hi", "image_url": {"url": "https://a.example/1.png"}}"#,
            ),
            "messages[].content[].image_url",
        ),
        (
            part(
                r#"{"type": "image_url", "image_url": {"url": "https://a.example/1.png", "detail": "high"}}"#,
            ),
            "messages[].content[].image_url.detail",
        ),
        (
            part(
                r#"{"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "format": "txt"}}"#,
            ),
            "messages[].content[].file.format",
        ),
        (field(&format!(r#""tools": [{tool}]"#)), "tools[].x"),
        (
            with_tool(r#", "cache_control": 1"#, ""),
            "tools[].function.cache_control",
        ),
        (
            with_tool(
                "",
                r#", "tool_choice": {"type": "function", "function": {"name": "f"}, "x": 1}"#,
            ),
            "tool_choice.x",
        ),
        (
            with_tool("", r#", "functions": [{"name": "g"}]"#),
            "functions",
        ),
        (
            field(r#""functions": [{"name": "f", "x": 1}]"#),
            "functions[].x",
        ),
        (
            field(r#""response_format": {"type": "text", "schema": {"a": 1}}"#),
            "response_format.schema",
        ),
        (
            field(
                r#""response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "x": 1}}"#,
            ),
            "response_format.json_schema.x",
        ),
        (
            field(r#""reasoning": {"effort": "low", "summary": "auto"}"#),
            "reasoning.summary",
        ),
        (
            field(
                r#""stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true}"#,
            ),
            "stream_options.continuous_usage_stats",
        ),
        (
            field(r#""stream_options": {"include_obfuscation": true}, "stream": true"#),
            "stream_options.include_obfuscation",
        ),
    ]
}

#[test]
fn a_member_without_effect_is_named_by_its_path_and_refused_where_that_is_asked_for() {
    let strict = PlanLimits {
        strict: true,
        ..CAPABILITIES
    };
    for (body, path) in dropped() {
        let plan = support::plan(body.as_bytes(), &CAPABILITIES).expect(&body);
        assert_eq!(plan.notes.ignored, [path], "{body}");
        let refusal = support::plan(body.as_bytes(), &strict).expect_err(&body);
        assert_eq!(refusal.param.as_deref(), Some(path));
    }
}

#[test]
fn a_result_that_is_an_error_is_said_to_have_been_one() {
    let result = r#"{"role": "tool", "tool_call_id": "c", "content": "no", "is_error": true}"#;
    let call = r#"{"id": "c", "function": {"name": "f", "arguments": "{}"}}"#;
    let body = request(
        &format!(r#"{HI}, {{"role": "assistant", "tool_calls": [{call}]}}, {result}"#),
        "",
    );
    let plan = support::plan(body.as_bytes(), &CAPABILITIES).unwrap();
    assert_eq!(plan.notes.ignored, ["messages[].is_error"]);
}

#[test]
fn what_every_client_sends_back_is_not_worth_a_note() {
    let answer = r#"{"role": "assistant", "content": "Hello", "refusal": null, "annotations": [],
        "audio": null, "function_call": null, "tool_calls": null, "reasoning_content": "Hm", "reasoning": "Hm",
        "metadata": null, "options": null}"#;
    let call = r#"{"id": "c", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{}"}}"#;
    let calling = format!(r#"{{"role": "assistant", "content": null, "tool_calls": [{call}]}}"#);
    let result = r#"{"role": "tool", "tool_call_id": "c", "name": "f", "content": "22"}"#;
    let question = r#"{"role": "user", "name": "user", "metadata": null, "options": null, "content": [
        {"type": "text", "text": "Hi", "image_url": null, "annotations": []},
        {"type": "image_url", "image_url": {"url": "https://a.example/1.png", "detail": "auto"}}]}"#;
    let messages = [HI, answer, HI, &calling, result, HI, answer, question].join(", ");
    let tool = r#""tools": [{"type": "function", "function": {"name": "f", "strict": null, "parameters": null}}],"#;
    let body = request(&messages, tool);
    let plan = support::plan(body.as_bytes(), &CAPABILITIES).unwrap();
    assert_eq!(plan.notes.ignored, Vec::<String>::new());
}

#[test]
fn a_crowd_of_members_is_named_in_part_and_in_short() {
    let message = |at: usize| {
        let long = "x".repeat(1000);
        format!(r#"{{"role": "user", "content": "Hi", "{at}{long}": 1, "m{at}": 1}}"#)
    };
    let messages = (0..16).map(message).collect::<Vec<_>>().join(", ");
    let parts = (0..200).map(|at| format!(r#"{{"type": "text", "text": "a", "p{at}": 1}}"#));
    let parts = part(&parts.collect::<Vec<_>>().join(", "));
    for body in [request(&messages, ""), parts] {
        let plan = support::plan(body.as_bytes(), &CAPABILITIES).unwrap();
        let ignored = plan.notes.ignored;
        assert!(ignored.len() <= 33, "{}", ignored.len());
        assert!(ignored.iter().all(|path| path.len() < 100), "{ignored:?}");
    }
}
