//! The errors of fal that can be asked for by name: one table, texts included.
//!
//! Sources: fal docs, pages "errors", "request errors", "concurrency limits" and "platform
//! headers"; fal's open-source SDK for the texts its apps send; live error bodies that users have
//! published. Where only the kind of an error is known, its text is pydantic's or our guess.

use serde_json::{Value, json};

use super::call::Whole;
use crate::emulator::llm::{Variant, options_text};

/// One kind of error.
#[derive(Debug)]
pub struct Kind {
    /// The name in `error:NAME`.
    pub name: &'static str,
    /// The status it comes under.
    pub status: u16,
    pub(in crate::emulator) sender: Sender,
    headers: &'static [(&'static str, &'static str)],
    /// `$APP`, `$MODEL` (JSON), `$MODELS` and `$INPUT` (JSON) stand for what was asked.
    body: &'static str,
}

/// Who sends an error; it decides when, and with which headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Sender {
    /// The platform, before the call is queued.
    Door,
    /// The app or its runner: a queued call gets it as its result.
    App,
    /// The web server in front, which knows no request ids.
    Ingress,
}

/// What the texts of an error mention.
pub(in crate::emulator) struct Mention<'a> {
    pub(in crate::emulator) app: &'a str,
    pub(in crate::emulator) variant: Variant,
    pub(in crate::emulator) input: &'a Value,
}

const fn kind(name: &'static str, status: u16, sender: Sender, body: &'static str) -> Kind {
    Kind {
        name,
        status,
        sender,
        headers: &[],
        body,
    }
}

const fn headed(
    name: &'static str,
    status: u16,
    sender: Sender,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
) -> Kind {
    Kind {
        name,
        status,
        sender,
        headers,
        body,
    }
}

/// A runner's error: the type stands in the body and in a header.
macro_rules! platform {
    ($name:literal, $status:literal, $error_type:literal, $detail:literal) => {
        headed(
            $name,
            $status,
            Sender::App,
            &[("x-fal-error-type", $error_type)],
            concat!(
                r#"{"detail":""#,
                $detail,
                r#"","error_type":""#,
                $error_type,
                r#""}"#
            ),
        )
    };
}

/// A typed error of a model, in the shape of a validation error.
macro_rules! typed {
    ($name:literal, $status:literal, $type:literal, $loc:literal, $msg:literal, $ctx:literal, $retryable:literal) => {
        headed(
            $name,
            $status,
            Sender::App,
            &[("x-fal-retryable", $retryable)],
            concat!(
                r#"{"detail":[{"loc":"#,
                $loc,
                r#","msg":""#,
                $msg,
                r#"","type":""#,
                $type,
                r#"","url":"https://docs.fal.ai/errors/#"#,
                $type,
                r#"","input":$INPUT"#,
                $ctx,
                "}]}"
            ),
        )
    };
}

use Sender::{App, Door, Ingress};

const CONCURRENT: &str = r#"{"detail":"Reached concurrent requests limit of 2","type":"concurrent_requests_limit","data":{"limit":2,"current":2}}"#;
const NGINX_502: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
const NGINX_503: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
const NGINX_504: &str = "<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
const HTML: (&str, &str) = ("content-type", "text/html");
const NEEDS_RETRY: (&str, &str) = ("x-fal-needs-retry", "1");
const FREE: (&str, &str) = ("x-fal-billable-units", "0");

