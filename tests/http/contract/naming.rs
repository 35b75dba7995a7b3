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
