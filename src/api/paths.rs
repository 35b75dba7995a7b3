//! Which route a path means. Each route has one spelling, so that whoever guards paths in front of
//! the gateway sees what is meant here. Only what is all about being called is also served with a
//! slash at its end, and the completions are where a base URL went wrong in other ways, too.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HOST, HeaderMap, HeaderName};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use super::connection::is_secure;
use super::context::Context;
use super::error::ApiError;
use crate::console::assets;
use crate::translate::face::chat::Chat;
use crate::translate::face::completions::Completions;
use crate::translate::face::messages::Messages;
use crate::translate::face::responses::Responses;
use crate::translate::face::{Face, WrittenProblem};
use crate::translate::problem::{Problem, ProblemKind};

/// Where requests of the public APIs are sent to, in the order in which a wrong base URL is searched
/// for them. A new API adds a row here, and a line to the routes.
static ENTRANCES: [Entrance; 6] = [
    Entrance::of::<Chat>("/v1/chat/completions", "chat").found_elsewhere(),
    Entrance::of::<Completions>("/v1/completions", "completions").found_elsewhere(),
    Entrance::of::<Messages>("/v1/messages", "messages").found_elsewhere(),
    Entrance::of::<Messages>("/v1/messages/count_tokens", "count_tokens").found_elsewhere(),
    Entrance::of::<Responses>("/v1/responses", "responses"),
    Entrance::of::<Responses>("/v1/responses/input_tokens", "input_tokens"),
];

/// A path to which requests of a public API are sent, with a body.
struct Entrance {
    path: &'static str,
    label: &'static str,
    manner: Manner,
    /// Whether it is served where a base URL went wrong, too.
    is_found_elsewhere: bool,
}

impl Entrance {
    const fn of<F: Face>(path: &'static str, label: &'static str) -> Self {
        Self {
            path,
            label,
            manner: Manner::of::<F>(),
            is_found_elsewhere: false,
        }
    }

    const fn found_elsewhere(self) -> Self {
        Self {
            is_found_elsewhere: true,
            ..self
        }
    }

    fn at(path: &str) -> Option<&'static Self> {
        ENTRANCES.iter().find(|entrance| entrance.path == path)
    }

    /// Whether the words of a path, without `v1`, are those that a client adds to a base URL, once or
    /// more often.
    fn is_meant_by(&self, words: &[&str]) -> bool {
        let tail: Vec<&str> = self.path.split('/').skip(2).collect();
        self.is_found_elsewhere && words.chunks(tail.len()).all(|chunk| chunk == tail)
    }
}

/// More segments than any mistake has.
const MAX_SEGMENTS: usize = 12;

/// The path that is meant by one that a wrong base URL has led to: with a slash too many, without
/// `/v1` or with two, or with the path in it already. `None` for the paths that are served, and
/// for all that is not recognized.
fn meant(method: &Method, path: &str) -> Option<&'static str> {
    if *method != Method::POST || Entrance::at(path).is_some_and(|at| at.is_found_elsewhere) {
        return None;
    }
    if let Some(entrance) = Entrance::at(path.trim_end_matches('/')) {
        return (entrance.path != path).then_some(entrance.path);
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments: Vec<&str> = segments.take(MAX_SEGMENTS).collect();
    let words: Vec<&str> = segments
        .iter()
        .copied()
        .filter(|word| *word != "v1")
        .collect();
    if words.is_empty() || segments.len() == MAX_SEGMENTS {
        return None;
    }
    let mut entrances = ENTRANCES.iter();
    entrances
        .find(|entrance| entrance.is_meant_by(&words))
        .map(|entrance| entrance.path)
}

/// The model that a path names, as Azure's do: `/openai/deployments/MODEL/chat/completions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment(pub String);

impl Deployment {
    /// The model that a path names, its slash written as it is or as `%2F`.
    fn of_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/openai/deployments/")?;
        let model = rest.strip_suffix("/chat/completions")?;
        let model = model.replace("%2F", "/").replace("%2f", "/");
        (!model.is_empty()).then_some(Self(model))
    }
}