/// Every kind of error, in the order a call can meet them.
#[rustfmt::skip]
pub static ERROR_KINDS: &[Kind] = &[
    // The key and the account.
    kind("key_malformed", 401, Door, r#"{"detail":"Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."}"#),
    kind("key_unknown", 401, Door, r#"{"detail":"No user found for Key ID and Secret"}"#),
    kind("no_key", 401, Door, r#"{"detail":"Cannot access application \"$APP\""}"#),
    kind("no_balance", 403, Door, r#"{"detail":"User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."}"#),
    kind("forbidden", 403, Door, r#"{"detail":"Access to application \"$APP\" is forbidden"}"#),
    // Where the call goes.
    kind("app_unknown", 404, Door, r#"{"detail":"Application \"any-llm\" not found"}"#),
    headed("path_unknown", 404, App, &[FREE], r#"{"detail":"Path /$APP not found"}"#),
    kind("request_unknown", 404, App, r#"{"status":"NOT_FOUND"}"#),
    headed("redirect", 302, Ingress, &[("location", "https://fal.ai/login")], ""),
    // Load.
    headed("rate_limit", 429, Door, &[NEEDS_RETRY], CONCURRENT),
    kind("rate_limit_200", 200, Door, CONCURRENT),
    kind("queue_full", 429, Door, r#"{"detail":"Queue is full: too many requests are waiting"}"#),
    // The input.
    headed("model_unknown", 422, App, &[FREE], r#"{"detail":[{"type":"literal_error","loc":["body","model"],"msg":"Input should be $MODELS","input":$MODEL,"ctx":{"expected":"$MODELS"}}]}"#),
    headed("prompt_missing", 422, App, &[FREE], r#"{"detail":[{"type":"missing","loc":["body","prompt"],"msg":"Field required","input":$INPUT}]}"#),
    headed("prompt_missing_v1", 422, App, &[FREE], r#"{"detail":[{"loc":["body","prompt"],"msg":"field required","type":"value_error.missing"}]}"#),
    headed("prompt_too_long", 422, App, &[FREE], r#"{"detail":[{"type":"string_too_long","loc":["body","prompt"],"msg":"String should have at most 5000 characters","input":"…","ctx":{"max_length":5000}}]}"#),
    headed("temperature_range", 422, App, &[FREE], r#"{"detail":[{"type":"less_than_equal","loc":["body","temperature"],"msg":"Input should be less than or equal to 2","input":2.5,"ctx":{"le":2.0}}]}"#),
    headed("wrong_type", 422, App, &[FREE], r#"{"detail":[{"type":"int_parsing","loc":["body","max_tokens"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"many"}]}"#),
    headed("not_json", 422, App, &[FREE], r#"{"detail":[{"type":"json_invalid","loc":["body",11],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]}"#),
    kind("bad_request", 400, App, r#"{"detail":"Bad request","error_type":"bad_request"}"#),
    typed!("content_policy", 422, "content_policy_violation", r#"["body","prompt"]"#, "The content could not be processed because it was flagged by a content checker.", "", "false"),
    typed!("image_download", 422, "file_download_error", r#"["body","image_urls",0]"#, "Failed to download the file. Please check if the URL is accessible and try again.", "", "false"),
    typed!("image_load", 422, "image_load_error", r#"["body","image_urls",0]"#, "Failed to load the image. Please ensure the image file is not corrupted and is in a supported format.", "", "false"),
    typed!("image_too_large", 422, "image_too_large", r#"["body","image_urls",0]"#, "Image dimensions are too large. Maximum dimensions are 8192x8192 pixels.", r#","ctx":{"max_height":8192,"max_width":8192}"#, "false"),
    typed!("image_too_small", 422, "image_too_small", r#"["body","image_urls",0]"#, "Image dimensions are too small. Minimum dimensions are 16x16 pixels.", r#","ctx":{"min_height":16,"min_width":16}"#, "false"),
    typed!("file_too_large", 422, "file_too_large", r#"["body","image_urls",0]"#, "File size exceeds the maximum allowed size of 10485760 bytes.", r#","ctx":{"max_size":10485760}"#, "false"),
    typed!("image_format", 422, "unsupported_image_format", r#"["body","image_urls",0]"#, "Unsupported image format.", r#","ctx":{"supported_formats":[".jpg",".png",".webp"]}"#, "false"),
    typed!("feature_not_supported", 422, "feature_not_supported", r#"["body"]"#, "The requested feature is not supported.", "", "false"),
    // The model's own provider, whose error the app wraps.
    kind("model_gone", 400, App, r#"{"detail":"Error code: 404 - {'error': {'message': 'No endpoints found for $NAME.', 'code': 404}, 'user_id': 'user_2emulator'}"}"#),
    kind("upstream_429", 400, App, r#"{"detail":"Error code: 429 - {'error': {'message': 'Provider returned error', 'code': 429, 'metadata': {'raw': 'temporarily rate-limited upstream', 'provider_name': 'Emulated'}}, 'user_id': 'user_2emulator'}"}"#),
    kind("upstream_context_length", 400, App, r#"{"detail":"Error code: 400 - {'error': {'message': \"This endpoint's maximum context length is 16385 tokens. However, you requested about 20015 tokens.\", 'code': 400}}"}"#),
    kind("upstream_402", 400, App, r#"{"detail":"Error code: 402 - {'error': {'message': 'Insufficient credits', 'code': 402}}"}"#),
    kind("upstream_502", 400, App, r#"{"detail":"Error code: 502 - {'error': {'message': 'Provider returned error', 'code': 502}}"}"#),
    typed!("downstream", 400, "downstream_service_error", r#"["body"]"#, "Downstream service error", "", "false"),
    typed!("downstream_500", 500, "downstream_service_error", r#"["body"]"#, "Downstream service error", "", "true"),
    typed!("downstream_unavailable", 500, "downstream_service_unavailable", r#"["body"]"#, "Downstream service unavailable", "", "true"),
    // The router, whose apps pass OpenRouter's words on.
    kind("reasoning_mandatory", 400, App, r#"{"detail":"Reasoning is mandatory and cannot be disabled"}"#),
    kind("model_invalid", 400, App, r#"{"detail":"$NAME is not a valid model ID"}"#),
    kind("provider_error", 400, App, r#"{"detail":"Provider returned error"}"#),
    kind("no_audio", 404, App, r#"{"detail":"No endpoints found that support input audio"}"#),
    kind("no_video", 404, App, r#"{"detail":"No endpoints found that support input video"}"#),
    kind("no_images", 404, App, r#"{"detail":"No endpoints found that support image input"}"#),
    kind("no_tools", 404, App, r#"{"detail":"No endpoints found that support tool use"}"#),
    kind("no_parameters", 404, App, r#"{"detail":"No endpoints found that can handle the requested parameters"}"#),
    kind("context_exceeded", 400, App, r#"{"detail":"This endpoint's maximum context length is 16385 tokens. However, you requested about 20015 tokens."}"#),
    // The app and its runner.
    kind("error_200", 200, App, r#"{"output":"","reasoning":null,"partial":false,"error":"Upstream provider failed to answer"}"#),
    kind("crash_500", 500, App, r#"{"detail":"Internal Server Error"}"#),
    typed!("internal_500", 500, "internal_server_error", r#"["body"]"#, "Internal server error", "", "false"),
    platform!("platform_500", 500, "internal_error", "Internal error"),
    platform!("runner_500", 500, "runner_server_error", "Runner server error"),
    platform!("runner_502", 502, "runner_incomplete_response", "Runner sent an incomplete response"),
    platform!("runner_503", 503, "runner_connection_error", "Failed to connect to the runner"),
    platform!("runner_refused", 503, "runner_connection_refused", "Runner refused the connection"),
    platform!("runner_disconnected", 503, "runner_disconnected", "Runner disconnected"),
    platform!("runner_connect_timeout", 503, "runner_connection_timeout", "Timed out connecting to the runner"),
    platform!("runner_scheduling", 503, "runner_scheduling_failure", "No runner could be scheduled"),
    platform!("timeout_504", 504, "request_timeout", "Request timed out"),
    platform!("startup_504", 504, "startup_timeout", "Runner startup timed out"),
    headed("user_timeout_504", 504, App, &[("x-fal-error-type", "request_timeout"), ("x-fal-request-timeout-type", "user")], r#"{"detail":"Request timed out","error_type":"request_timeout"}"#),
    typed!("generation_504", 504, "generation_timeout", r#"["body"]"#, "Generation timed out", "", "false"),
    platform!("client_disconnected", 499, "client_disconnected", "Client disconnected"),
    platform!("client_cancelled", 499, "client_cancelled", "Request was cancelled by the client"),
    // The web server in front.
    headed("nginx_502", 502, Ingress, &[HTML], NGINX_502),
    headed("nginx_503", 503, Ingress, &[HTML], NGINX_503),
    headed("nginx_504", 504, Ingress, &[HTML], NGINX_504),
    headed("html_200", 200, Ingress, &[HTML], "<!doctype html><title>fal</title><p>Sign in to continue</p>"),
    headed("empty_502", 502, Ingress, &[], ""),
    headed("no_content", 204, Ingress, &[], ""),
];

/// The kind called `name`; case does not matter.
pub(in crate::emulator) fn find(name: &str) -> Option<&'static Kind> {
    ERROR_KINDS
        .iter()
        .find(|kind| kind.name.eq_ignore_ascii_case(name))
}

impl Kind {
    /// The reply that fal would send.
    pub(in crate::emulator) fn reply(&self, mention: &Mention<'_>) -> Whole {
        let model = mention
            .input
            .get("model")
            .cloned()
            .unwrap_or(json!("google/gemini-2.5-flash-lite"));
        let model = model.to_string();
        let body = self
            .body
            .replace("$APP", mention.app)
            .replace("$MODELS", &options_text(mention.variant))
            .replace("$NAME", model.trim_matches('"'))
            .replace("$MODEL", &model)
            .replace("$INPUT", &mention.input.to_string());
        let anonymous = self.sender == Sender::Ingress;
        let mut whole = Whole {
            body: body.into(),
            anonymous,
            ..Whole::empty(self.status)
        };
        if !self.body.is_empty() && !self.headers.contains(&HTML) {
            whole = whole.with("content-type", "application/json");
        }
        self.headers
            .iter()
            .fold(whole, |whole, &(name, value)| whole.with(name, value))
    }
}
