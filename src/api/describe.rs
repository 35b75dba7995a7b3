//! What the gateway says about itself: its API's description and a word of welcome.

use actix_web::HttpResponse;
use serde_json::json;

/// `openapi/openapi.yaml`, turned into JSON when the program is built.
pub const OPENAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

pub async fn openapi() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(OPENAPI_JSON)
}

/// What the gateway is, for programs.
pub fn welcome() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "name": "fal-gateway",
        "api": "/v1",
        "description": "/openapi.json",
    }))
}
