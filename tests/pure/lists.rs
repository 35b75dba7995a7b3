//! The public lists of models: what is taken of them, and what becomes of the catalogue.

use std::sync::Arc;

use fal_gateway::translate::model::lists::{read_any_llm, read_openrouter};
use fal_gateway::translate::model::{
    Catalogue, Changes, ListError, ListedModel, Modality, ModelInfo, Parameter, PublicLists,
    Reasoning,
};
use serde_json::{Value, json};

fn entry(id: &str) -> Value {
    json!({
        "id": id, "name": "of no use", "context_length": 1000,
        "architecture": {"input_modalities": ["text", "image", "smell"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.000001", "completion": "4e-06", "web_search": "0.01"},
        "supported_parameters": ["tools", "reasoning", "unheard_of"],
    })
}

fn list(entries: &[Value]) -> Vec<u8> {
    json!({ "data": entries }).to_string().into_bytes()
}

fn six() -> Vec<Value> {
    let ids = [
        "b/two",
        "a/one",
        "c/three",
        "openai/gpt-4o",
        "e/five",
        "f/six",
    ];
    ids.map(entry).to_vec()
}

fn read(ids: &[&str]) -> Vec<ListedModel> {
    let entries: Vec<Value> = ids.iter().map(|id| entry(id)).collect();
    read_openrouter(&list(&entries)).unwrap()
}

fn any_llm(ids: &[&str]) -> Vec<u8> {
    json!({"models": [{"endpoint_id": "fal-ai/any-llm", "openapi": {"components": {"schemas": {
        "Output": {"properties": {"output": {"type": "string"}}},
        "Input": {"properties": {"model": {"enum": ids}}},
    }}}}]})
    .to_string()
    .into_bytes()
}

#[test]
fn a_list_is_read_for_what_is_looked_for() {
    let models = read_openrouter(&list(&six())).unwrap();
    let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "a/one",
            "b/two",
            "c/three",
            "e/five",
            "f/six",
            "openai/gpt-4o"
        ]
    );
    let router = models[0].router();
    assert_eq!(router.is_served, Some(true));
    assert_eq!(router.context_length, Some(1000));
    let price = router.price.unwrap();
    assert_eq!(price.prompt.to_string(), "0.000001");
    assert_eq!(price.completion.to_string(), "0.000004");
    let parameters: Vec<_> = router.parameters.unwrap().iter().collect();
    assert_eq!(parameters, [Parameter::Tools, Parameter::Reasoning]);
    let inputs: Vec<_> = router.inputs.unwrap().iter().collect();
    assert_eq!(inputs, [Modality::Text, Modality::Image]);
    assert_eq!(models[0].reasoning(), Reasoning::Optional);
}

#[test]
fn what_is_odd_about_a_model_costs_that_model_alone() {
    let broken = [
        json!(7),
        json!({"id": "x/nothing"}),
        json!({"id": "no-slash"}),
        entry("x/y\nz"),
        entry(&"x/".repeat(200)),
        entry("no-slash"),
        {
            let mut one = entry("x/paints");
            one["architecture"]["output_modalities"] = json!(["image"]);
            one
        },
        {
            let mut one = entry("x/odd");
            one["supported_parameters"] = json!("tools");
            one
        },
    ];
    let mut entries = six();
    entries.extend(broken);
    entries.push(entry("a/one"));
    assert_eq!(read_openrouter(&list(&entries)).unwrap().len(), 6);
    // A price that is none leaves the model without one.
    let mut entries = six();
    for price in [json!("-1"), json!(0.1), Value::Null, json!("free")] {
        entries[1]["pricing"]["prompt"] = price;
        let models = read_openrouter(&list(&entries)).unwrap();
        assert_eq!(models[0].router().price, None);
    }
}

#[test]
fn what_is_no_list_is_not_believed() {
    let malformed = [
        &b""[..],
        b"<html>",
        b"[]",
        b"{}",
        b"{\"data\":{}}",
        b"{\"data\":[",
    ];
    for body in malformed {
        assert_eq!(read_openrouter(body), Err(ListError::Malformed));
        assert_eq!(read_any_llm(body), Err(ListError::Malformed));
    }
    for entries in [&six()[..4], &[]] {
        assert_eq!(read_openrouter(&list(entries)), Err(ListError::TooFew));
    }
    assert_eq!(read_any_llm(&any_llm(&["a/b"])), Err(ListError::TooFew));
    let many: Vec<Value> = (0..20_000).map(|n| entry(&format!("a/{n}"))).collect();
    assert_eq!(read_openrouter(&list(&many)).unwrap().len(), 5_000);
}

#[test]
fn any_llms_models_are_found_in_its_description() {
    let ids = ["z/last", "a/b", "openai/gpt-4o", "c/d", "e/f"];
    assert_eq!(read_any_llm(&any_llm(&ids)).unwrap(), ids);
}

fn catalogue(lists: PublicLists, change: impl FnOnce(&mut Changes)) -> Catalogue {
    let mut changes = Changes {
        builtin_aliases: true,
        lists: Arc::new(lists),
        ..Changes::default()
    };
    change(&mut changes);
    Catalogue::new(changes)
}

