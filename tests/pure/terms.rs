//! What is kept of tools and schemas that were seen before: that it is what would be made anew, that
//! it is never another's, and that it has an end.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use fal_gateway::engine::terms::{KnownTerms, TermsOwner};
use fal_gateway::translate::ask::Ask;
use fal_gateway::translate::body::Body;
use fal_gateway::translate::face::chat::parse::{parse, parse_kept};
use fal_gateway::translate::model::{Catalogue, Changes};
use fal_gateway::translate::plan::{candidates, plan};
use fal_gateway::translate::terms::{Source, Terms};
use fal_gateway::translate::upstream::UpstreamId;
use fal_gateway::upstream::FalKey;
use serde_json::{Value, json};

use crate::support::{CAPABILITIES, MESSAGE_LIMITS, through};

fn owner(fal_key: &str, client: Option<&str>) -> TermsOwner {
    TermsOwner {
        fal_key: FalKey::new(&fal_key.to_owned().into()).unwrap().print(),
        client: client.map(str::to_owned),
    }
}

fn tool(name: &str, parameters: Value) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": parameters}})
}

fn picking(value: &str) -> Value {
    let kind = json!({"enum": [value]});
    tool(
        "pick",
        json!({"type": "object", "properties": {"kind": kind}, "required": ["kind"]}),
    )
}

fn body(tools: &[Value], more: &Value) -> Vec<u8> {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}], "tools": tools});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string().into_bytes()
}

fn read(body: &[u8]) -> Ask<'_> {
    parse(body, &MESSAGE_LIMITS).unwrap()
}

fn terms(known: &KnownTerms, owner: &TermsOwner, body: &[u8]) -> Arc<Terms> {
    known.of(&read(body), owner).unwrap().unwrap()
}

#[test]
fn the_same_tools_are_read_once_whatever_else_is_asked() {
    let known = KnownTerms::default();
    let owner = owner("id:secret", None);
    let first = terms(&known, &owner, &body(&[picking("a")], &json!({})));
    let more = json!({
        "messages": [{"role": "user", "content": "something else"}],
        "tool_choice": "required", "model": "openai/gpt-4o-mini", "stream": true,
    });
    let second = terms(&known, &owner, &body(&[picking("a")], &more));
    assert!(Arc::ptr_eq(&first, &second));
    assert!(
        known
            .of(
                &read(br#"{"messages": [{"role": "user", "content": "hi"}]}"#),
                &owner
            )
            .unwrap()
            .is_none()
    );
}

#[test]
fn callers_with_tools_of_one_name_never_meet() {
    let known = KnownTerms::default();
    let owners = [
        owner("id:secret", Some("ann")),
        owner("id:secret", Some("ben")),
        owner("id:other", Some("ann")),
        owner("id:secret", None),
    ];
    let mut all = Vec::new();
    for round in 0..3 {
        for (owner, value) in owners.iter().zip(["a", "b", "c", "d"]) {
            let terms = terms(&known, owner, &body(&[picking(value)], &json!({})));
            let schema = terms.schemas.tools[0].arguments.clone().unwrap();
            for other in ["a", "b", "c", "d"] {
                let fits = schema.check(&json!({"kind": other})).is_ok();
                assert_eq!(fits, other == value, "round {round}");
            }
            all.push(Arc::as_ptr(&terms));
        }
    }
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), owners.len());
    // Nor those whose tools are the same.
    let same = body(&[picking("e")], &json!({}));
    let [ann, ben, ..] = &owners;
    assert!(!Arc::ptr_eq(
        &terms(&known, ann, &same),
        &terms(&known, ben, &same)
    ));
}

