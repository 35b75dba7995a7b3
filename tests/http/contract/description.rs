//! `openapi/openapi.yaml` as a judge of answers.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use fal_gateway::api::describe::OPENAPI_JSON;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::contract::yaml;
use crate::harness::Answer;

/// The document as it is served.
pub(crate) fn document() -> Value {
    serde_json::from_str(OPENAPI_JSON).unwrap()
}

pub(crate) const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// Judges against one document.
pub(crate) struct Judge {
    document: Value,
    /// By the schema's text: making one takes longer than using it.
    validators: RefCell<HashMap<String, Rc<Validator>>>,
}

impl Judge {
    pub(crate) fn new() -> Judge {
        Judge::of(document())
    }

    pub(crate) fn of(document: Value) -> Judge {
        Judge {
            document,
            validators: RefCell::default(),
        }
    }

    /// The document that it holds answers to.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// Every path with every method that is described.
    pub(crate) fn operations(&self) -> BTreeSet<(String, String)> {
        let mut operations = BTreeSet::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys().map(|m| m.to_uppercase());
            operations.extend(
                methods
                    .filter(|method| METHODS.contains(&method.as_str()))
                    .map(|method| (method, path.clone())),
            );
        }
        operations
    }

    /// Whether a value fits a schema; what does not, in words.
    pub(crate) fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validator(schema);
        let errors = validator.iter_errors(value);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    fn validator(&self, schema: &Value) -> Rc<Validator> {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut root = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "components": self.document["components"],
            });
            let fields = root.as_object_mut().unwrap();
            fields.extend(schema.as_object().unwrap().clone());
            Rc::new(jsonschema::validator_for(&root).unwrap())
        });
        Rc::clone(validator)
    }

    pub(crate) fn schema_faults(&self, name: &str, value: &Value) -> Vec<String> {
        let reference = format!("#/components/schemas/{name}");
        self.faults(&json!({ "$ref": reference }), value)
    }

    /// Judges an answer to a described operation: its status, headers and body.
    #[track_caller]
    pub(crate) fn judge(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path} -> {}", answer.status);
        let operation = &self.document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{what}: nothing describes it");
        let response = self.resolve(&operation["responses"][answer.status.to_string()]);
        assert!(response.is_object(), "{what}: the status is not described");
        self.judge_headers(&what, &response["headers"], answer);
        self.judge_body(&what, response, answer);
    }

    #[track_caller]
    fn judge_headers(&self, what: &str, described: &Value, answer: &Answer) {
        const TRANSPORT: [&str; 6] = [
            "content-type",
            "content-length",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "date",
        ];
        for (name, value) in &answer.headers {
            if TRANSPORT.contains(&name.as_str()) {
                continue;
            }
            let header = self.resolve(&described[name.as_str()]);
            assert!(
                header.is_object(),
                "{what}: the header {name} is not described"
            );
            let faults = self.faults(&header["schema"], &json!(value.to_str().unwrap()));
            assert!(faults.is_empty(), "{what}: {name}: {faults:?}");
        }
        for (name, header) in described.as_object().into_iter().flatten() {
            let is_required = self.resolve(header)["required"] == json!(true);
            assert!(
                !is_required || answer.headers.contains_key(name),
                "{what}: the header {name} is missing"
            );
        }
    }

    #[track_caller]
    fn judge_body(&self, what: &str, response: &Value, answer: &Answer) {
        let content_type = answer.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap();
        let media = &response["content"][media_type];
        assert!(media.is_object(), "{what}: {media_type:?} is not described");
        match media_type {
            "text/event-stream" => self.judge_stream(what, self.data_of_events(media), answer),
            "application/json" => {
                let body = answer.json();
                let faults = self.faults(&media["schema"], &body);
                assert!(faults.is_empty(), "{what}: {faults:#?} in {body:#}");
                if let Some(code) = body["error"]["code"].as_str() {
                    let codes = response["x-gateway-codes"].as_array();
                    let is_listed = codes.is_some_and(|codes| codes.contains(&json!(code)));
                    assert!(is_listed, "{what}: the code {code} is not listed");
                }
            }
            _ => {}
        }
    }

    /// The schema of the JSON in a stream's events.
    #[track_caller]
    fn data_of_events<'v>(&'v self, media: &'v Value) -> &'v Value {
        let event = self.resolve(&media["itemSchema"]);
        let forms = match event["anyOf"].as_array() {
            Some(forms) => forms.as_slice(),
            None => std::slice::from_ref(event),
        };
        let mut data = forms.iter().map(|form| &form["properties"]["data"]);
        let described = data.find_map(|data| data.get("contentSchema"));
        described.expect("the data of events is described")
    }

    /// Each frame, and the one ending: `[DONE]` or an error, and nothing after it.
    #[track_caller]
    fn judge_stream(&self, what: &str, event: &Value, answer: &Answer) {
        let text = std::str::from_utf8(&answer.body).unwrap();
        let frames = text
            .strip_suffix("\n\n")
            .unwrap_or_else(|| panic!("{what}: the last frame is cut: {text:?}"))
            .split("\n\n")
            .filter(|frame| *frame != ": keep-alive");
        let mut ended = false;
        for frame in frames {
            assert!(!ended, "{what}: {frame:?} comes after the end");
            let name = frame.strip_prefix("event: ");
            let name = name.and_then(|named| named.split_once('\n'));
            let (name, data) = match name {
                Some((name, data)) => (Some(name), data),
                None => (None, frame),
            };
            let data = data
                .strip_prefix("data: ")
                .unwrap_or_else(|| panic!("{what}: {frame:?} is no frame"));
            if data == "[DONE]" {
                ended = true;
                continue;
            }
            let chunk: Value = serde_json::from_str(data).unwrap();
            let faults = self.faults(event, &chunk);
            assert!(faults.is_empty(), "{what}: {faults:#?} in {chunk:#}");
            // Those of `/v1/responses` end with `[DONE]` also after an error.
            match name {
                Some(name) => {
                    assert_eq!(chunk["type"], name, "{what}");
                    ended = name == "message_stop" || chunk.get("request_id").is_some();
                }
                None => ended = chunk.get("error").is_some(),
            }
        }
        assert!(ended, "{what}: the stream has no ending");
    }

    /// What a local `$ref` stands for, or the value itself.
    fn resolve<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.document
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{reference} leads nowhere"))
            }
            None => value,
        }
    }
}

/// Every `$ref` below a value.
fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference);
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["parameters", "headers", "responses", "schemas"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(found.contains(reference.as_str()), "{reference} is unused");
        }
    }
}

#[test]
fn the_served_document_has_this_version_and_unique_operation_ids() {
    let document = document();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let judge = Judge::new();
    let operations = judge.operations();
    let ids: BTreeSet<_> = operations
        .iter()
        .map(|(method, path)| document["paths"][path][method.to_lowercase()]["operationId"].clone())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), operations.len());
}

#[test]
fn the_descriptions_of_fal_can_be_read_and_refer_to_each_other() {
    for name in ["any-llm", "errors", "queue", "storage"] {
        let document = yaml(&format!("openapi/fal/{name}.yaml"));
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in found {
            let (other, pointer) = reference.split_once('#').unwrap();
            let target = match other {
                "" => document.clone(),
                other => yaml(&format!("openapi/fal/{other}")),
            };
            assert!(target.pointer(pointer).is_some(), "{name}: {reference}");
        }
    }
}