fn lists() -> PublicLists {
    PublicLists {
        any_llm: Some(vec!["openai/gpt-4o".to_owned(), "acme/both".to_owned()]),
        router: Some(read(&[
            "openai/gpt-4o",
            "openai/gpt-5",
            "acme/both",
            "acme/routed",
            "anthropic/claude-3.5-sonnet",
        ])),
    }
}

#[test]
fn a_list_brings_the_catalogue_up_to_date() {
    let catalogue = catalogue(lists(), |_| {});
    let of = |id: &str| catalogue.card(id).unwrap();
    let known = |model: &ModelInfo| (model.any_llm.is_served, model.router.is_served);
    assert_eq!(known(of("openai/gpt-4o")), (Some(true), Some(true)));
    assert_eq!(known(of("acme/both")), (Some(true), Some(true)));
    assert_eq!(known(of("acme/routed")), (Some(false), Some(true)));
    assert_eq!(known(of("openai/o3")), (Some(false), Some(false)));
    // The list's word on a model wins, what it does not tell stays.
    assert_eq!(of("openai/gpt-4o").supports(Parameter::Stop), Some(false));
    assert_eq!(of("openai/gpt-4o").any_llm.premium, Some(true));
    assert_eq!(of("openai/gpt-4o").context_length, Some(128_000));
    assert_eq!(of("acme/both").any_llm.premium, None);
    // What vanished is taken, and not shown; what is back is shown.
    assert!(!of("openai/o3").is_listed && of("anthropic/claude-3.5-sonnet").is_listed);
    assert!(catalogue.resolve(Some("openai/o3")).is_ok());
    // A name that meant something still means it.
    assert_eq!(of("gpt-5").id, "openai/gpt-5-chat");
    assert_eq!(of("routed").id, "acme/routed");
}

#[test]
fn what_is_hidden_or_refused_stays_so_whatever_the_lists_say() {
    let hiding = catalogue(lists(), |changes| {
        changes.hide = vec!["acme/routed".to_owned(), "openai/GPT-4o".to_owned()];
    });
    let refusing = catalogue(lists(), |changes| changes.refuse_unknown = true);
    for (catalogue, name) in [
        (&hiding, "acme/routed"),
        (&hiding, "routed"),
        (&hiding, "openai/gpt-4o"),
        (&refusing, "acme/routed"),
        (&refusing, "acme/both"),
        (&refusing, "openai/gpt-5"),
    ] {
        assert!(catalogue.resolve(Some(name)).is_err(), "{name}");
    }
    assert!(refusing.resolve(Some("openai/gpt-4o")).is_ok());
    // What the operator says of a model wins over the lists.
    let added = catalogue(lists(), |changes| {
        changes.add = vec![ModelInfo::of_unknown("openai/gpt-4o")];
    });
    assert_eq!(added.card("openai/gpt-4o").unwrap().router.is_served, None);
}

#[test]
fn lists_are_kept_as_they_are_and_nothing_else_is_taken_for_them() {
    let text = serde_json::to_string(&lists()).unwrap();
    assert_eq!(serde_json::from_str::<PublicLists>(&text).unwrap(), lists());
    assert!(PublicLists::default().is_empty() && !lists().is_empty());
    for other in [
        "{\"any_llm\":null}",
        "{\"any_llm\":[1],\"router\":null}",
        "{\"x\":1}",
        "[]",
    ] {
        let read = serde_json::from_str::<PublicLists>(other);
        assert!(read.is_err() || read.unwrap().is_empty(), "{other}");
    }
}

#[test]
fn a_recording_has_the_price_that_the_list_names_for_it() {
    let mut entries = six();
    entries[0]["pricing"]["audio"] = "0.00001".into();
    entries[1]["pricing"]["audio"] = "dear".into();
    let models = read_openrouter(&list(&entries)).unwrap();
    let price = |id: &str| {
        let model = models.iter().find(|model| model.id == id).unwrap();
        model.router().price.unwrap()
    };
    assert_eq!(price("b/two").audio.unwrap().to_string(), "0.00001");
    assert_eq!(price("b/two").of_media().to_string(), "0.00001");
    assert_eq!(price("a/one").audio, None);
    assert_eq!(price("a/one").of_media(), price("a/one").prompt);
    // What was kept before there were such prices is read all the same.
    let kept = serde_json::to_value(&models[0]).unwrap();
    assert!(kept.get("audio_price").is_none(), "{kept}");
    assert_eq!(
        serde_json::from_value::<ListedModel>(kept).unwrap(),
        models[0]
    );
}

/// A model of which a list says that it takes in nothing could not be asked anything.
#[test]
fn a_length_that_cannot_be_is_not_known() {
    for (length, known) in [
        (json!(0), None),
        (json!(1), None),
        (json!(-1), None),
        (json!(2048), Some(2048)),
    ] {
        let mut entries = six();
        entries[0]["context_length"] = length.clone();
        let router = read_openrouter(&list(&entries)).unwrap();
        let lists = PublicLists {
            any_llm: None,
            router: Some(router),
        };
        let catalogue = Catalogue::new(Changes {
            lists: Arc::new(lists),
            ..Changes::default()
        });
        let card = catalogue.card("b/two").unwrap();
        assert_eq!(card.context_length, known, "{length}");
        assert_eq!(card.router.context_length, known, "{length}");
    }
}
