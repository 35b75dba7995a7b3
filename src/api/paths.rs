//! Which route a path means. Each route has one spelling, so that whoever guards paths in front of
//! the gateway sees what is meant here. Only the completions, which are all about being called,
//! are also served where a base URL went wrong.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::{HttpRequest, HttpResponse};

use super::context::Context;
use super::error::ApiError;
use crate::console::assets;
use crate::translate::face::chat::Chat;
use crate::translate::face::completions::Completions;
use crate::translate::face::{Face, WrittenProblem};
use crate::translate::problem::{Problem, ProblemKind};

/// What clients add to a base URL, and where that leads.
const TAILS: [(&[&str], &str); 2] = [
    (&["chat", "completions"], "/v1/chat/completions"),
    (&["completions"], "/v1/completions"),
];

/// More segments than any mistake has.
const MOST_SEGMENTS: usize = 12;

/// The path that is meant by one that a wrong base URL has led to: with a slash too many, without
/// `/v1` or with two, or with the path in it already. `None` for the paths that are served, and
/// for all that is not recognized.
fn meant(method: &Method, path: &str) -> Option<&'static str> {
    let is_served = TAILS.iter().any(|(_, served)| *served == path);
    if is_served || *method != Method::POST {
        return None;
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments: Vec<&str> = segments.take(MOST_SEGMENTS).collect();
    let words: Vec<&str> = segments
        .iter()
        .copied()
        .filter(|word| *word != "v1")
        .collect();
    let is_tail = |tail: &[&str]| {
        segments.len() < MOST_SEGMENTS
            && !words.is_empty()
            && words.chunks(tail.len()).all(|chunk| chunk == tail)
    };
    TAILS
        .iter()
        .find(|(tail, _)| is_tail(tail))
        .map(|(_, served)| *served)
}

/// Leads a request to the path that it means.
pub fn correct(request: &mut ServiceRequest) {
    let Some(path) = meant(request.method(), request.path()) else {
        return;
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(path));
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// Whether a path holds letters in a spelling that nobody needs (source: RFC 3986, 2.3). The
/// router would take them for the letters, and a proxy in front may not.
pub fn is_disguised(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    path.split('%').skip(1).any(|rest| {
        let code = rest
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        code.is_some_and(is_plain)
    })
}

/// A label for the route that a path leads to; bounded, whatever the path.
pub fn label(path: &str) -> &'static str {
    match path {
        "/v1/chat/completions" => "chat",
        "/v1/completions" => "completions",
        "/v1/models" => "models",
        "/healthz" | "/livez" | "/readyz" => "health",
        "/metrics" => "metrics",
        path if assets::is_console(path) => "console",
        path if path.len() > "/v1/models/".len() && path.starts_with("/v1/models/") => "models",
        _ => "other",
    }
}

/// How the API that a path belongs to writes problems, with the request's id. It is known before
/// anything else of a request is. Paths of no API speak as chat does.
pub fn problem_writer(path: &str) -> fn(&Problem, &str) -> WrittenProblem {
    match path {
        "/v1/completions" => Completions::problem,
        _ => Chat::problem,
    }
}

/// The answer to a path that is not served, in OpenAI's words.
///
/// # Errors
/// Always.
pub async fn unknown_url(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    Err(unknown(&request, &context))
}

/// The answer to a path that is not served.
pub fn unknown(request: &HttpRequest, context: &Context) -> ApiError {
    let cure = format!(
        "The base URL is {}; GET /openapi.json describes the API.",
        base_url(request, context)
    );
    not_found(request, &cure)
}

/// The answer to a path that is not served where only metrics are.
///
/// # Errors
/// Always.
pub async fn only_metrics(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(not_found(&request, "Only GET /metrics is served here."))
}

fn not_found(request: &HttpRequest, cure: &str) -> ApiError {
    let (method, path) = (request.method().as_str(), request.path());
    let shown = path.chars().filter(|letter| !letter.is_control());
    let shown: String = shown.take(128).collect();
    let message = format!("Invalid URL ({method} {shown}). {cure}");
    ApiError::refusal(ProblemKind::NotFound, "unknown_url", message)
}

/// The base URL for clients, under the name by which this one came.
fn base_url(request: &HttpRequest, context: &Context) -> String {
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let is_host = |host: &&str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        (1..=255).contains(&host.len()) && host.bytes().all(is_letter)
    };
    // A proxy in front may speak TLS for the gateway.
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    match text(HOST.as_str()).filter(is_host) {
        Some(host) => format!("{scheme}://{host}/v1"),
        None => format!("http://{}/v1", context.snapshot.config.server.listen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes_in_a_base_url_are_understood() {
        for (path, expected) in [
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("/v1//chat/completions", "/v1/chat/completions"),
            ("//v1/chat/completions", "/v1/chat/completions"),
            ("/chat/completions", "/v1/chat/completions"),
            ("/v1/v1/chat/completions", "/v1/chat/completions"),
            (
                "/v1/chat/completions/chat/completions",
                "/v1/chat/completions",
            ),
            (
                "/v1/chat/completions/v1/chat/completions/",
                "/v1/chat/completions",
            ),
            ("/completions", "/v1/completions"),
            ("/v1/completions/completions", "/v1/completions"),
        ] {
            assert_eq!(meant(&Method::POST, path), Some(expected), "{path}");
            assert_eq!(meant(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        let long = "/chat/completions".repeat(9);
        for path in [
            "/v1/chat/completions",
            "/v1/completions",
            "/",
            "/v1",
            "/v1/chat",
            "/v1/chat/completions/chat",
            "/v1/chat/completions/completions",
            "/v1/completions/chat/completions",
            "/v1/models/",
            "//metrics",
            "/v1/./chat/completions",
            "/v1/fim/completions",
            "/V1/chat/completions",
            &long,
        ] {
            assert_eq!(meant(&Method::POST, path), None, "{path}");
        }
    }

    #[test]
    fn only_letters_that_need_no_code_are_a_disguise() {
        for path in [
            "/%6detrics",
            "/metric%73",
            "/v1/%6Dodels",
            "/%2e%2e/",
            "/a%7E",
        ] {
            assert!(is_disguised(path), "{path}");
        }
        for path in [
            "/v1/models/openai%2Fgpt-4o",
            "/%",
            "/%6",
            "/%zz",
            "/%c3%a9",
            "/a b",
        ] {
            assert!(!is_disguised(path), "{path}");
        }
    }
}
