//! Which names of models are served and listed: hidden ones nowhere, and others in any spelling.

use serde_json::{Value, json};

use crate::harness::{Gateway, asking, send, with};

fn ids(list: &Value) -> Vec<String> {
    let models = list["data"].as_array().unwrap().iter();
    models
        .flat_map(|model| [&model["id"], &model["alias_of"]])
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[actix_web::test]
async fn a_hidden_model_is_served_and_listed_nowhere() {
    const HIDDEN: &str = "openai/gpt-4o";
    let world = Gateway::open(
        "[models]\nhide = [\"openai/gpt-4o\"]\naliases = { best = \"openai/gpt-4o\" }\n\
         [models.fallbacks]\n\"openai/gpt-4o-mini\" = [\"openai/gpt-4o\"]\n",
    );
    for name in [
        HIDDEN,
        "OpenAI/GPT-4o",
        "gpt-4o",
        "best",
        "openai/gpt-4o-2024-08-06",
    ] {
        let answer = send(world.chat(&with(asking("hi"), json!({"model": name})))).await;
        assert_eq!(answer.status, 404, "{name}: {:?}", answer.body);
        let prompt = json!({"model": name, "prompt": "hi"});
        let answer = send(world.post("/v1/completions", &prompt)).await;
        assert_eq!(answer.status, 404, "{name}: {:?}", answer.body);
        let answer = send(world.chat(&with(asking("hi"), json!({"models": [name]})))).await;
        assert_eq!(answer.status, 404, "{name}: {:?}", answer.body);
        let answer = world.get(&format!("/v1/models/{name}")).await;
        assert_eq!(answer.status, 404, "{name}: {:?}", answer.body);
    }
    assert_eq!(world.asked().await, [], "nothing of that reaches fal");
    // fal's refusal of a name that it does not know lists all that it has.
    let unknown = with(asking("hi"), json!({"model": "acme/none"}));
    assert_eq!(send(world.chat(&unknown)).await.status, 404);
    let listed = ids(&world.get("/v1/models").await.json());
    assert!(!listed.iter().any(|id| id == HIDDEN), "{listed:?}");
    assert_eq!(world.get("/v1/models/openai%2Fgpt-4o").await.status, 404);
    let answer = send(world.chat(&asking("hi"))).await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn a_name_in_another_spelling_is_explained_as_it_is_served() {
    let world = Gateway::open("");
    for (name, id) in [
        ("OpenAI/GPT-4o-mini", "openai/gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
    ] {
        let body = with(asking("hi"), json!({"model": name}));
        let explained = send(world.chat(&body).header("x-gateway-explain", "true")).await;
        assert_eq!(explained.json()["model"], id);
        let answer = send(world.chat(&body)).await;
        assert_eq!((answer.status, &answer.json()["model"]), (200, &json!(id)));
        let model = world.get(&format!("/v1/models/{name}")).await.json();
        assert_eq!(model["id"], id);
    }
}

#[actix_web::test]
async fn the_list_tells_by_model_what_it_takes_and_costs() {
    let world = Gateway::open(
        "[[models.add]]\nid = \"acme/thinker\"\nreasoning = true\npremium = true\ncontext_length = 5\n",
    );
    let list = world.get("/v1/models").await.json();
    let of = |id: &str| {
        let models = list["data"].as_array().unwrap();
        let model = models.iter().find(|model| model["id"] == id);
        model.unwrap_or_else(|| panic!("{id} is listed")).clone()
    };
    let parameters = |model: &Value| model["supported_parameters"].as_array().unwrap().clone();
    let (blind, thinker) = (of("openai/gpt-4o-mini"), of("acme/thinker"));
    let pricing = |request: &str| json!({"prompt": "0", "completion": "0", "request": request});
    assert_eq!(blind["pricing"], pricing("0.001"));
    assert_eq!(thinker["pricing"], pricing("0.01"));
    assert_eq!(thinker["context_length"], 5);
    assert_eq!(blind["architecture"]["modality"], "text->text");
    let seeing = of("openai/gpt-4o");
    assert_eq!(seeing["architecture"]["modality"], "text+image->text");
    assert_eq!(
        seeing["architecture"]["input_modalities"],
        json!(["text", "image"])
    );
    for (model, reasons) in [(&blind, false), (&thinker, true)] {
        let parameters = parameters(model);
        assert_eq!(parameters.contains(&json!("reasoning")), reasons);
        assert!(parameters.contains(&json!("structured_outputs")));
        assert!(parameters.contains(&json!("tools")));
        assert!(
            !parameters.contains(&json!("seed")),
            "it would have no effect"
        );
    }
}

#[actix_web::test]
async fn what_openrouter_has_dropped_is_served_and_listed_only_where_it_was_named() {
    const DROPPED: &str = "anthropic/claude-3.5-sonnet";
    let world = Gateway::open("");
    let listed = ids(&world.get("/v1/models").await.json());
    assert!(!listed.iter().any(|id| id.contains("claude-3.5-sonnet")));
    let asked = with(asking("hi"), json!({"model": DROPPED}));
    assert_eq!(send(world.chat(&asked)).await.status, 200);
    assert_eq!(
        world.get(&format!("/v1/models/{DROPPED}")).await.status,
        200
    );
    for settings in [
        format!("[models]\naliases = {{ writer = \"{DROPPED}\" }}\n"),
        format!("[models]\ndefault = \"{DROPPED}\"\n"),
        format!("[[models.add]]\nid = \"{DROPPED}\"\n"),
    ] {
        let world = Gateway::open(&settings);
        let listed = ids(&world.get("/v1/models").await.json());
        assert!(listed.iter().any(|id| id == DROPPED), "{settings}");
    }
}

#[actix_web::test]
async fn the_list_speaks_of_the_upstream_that_answers() {
    let world = Gateway::open("[fal]\nupstream = \"router-openai\"\n");
    let list = world.get("/v1/models").await.json();
    let models = list["data"].as_array().unwrap();
    let of = |id: &str| models.iter().find(|model| model["id"] == id).unwrap();
    let mini = of("openai/gpt-4o-mini");
    let price = json!({"prompt": "0.00000015", "completion": "0.0000006", "request": "0"});
    assert_eq!(mini["pricing"], price);
    assert_eq!(mini["architecture"]["modality"], "text+image->text");
    assert_eq!(mini["premium"], Value::Null);
    assert_eq!(of("deepseek/deepseek-r1")["context_length"], 64_000);
    let takes = |id: &str, name: &str| {
        let parameters = of(id)["supported_parameters"].as_array().unwrap();
        parameters.contains(&json!(name))
    };
    assert!(takes("openai/gpt-4o-mini", "seed") && !takes("anthropic/claude-3-haiku", "seed"));
    assert!(
        takes("anthropic/claude-3-haiku", "top_k") && takes("anthropic/claude-3-haiku", "tools")
    );
    // Some models have no tools of their own, and are shown how to call.
    assert!(takes("meta-llama/llama-3.2-3b-instruct", "tools"));
}
