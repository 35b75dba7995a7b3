//! `api.fal.ai`, fal's platform API, and OpenRouter's public list of models, as far as programs ask
//! them about models and money.
//!
//! Sources: fal's platform OpenAPI document (`/v1/models`, `/v1/account/billing`) and OpenRouter's
//! `GET /api/v1/models`. fal's list can be read without a key, a balance by an admin key alone.

use serde_json::{Value, json};

use super::{
    http::call::{Call, Host, Whole},
    llm::{Variant, models},
    router::cards::{CARDS, Card, Reasoning},
    server::State,
};

/// Answers a call to the platform API or to OpenRouter.
pub(super) fn answer(state: &State, call: &Call) -> Whole {
    let segments = call.segments();
    match (call.host, call.method.as_str(), segments.as_slice()) {
        (Host::OpenRouter, "GET", ["api", "v1", "models"]) => Whole::json(
            200,
            &json!({ "data": CARDS.iter().map(listed).collect::<Vec<_>>() }),
        ),
        (Host::Platform, "GET", ["v1", "models"]) => endpoints(state, call),
        (Host::Platform, "GET", ["v1", "account", "billing"]) => billing(state, call),
        _ => refusal(404, "not_found", "The requested resource was not found"),
    }
}

fn refusal(status: u16, kind: &str, message: &str) -> Whole {
    Whole::json(
        status,
        &json!({ "error": { "type": kind, "message": message } }),
    )
}

/// The applications of ours among those that are asked for, or all of them.
fn endpoints(state: &State, call: &Call) -> Whole {
    if call.header("authorization").is_some() && state.keys.admit(call).is_err() {
        return refusal(401, "authorization_error", "Authentication is required");
    }
    let asked = call.query.iter().filter(|(name, _)| name == "endpoint_id");
    let asked: Vec<&str> = asked.map(|(_, id)| id.as_str()).collect();
    let expands = call.query.iter();
    let expands = expands
        .filter(|(name, _)| name == "expand")
        .flat_map(|(_, value)| value.split(','));
    let with_openapi = { expands }.any(|one| one == "openapi-3.0");
    let gone = &state.options.gone_apps;
    let known = [
        ("fal-ai/any-llm", "deprecated", Some(Variant::Plain)),
        ("fal-ai/any-llm/vision", "deprecated", Some(Variant::Vision)),
        (
            "fal-ai/any-llm/enterprise",
            "deprecated",
            Some(Variant::Enterprise),
        ),
        ("openrouter/router", "active", None),
        ("openrouter/router/vision", "active", None),
    ];
    let ours = known.into_iter().filter(|(id, ..)| {
        let is_gone = gone.iter().any(|gone| id.starts_with(gone.as_str()));
        !is_gone && (asked.is_empty() || asked.contains(id))
    });
    let models: Vec<Value> = ours
        .map(|(id, status, variant)| {
            let metadata = json!({
                "display_name": id,
                "category": "llm",
                "status": status,
                "tags": [],
                "model_url": format!("https://fal.run/{id}"),
                "stream_url": format!("https://fal.run/{id}/stream"),
                "kind": "inference",
            });
            match with_openapi {
                true => {
                    let openapi = openapi(variant);
                    json!({ "endpoint_id": id, "metadata": metadata, "openapi": openapi })
                }
                false => json!({ "endpoint_id": id, "metadata": metadata }),
            }
        })
        .collect();
    Whole::json(
        200,
        &json!({ "models": models, "next_cursor": null, "has_more": false }),
    )
}

/// The part of an application's OpenAPI document that lists its models; the router takes any name.
fn openapi(variant: Option<Variant>) -> Value {
    let model = match variant {
        Some(variant) => {
            let models: Vec<&str> = models(variant).collect();
            json!({ "title": "Model", "type": "string", "enum": models })
        }
        None => json!({ "title": "Model", "type": "string" }),
    };
    json!({
        "openapi": "3.0.4",
        "components": { "schemas": { "Input": {
            "type": "object",
            "required": ["prompt"],
            "properties": { "prompt": { "type": "string" }, "model": model },
        } } },
    })
}

/// The balance, for an admin key.
fn billing(state: &State, call: &Call) -> Whole {
    let shown = call.header("authorization").and_then(|text| {
        let (scheme, key) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("key").then_some(key.trim())
    });
    let admin = state.options.admin_key.as_deref();
    match shown {
        None => refusal(401, "authorization_error", "Authentication is required"),
        Some(key) if admin != Some(key) => {
            refusal(403, "authorization_error", "Admin permissions are required")
        }
        Some(_) => {
            let credits = json!({ "current_balance": state.options.balance, "currency": "USD" });
            let account = match call.query("expand") {
                Some("credits") => json!({ "username": "emulated", "credits": credits }),
                _ => json!({ "username": "emulated" }),
            };
            Whole::json(200, &account)
        }
    }
}

/// A model as OpenRouter lists it.
fn listed(card: &Card) -> Value {
    let mut inputs = vec!["text"];
    let senses = [
        ("image", card.sees_images()),
        ("audio", card.hears()),
        ("video", card.sees_video()),
    ];
    inputs.extend(senses.iter().filter(|(_, can)| *can).map(|(name, _)| name));
    let thinks = card.reasoning != Reasoning::Never;
    let parameters = [
        ("max_tokens", true),
        ("temperature", true),
        ("reasoning", thinks),
        ("include_reasoning", thinks),
        ("tools", card.calls_tools()),
        ("tool_choice", card.calls_tools()),
        ("response_format", card.takes_schemas()),
        ("structured_outputs", card.takes_schemas()),
        ("stop", card.stops()),
    ];
    let taken = parameters.iter().filter(|(_, takes)| *takes);
    json!({
        "id": card.id,
        "name": card.id,
        "created": 1_760_659_200,
        "context_length": card.context,
        "architecture": {
            "modality": format!("{}->text", inputs.join("+")),
            "input_modalities": inputs,
            "output_modalities": ["text"],
        },
        "pricing": {
            "prompt": dollars(card.price_in),
            "completion": dollars(card.price_out),
        },
        "top_provider": { "context_length": card.context },
        "supported_parameters": taken.map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

/// Billionths of a dollar as OpenRouter writes prices.
fn dollars(billionths: u64) -> String {
    let text = format!("0.{billionths:09}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}