/// Leads a request to the path that it means.
pub fn correct(request: &mut ServiceRequest) {
    let is_post = *request.method() == Method::POST;
    let deployment = Deployment::of_path(request.path()).filter(|_| is_post);
    let meant = match deployment {
        Some(_) => Some("/v1/chat/completions"),
        None => meant(request.method(), request.path()),
    };
    let Some(path) = meant else {
        return;
    };
    if let Some(deployment) = deployment {
        request.extensions_mut().insert(deployment);
    }
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
    if let Some(entrance) = Entrance::at(path) {
        return entrance.label;
    }
    match path {
        "/v1/conversations" => "conversations",
        "/v1/models" => "models",
        "/v1/key" => "key",
        "/healthz" | "/livez" | "/readyz" => "health",
        "/metrics" => "metrics",
        path if path.starts_with("/admin/") || path.starts_with("/v1/organization/") => "admin",
        path if assets::is_console(path) => "console",
        path if path.starts_with("/v1/conversations/") => "conversations",
        path if path.starts_with("/v1/chat/completions/") => "stored_chat",
        path if path.len() > "/v1/models/".len() && path.starts_with("/v1/models/") => "models",
        _ => "other",
    }
}

/// Whether a route, by its label, takes a body under `POST`, asks for a key before it reads it, and gets
/// its place when it is there.
pub fn takes_body(label: &str) -> bool {
    let is_entrance = ENTRANCES.iter().any(|entrance| entrance.label == label);
    is_entrance || matches!(label, "conversations" | "stored_chat")
}

/// What is known of an API before anything of a request is read.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Writes a problem, with what the request goes by.
    pub problem: fn(&Problem, &str) -> WrittenProblem,
    /// The header for what the request goes by, besides `x-request-id`.
    pub request_id: &'static str,
}

impl Manner {
    const fn of<F: Face>() -> Self {
        Self {
            problem: F::problem,
            request_id: F::REQUEST_ID,
        }
    }

    /// The manner of the API that a path belongs to. Where several APIs have a path, the headers of
    /// a client tell which one it speaks; where none has it, too, and chat is the last resort.
    pub fn of_request(path: &str, headers: &HeaderMap) -> Self {
        match Entrance::at(path) {
            Some(entrance) => entrance.manner,
            _ if path.starts_with("/v1/messages/") || speaks_messages(headers) => {
                Self::of::<Messages>()
            }
            _ => Self::of::<Chat>(),
        }
    }
}

/// Whether a client speaks Anthropic's API, whose version it names in every request.
pub fn speaks_messages(headers: &HeaderMap) -> bool {
    const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
    headers.contains_key(VERSION)
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

/// The answer to a path that is not served where only operators are.
///
/// # Errors
/// Always.
pub async fn only_operators(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(not_found(
        &request,
        "Only /admin/v1 and /v1/organization are served here.",
    ))
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
        _ if is_secure(request) => "https",
        _ => "http",
    };
    match text(HOST.as_str()).filter(is_host) {
        Some(host) => format!("{scheme}://{host}/v1"),
        None => format!("{scheme}://{}/v1", context.snapshot.config.server.listen),
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
            ("/v1/v1/messages", "/v1/messages"),
            ("/messages", "/v1/messages"),
            ("/v1/messages/", "/v1/messages"),
            ("/v1/v1/messages/count_tokens", "/v1/messages/count_tokens"),
            ("/v1/responses/", "/v1/responses"),
            ("/v1/responses/input_tokens/", "/v1/responses/input_tokens"),
        ] {
            assert_eq!(meant(&Method::POST, path), Some(expected), "{path}");
            assert_eq!(meant(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn a_path_of_azures_names_its_model() {
        let model = |path| Deployment::of_path(path).map(|Deployment(model)| model);
        for path in [
            "/openai/deployments/openai/gpt-4o/chat/completions",
            "/openai/deployments/openai%2Fgpt-4o/chat/completions",
        ] {
            assert_eq!(model(path).as_deref(), Some("openai/gpt-4o"), "{path}");
        }
        for path in [
            "/openai/deployments//chat/completions",
            "/openai/deployments/chat/completions",
            "/openai/deployments/gpt-4o/embeddings",
            "/v1/openai/deployments/gpt-4o/chat/completions",
        ] {
            assert_eq!(model(path), None, "{path}");
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        let long = "/chat/completions".repeat(9);
        for path in [
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/messages",
            "/v1/messages/count_tokens",
            "/v1/messages/batches",
            "/v1/responses",
            "/v1/responses/resp_1/",
            "/responses",
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
