//! The typical breakages, one row each: what a model wrote, what comes out, and which fixes it took.

use fal_gateway::translate::json::{Found, repair, root};

/// A name, a text, and the JSON that comes out with the labels of its fixes; `None` is a refusal.
type Row = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static [&'static str])>,
);

const ROWS: &[Row] = &[
    (
        "valid",
        r#"{"a": [1, 2.50, "x"]}"#,
        Some((r#"{"a": [1, 2.50, "x"]}"#, &[])),
    ),
    (
        "fence",
        "```json\n{\"a\": 1}\n```",
        Some((r#"{"a": 1}"#, &[])),
    ),
    (
        "fence without info",
        "```\n[{\"a\": 1}]\n```\n",
        Some((r#"[{"a": 1}]"#, &[])),
    ),
    (
        "fence of tildes",
        "~~~ json5 \n{\"a\": 1}\n~~~",
        Some((r#"{"a": 1}"#, &[])),
    ),
    (
        "fence on one line",
        "```json {\"a\": 1}```",
        Some((r#"{"a": 1}"#, &[])),
    ),
    (
        "fence never closed",
        "```json\n{\"a\": 1}",
        Some((r#"{"a": 1}"#, &[])),
    ),
    (
        "prose around",
        "Sure! Here it is: {\"a\": \"}\"} Hope {this} helps.",
        Some((r#"{"a": "}"}"#, &[])),
    ),
    (
        "prose and a fence around",
        "Here:\n\n```json\n{}\n```\n\nAnything else?",
        Some(("{}", &[])),
    ),
    (
        "byte order mark",
        "\u{feff}{\"a\": 1}",
        Some((r#"{"a": 1}"#, &[])),
    ),
    (
        "trailing commas",
        "{\"a\": [1, 2,], \"b\": {\"c\": 3 , } ,\n}",
        Some((
            "{\"a\": [1, 2], \"b\": {\"c\": 3  } \n}",
            &["trailing-comma"],
        )),
    ),
    (
        "extra braces",
        "{\"a\": 1}}}",
        Some((r#"{"a": 1}"#, &["surplus-closer"])),
    ),
    (
        "raw line end",
        "{\"a\": \"one\ntwo\tthree\u{1}\"}",
        Some((
            "{\"a\": \"one\\ntwo\\tthree\\u0001\"}",
            &["control-character"],
        )),
    ),
    (
        "single quotes",
        r#"{'a': 'it\'s "so"'}"#,
        Some((r#"{"a": "it's \"so\""}"#, &["single-quotes"])),
    ),
    (
        "comments",
        "{\n  // the city\n  \"a\": 1, /* } */ \"b\": \"// no\" # end\n}",
        Some(("{\n  \n  \"a\": 1,  \"b\": \"// no\" \n}", &["comment"])),
    ),
    (
        "truncation",
        r#"{"a": {"b": [1, "tw"#,
        Some((r#"{"a": {"b": [1, "tw"]}}"#, &["closed"])),
    ),
    (
        "truncation after a colon",
        r#"{"a": 1, "b":"#,
        Some((r#"{"a": 1}"#, &["closed"])),
    ),
    // Several readings each: where the string ends is anybody's guess.
    ("unescaped quotes", r#"{"a": "he said "hi" to me"}"#, None),
    ("unescaped apostrophe", r#"{'a': 'it's'}"#, None),
    (
        "Windows path",
        r#"{"path": "C:\Users\new"}"#,
        Some((r#"{"path": "C:\\Users\\new"}"#, &["invalid-escape"])),
    ),
    (
        "Markdown escapes",
        r#"{"a": "\*bold\*\n1\. \u00e9 \user"}"#,
        Some((
            r#"{"a": "\\*bold\\*\n1\\. \u00e9 \\user"}"#,
            &["invalid-escape"],
        )),
    ),
    (
        "regular expression",
        r#"{"a": "^\d+$"}"#,
        Some((r#"{"a": "^\\d+$"}"#, &["invalid-escape"])),
    ),
    (
        "braces in prose",
        "Use {braces} in text, no JSON here",
        None,
    ),
    (
        "empty braces in prose",
        "Write fn main() {} and [x] it [1].",
        None,
    ),
    ("a set in prose", "The set {\"a\", \"b\"} is not JSON", None),
    ("empty text", "", None),
    ("white space", " \n ", None),
    ("digits with underscores", r#"{"a": 1_000}"#, None),
    ("not a number", r#"{"a": NaN}"#, None),
    ("number without its zero", r#"{"a": .5}"#, None),
    ("hexadecimal", r#"{"a": 0x10}"#, None),
    ("leading zero", r#"{"a": 007}"#, None),
    (
        "Python literals",
        r#"{"a": True, "b": [False, None], "c": "True"}"#,
        Some((
            r#"{"a": true, "b": [false, null], "c": "True"}"#,
            &["python-literal"],
        )),
    ),
    (
        "smart quotes",
        "{“a”: “x \"y\" z’s”}",
        Some((r#"{"a": "x \"y\" z’s"}"#, &["smart-quotes"])),
    ),
    (
        "smart quotes in a string",
        "{\"a\": \"“x”\",}",
        Some(("{\"a\": \"“x”\"}", &["trailing-comma"])),
    ),
    (
        "unquoted names",
        "{name: 1, $ref-2: {_x: 2}}",
        Some((r#"{"name": 1, "$ref-2": {"_x": 2}}"#, &["unquoted-key"])),
    ),
    (
        "big integer",
        r#"{"id": 12345678901234567890123456789,}"#,
        Some((
            r#"{"id": 12345678901234567890123456789}"#,
            &["trailing-comma"],
        )),
    ),
    (
        "end tag in a string",
        r#"{"text":"close with </tool_call> ok"}"#,
        Some((r#"{"text":"close with </tool_call> ok"}"#, &[])),
    ),
    (
        "keys in the model's order, twice",
        r#"{"z": 1, "a": 2, "z": 3,}"#,
        Some((r#"{"z": 1, "a": 2, "z": 3}"#, &["trailing-comma"])),
    ),
    ("missing comma", r#"{"a": 1 "b": 2}"#, None),
    ("missing value", r#"{"a": , "b": 2}"#, None),
    ("two commas", "[1,, 2]", None),
    ("closers in the wrong order", r#"{"a": [1}]"#, None),
    ("lone surrogate", r#"{"a": "\ud83d"}"#, None),
    ("bare words", r#"{"a": yes}"#, None),
];

#[test]
fn each_breakage_has_its_repair_or_is_refused() {
    for (name, text, expected) in ROWS {
        let repaired = root(text).and_then(|root| repair(root.json));
        let actual = repaired.as_ref().map(|repaired| {
            let labels = repaired.fixes.iter().map(|fix| fix.label());
            (repaired.json.as_ref(), labels.collect::<Vec<_>>())
        });
        let expected = expected.map(|(json, fixes)| (json, fixes.to_vec()));
        assert_eq!(actual, expected, "{name}: {text}");
    }
}

#[test]
fn what_stood_around_the_root_is_told() {
    let found = |text| root(text).map(|root| root.found);
    assert_eq!(found(" {\"a\": 1}\n"), Some(Found::Plain));
    assert_eq!(found("[1]"), Some(Found::Plain));
    assert_eq!(found("```json\n[1]\n```"), Some(Found::Fenced));
    assert_eq!(found("Here:\n~~~\n{}\n~~~"), Some(Found::Fenced));
    assert_eq!(found("Answer: {\"a\": 1}"), Some(Found::InProse));
    assert_eq!(found("The list:\n[1, 2]\nis sorted"), Some(Found::InProse));
    assert_eq!(found("As shown in [1] and [\"b\"]."), None);
    assert_eq!(found("- [ ] to do\n- [x] done"), None);
}

#[test]
fn the_root_is_the_first_that_looks_like_json() {
    let text = "See [1], f(x) {} and {x:.2f}: {\"a\": 1}, then {\"b\": 2}";
    assert_eq!(root(text).map(|root| root.json), Some("{\"a\": 1}"));
}
