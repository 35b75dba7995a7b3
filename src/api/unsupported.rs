//! OpenAI's other endpoints, which this gateway does not have: clients that ask for one are told
//! so, and what to use instead.

use std::future::ready;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};

use super::error::ApiError;
use crate::translate::problem::ProblemKind;

/// An endpoint, everything below its path included.
struct Endpoint {
    path: &'static str,
    /// Its name, as it begins a sentence.
    name: &'static str,
    /// A sentence about what to do without it.
    instead: &'static str,
}

const fn endpoint(path: &'static str, name: &'static str, instead: &'static str) -> Endpoint {
    Endpoint {
        path,
        name,
        instead,
    }
}

const USE_RESPONSES: &str =
    "Use POST /v1/responses, and continue a conversation with 'previous_response_id'.";
const USE_CHAT: &str = "Use POST /v1/chat/completions and keep the conversation on your side.";
const USE_FAL: &str = "fal has models for it; call them with fal's own client.";
const USE_REQUESTS: &str = "Send each request to POST /v1/chat/completions by itself.";

/// One whose path looks like that of a response.
const COMPACTION: Endpoint = endpoint(
    "/v1/responses/compact",
    "Compaction",
    "Ask for a summary of the conversation with POST /v1/responses, and go on from that.",
);

/// The endpoints. All methods are refused alike.
#[rustfmt::skip]
const ENDPOINTS: &[Endpoint] = &[
    endpoint("/v1/responses/{id}", "This part of the Responses API", USE_RESPONSES),
    endpoint("/v1/conversations/{id}", "This part of the Conversations API", USE_RESPONSES),
    endpoint("/v1/assistants", "The Assistants API", USE_CHAT),
    endpoint("/v1/threads", "The Assistants API", USE_CHAT),
    endpoint("/v1/realtime", "The Realtime API", "Use POST /v1/chat/completions with \"stream\": true."),
    endpoint("/v1/embeddings", "The Embeddings API", "No model here makes embeddings; configure another provider for them."),
    endpoint("/v1/moderations", "The Moderations API", "No model here classifies texts; configure another provider for it."),
    endpoint("/v1/audio", "The Audio API", USE_FAL),
    endpoint("/v1/images", "The Images API", USE_FAL),
    endpoint("/v1/videos", "The Videos API", USE_FAL),
    endpoint("/v1/files", "The Files API", "Put text into the messages, and images as image_url parts."),
    endpoint("/v1/uploads", "The Uploads API", "Put text into the messages, and images as image_url parts."),
    endpoint("/v1/vector_stores", "The Vector stores API", "Search on your side and put what was found into the messages."),
    endpoint("/v1/batches", "The Batch API", USE_REQUESTS),
    endpoint("/v1/fine_tuning", "The Fine-tuning API", "GET /v1/models lists the models that can be used."),
    endpoint("/v1/engines", "The Engines API", "GET /v1/models lists the models that can be used."),
    endpoint("/v1/messages/batches", "The Message Batches API", "Send each request to POST /v1/messages by itself."),
    endpoint("/v1/complete", "The Text Completions API", "Use POST /v1/messages."),
    endpoint("/v1/skills", "The Skills API", "Put what the model has to know into 'system'."),
    endpoint("/v1/sessions", "The Sessions API", "Use POST /v1/messages and keep the conversation on your side."),
    endpoint("/v1/agents", "The Agents API", "Use POST /v1/messages with 'tools'."),
    endpoint("/v1/fim/completions", "Fill-in-the-middle", "Switch completion in the editor off, or configure another provider for it."),
];

/// Registers what has to come before the routes that are served.
pub fn ahead(config: &mut ServiceConfig) {
    config.service(web::resource(COMPACTION.path).to(|| ready(COMPACTION.refuse())));
}

/// Registers every endpoint of the table.
pub fn routes(config: &mut ServiceConfig) {
    for endpoint in ENDPOINTS {
        let below = format!("{}/{{rest:.*}}", endpoint.path);
        let paths = [endpoint.path.to_owned(), below];
        config.service(web::resource(paths).to(|| ready(endpoint.refuse())));
    }
}

impl Endpoint {
    fn refuse(&self) -> Result<HttpResponse, ApiError> {
        let message = format!("{} is not available here. {}", self.name, self.instead);
        Err(ApiError::refusal(
            ProblemKind::NotFound,
            "unsupported_endpoint",
            message,
        ))
    }
}