#[test]
fn whatever_makes_a_difference_is_told_apart() {
    let known = KnownTerms::default();
    let owner = owner("id:secret", None);
    let plain = json!({"type": "object"});
    let described = |name: &str, description: Value, strict: Value| {
        let function = json!({"name": name, "description": description, "strict": strict, "parameters": plain});
        json!({"type": "function", "function": function})
    };
    let format = |schema: Value, strict: bool| {
        let wanted = json!({"name": "answer", "schema": schema, "strict": strict});
        json!({"response_format": {"type": "json_schema", "json_schema": wanted}})
    };
    let closed = json!({"type": "object", "additionalProperties": false});
    let bodies = [
        body(&[described("a", json!("bc"), Value::Null)], &json!({})),
        body(&[described("ab", json!("c"), Value::Null)], &json!({})),
        body(&[described("a", Value::Null, Value::Null)], &json!({})),
        body(&[described("a", json!(""), Value::Null)], &json!({})),
        body(&[described("a", json!("bc"), json!(true))], &json!({})),
        body(
            &[
                described("a", json!("bc"), Value::Null),
                tool("b", plain.clone()),
            ],
            &json!({}),
        ),
        body(
            &[
                tool("b", plain.clone()),
                described("a", json!("bc"), Value::Null),
            ],
            &json!({}),
        ),
        body(&[], &format(plain.clone(), false)),
        body(&[], &format(plain.clone(), true)),
        body(&[], &format(closed, true)),
        body(&[tool("a", plain.clone())], &format(plain.clone(), true)),
    ];
    let all: Vec<_> = bodies
        .iter()
        .map(|body| terms(&known, &owner, body))
        .collect();
    let apart: BTreeSet<_> = all.iter().map(Arc::as_ptr).collect();
    assert_eq!(apart.len(), bodies.len());
}

/// What is kept of the earlier requests of a crowd.
fn alive(terms: &[Weak<Terms>]) -> usize {
    terms
        .iter()
        .filter(|terms| terms.strong_count() > 0)
        .count()
}

#[test]
fn nobody_takes_the_room_of_others_and_all_of_it_has_an_end() {
    let known = KnownTerms::default();
    let quiet = owner("id:secret", Some("quiet"));
    let own = body(&[picking("mine")], &json!({}));
    let first = terms(&known, &quiet, &own);
    let flood = owner("id:secret", Some("flood"));
    let one = |number: usize| {
        let body = body(&[picking(&number.to_string())], &json!({}));
        Arc::downgrade(&terms(&known, &flood, &body))
    };
    let all: Vec<_> = (0..200).map(one).collect();
    assert_eq!(alive(&all), 32);
    assert!(alive(&all[168..]) == 32, "the last ones are kept");
    assert!(Arc::ptr_eq(&first, &terms(&known, &quiet, &own)));

    let crowd = (0..300).map(|number| {
        let owner = owner("id:secret", Some(&format!("caller-{number}")));
        Arc::downgrade(&terms(&known, &owner, &own))
    });
    assert_eq!(alive(&crowd.collect::<Vec<_>>()), 128);
    assert_eq!(alive(&all), 0);
}

#[test]
fn what_is_large_takes_room_accordingly() {
    let known = KnownTerms::default();
    let owner = owner("id:secret", None);
    let large = |number: usize, tools: usize| {
        let member = |at: usize| {
            (
                format!("m{at}"),
                json!({"type": "string", "minLength": number}),
            )
        };
        let members: serde_json::Map<_, _> = (0..50).map(member).collect();
        let parameters = json!({"type": "object", "properties": members});
        let tools = (0..tools).map(|at| tool(&format!("tool-{at}"), parameters.clone()));
        let body = body(&tools.collect::<Vec<_>>(), &json!({}));
        let terms = terms(&known, &owner, &body);
        let bytes = terms.memory(&Source::of(&read(&body)).unwrap());
        (Arc::downgrade(&terms), bytes)
    };
    let all: Vec<_> = (0..20).map(|number| large(number, 10)).collect();
    let held: usize = all
        .iter()
        .filter(|(terms, _)| terms.strong_count() > 0)
        .map(|(_, bytes)| bytes)
        .sum();
    assert!((4 << 20..=8 << 20).contains(&held), "{held}");
    // What would take more than a caller's share is made anew each time.
    let (largest, bytes) = large(0, 100);
    assert!(bytes > 8 << 20 && largest.strong_count() == 0, "{bytes}");
}

#[test]
fn a_plan_is_the_same_with_terms_that_were_kept() {
    let catalogue = Catalogue::new(Changes::default());
    let known = KnownTerms::default();
    let owner = owner("id:secret", None);
    let odd =
        json!({"type": "object", "properties": {"e": {"type": "string", "pattern": "(?=a)"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": odd, "strict": false}});
    let history = json!([
        {"role": "system", "content": "Tools:\n{\"type\": \"function\", \"function\": {\"name\": \"pick\""},
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}, {"role": "user", "content": "\u{e9}"},
    ]);
    for more in [
        json!({}),
        json!({"messages": history}),
        json!({"tool_choice": "required"}),
        json!({"response_format": format, "messages": history}),
    ] {
        for upstream in [UpstreamId::AnyLlm, UpstreamId::RouterOpenai] {
            let body = body(&[picking("a"), tool("odd", odd.clone())], &more);
            let mut ask = read(&body);
            let written = |ask: &Ask<'_>| {
                let limits = through(upstream, &CAPABILITIES);
                let (target, _) = candidates(ask, &catalogue, &limits).unwrap();
                let plan = plan(ask, &target, &[], &limits).unwrap();
                let tokens = plan.reading.prompt_tokens;
                (
                    plan.call.to_input().json,
                    tokens,
                    format!("{:?}", plan.notes),
                )
            };
            let anew = written(&ask);
            for _ in 0..2 {
                ask.terms = known.of(&ask, &owner).unwrap();
                assert_eq!(written(&ask), anew);
            }
        }
    }
}

#[test]
fn a_body_is_read_the_same_whether_its_tools_are_known_or_not() {
    let known = KnownTerms::default();
    let owner = owner("id:secret", None);
    let about = "\u{e9} \"tools\": [] ".repeat(400);
    let offered = |value: &str| {
        let function = json!({"name": "pick", "description": format!("{about}{value}"), "parameters": {
            "type": "object", "properties": {"kind": {"enum": [value]}}, "x": {}}, "odd": 1});
        json!([{"type": "function", "function": function}, tool("other", json!({"type": "object"}))])
    };
    let body =
        |tools: &Value, more: &str| format!("{{{more}\"tools\": {tools}, \"model\": \"a/b\"}}");
    let messages = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], ";
    let first = body(&offered("a"), messages);
    terms(&known, &owner, first.as_bytes());
    let read_twice = |body: &str| {
        let shortened = known.shorten(body.as_bytes(), || owner.clone());
        let known = Body::new(body.as_bytes(), shortened.as_ref());
        let ask = |body: Body<'_>| match parse_kept(body, &MESSAGE_LIMITS, false) {
            Ok((ask, _)) => format!("{:?} {:?} {:?}", ask.tools, ask.notes, ask.conversation),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert_eq!(ask(known), ask(Body::from(body.as_bytes())), "{body}");
        shortened.is_some()
    };
    // Whatever stands before and behind the tools, and once more with what was made of them.
    for more in [
        "",
        messages,
        "\"messages\": [{\"role\": \"user\", \"content\": \"\\\"tools\\\": []\"}], \"tool_choice\": \"required\", ",
        "\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"tools\": []}], ",
        "\"messages\": 1, ",
        "\"messages\": [}], ",
        "\"stream\": 1, \"tools\": [], ",
        "\"stream\": true, \"stream_options\": {\"odd\": 1}, ",
        messages,
    ] {
        assert!(read_twice(&body(&offered("a"), more)), "{more}");
    }
    // The list is known, but is no list of the request's own.
    let inner = format!(
        "{{{messages}\"metadata\": {{\"tools\": {}}}, \"tools\": []}}",
        offered("a")
    );
    assert!(read_twice(&inner));
    // Others' tools, other tools, and tools of which there are more.
    assert!(!read_twice(&body(&offered("b"), messages)));
    let stranger = self::owner("id:secret", Some("ann"));
    assert!(known.shorten(first.as_bytes(), || stranger).is_none());
    let more = first.replacen("\"tools\": [", "\"tools\": [1, ", 1);
    assert!(!read_twice(&more));
}
