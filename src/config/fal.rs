//! How the gateway reaches fal.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::egress::{CaFile, Proxy};
use super::kinds::{
    AppPath, BaseUrl, CaPath, Choice, Count, FalKey, FilePath, Optional, ProxyAddress, Size, Span,
    Switch,
};
use super::settings::settings;

/// What the gateway writes behind the path of each application.
const BEHIND_ANY_LLM: &[&str] = &["/stream", "/enterprise", "/vision"];
const BEHIND_ROUTER: &[&str] = &["/stream", "/enterprise", "/vision", "/audio", "/video"];
const BEHIND_OPENAI: &[&str] = &["/chat/completions"];

settings! {
    /// How the gateway reaches fal, and how patient it is with it.
    pub struct Fal in "fal" {
        /// Base URL of fal's synchronous and streaming endpoints.
        url: Url, BaseUrl, default "https://fal.run", flag "--fal-url", reload restart;
        /// Base URL of fal's queue, which works on responses that are made in the background.
        queue_url: Url, BaseUrl, default "https://queue.fal.run", flag "--fal-queue-url", reload restart;
        /// Base URL of fal's storage and account endpoints.
        rest_url: Url, BaseUrl, default "https://rest.fal.ai", flag "--fal-rest-url", reload restart;
        /// Base URL of fal's platform API, which tells what models there are and, to an admin key,
        /// what is left of the account's money.
        platform_url: Url, BaseUrl, default "https://api.fal.ai/v1", reload restart;
        /// Through which of fal's applications models are asked: `any-llm` takes a prompt and is paid
        /// for by the request; `router` takes a prompt, any model of OpenRouter's, and is paid for by
        /// the token, which it tells; `router-openai` takes messages, tools and schemas as they are
        /// and is paid for by the token. `auto` takes for each request the one that keeps most of it
        /// as it is, and says which and why in `x-gateway-upstream`.
        upstream: Upstream, Choice(Upstream::WORDS), default "any-llm", flag "--fal-upstream", reload live;
        /// What decides under `fal.upstream = "auto"` where no upstream would lose anything of a
        /// request: `native` takes the one that takes most of it as it is and tells the cost, `cost`
        /// the one that is likely to be cheaper, `flat` any-llm, whose price is known beforehand.
        prefer: Prefer, Choice(Prefer::WORDS), default "native", reload live;
        /// What happens once fal no longer has any-llm: `router` has `openrouter/router` answer, at
        /// its price for each token, `refuse` answers with an error. It holds for fal's own any-llm
        /// alone, not for another `fal.app`.
        when_gone: WhenGone, Choice(WhenGone::WORDS), default "router", reload live;
        /// Let callers choose the upstream of a request with the header `x-gateway-upstream`.
        allow_upstream_header: bool, Switch, default "false", reload live;
        /// Let fal keep what is sent and answered, as it does for 30 days where nobody objects. A
        /// caller objects for one request with `store: false`.
        store_io: bool, Switch, default "true", reload live;
        /// The fal app that answers where `fal.upstream` is `any-llm`.
        app: String, AppPath(BEHIND_ANY_LLM), default "fal-ai/any-llm", flag "--fal-app", reload restart;
        /// The app that answers where `fal.upstream` is `router`.
        router_app: String, AppPath(BEHIND_ROUTER), default "openrouter/router", reload restart;
        /// The app with an OpenAI face that answers where `fal.upstream` is `router-openai`, up to
        /// what `/chat/completions` follows.
        openai_app: String, AppPath(BEHIND_OPENAI), default "openrouter/router/openai/v1", reload restart;
        /// The fal key every request is billed to. Without one, each client sends its own fal key
        /// as its OpenAI key. `FAL_KEY`, or `FAL_KEY_ID` with `FAL_KEY_SECRET`, sets it too.
        key: Option<SecretString>, Optional(FalKey), reload live;
        /// File that holds the fal key, instead of `fal.key`; relative to the working directory.
        key_file: Option<PathBuf>, Optional(FilePath), reload live;
        /// A key of the account with the scope ADMIN, to which fal tells the balance: for the metric
        /// and for `fal-gateway doctor`. No call is ever made with it.
        admin_key: Option<SecretString>, Optional(FalKey), reload live;
        /// HTTP proxy through which fal is reached, with its port, such as
        /// `http://user:password@proxy.example.com:3128`, or `env` for what `HTTPS_PROXY` and
        /// `NO_PROXY` say. Without it, those variables are not read.
        proxy: Option<Proxy>, Optional(ProxyAddress), reload restart;
        /// File with certificates in PEM form, in which a proxy's or a company's authority is
        /// trusted besides the system's; relative to the working directory.
        ca_file: Option<CaFile>, Optional(CaPath), reload restart;
        /// Time to connect: name look-up, TCP and TLS together.
        connect_timeout: Duration, Span("1ms", "1h"), default "5s", reload restart;
        /// How often connecting is tried; a request that may have reached fal is never repeated.
        connect_attempts: usize, Count(1, 10), default "2", reload restart;
        /// Time until fal's first byte. Unset means 120 seconds for a stream and 600 seconds for
        /// a whole answer; when set, it holds for both.
        first_byte_timeout: Option<Duration>, Optional(Span("1ms", "24h")), reload live;
        /// Longest silence inside an answer.
        idle_timeout: Duration, Span("1ms", "24h"), default "60s", reload restart;
        /// Longest time one request to fal may take in all.
        total_timeout: Duration, Span("1ms", "24h"), default "30m", reload live;
        /// Largest single event of a stream in bytes.
        max_event: usize, Size("1", "1GiB"), default "4MiB", reload live;
        /// Largest whole answer in bytes.
        max_answer: usize, Size("1", "1GiB"), default "16MiB", reload live;
        /// Idle connections to fal that each worker keeps.
        pool_idle: usize, Count(0, 10_000), default "64", reload restart;
        /// Time after which an idle connection to fal is closed.
        pool_idle_timeout: Duration, Span("1ms", "1h"), default "20s", reload restart;
        /// What a stream becomes that ends cleanly but without fal's closing event: `error` tells
        /// the client that the answer may be cut, `accept` takes it as complete.
        missing_final: MissingFinal, Choice(MissingFinal::WORDS), default "error", reload live;
        /// Use the app's `/enterprise` endpoint, which takes no images and no audio.
        enterprise: bool, Switch, default "false", reload live;
    }
}

/// Which of fal's applications answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    AnyLlm,
    Router,
    RouterOpenai,
    /// The one that fits the request.
    Auto,
}

impl Upstream {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("any-llm", Self::AnyLlm),
        ("router", Self::Router),
        ("router-openai", Self::RouterOpenai),
        ("auto", Self::Auto),
    ];
}

/// What decides between upstreams that would lose nothing of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    Native,
    Cost,
    Flat,
}

impl Prefer {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("native", Self::Native),
        ("cost", Self::Cost),
        ("flat", Self::Flat),
    ];
}

/// What happens once fal no longer has any-llm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenGone {
    /// The router answers.
    Router,
    /// The caller gets an error.
    Refuse,
}

impl WhenGone {
    const WORDS: &'static [(&'static str, Self)] =
        &[("router", Self::Router), ("refuse", Self::Refuse)];
}

/// What a stream becomes that ends without fal's closing event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingFinal {
    /// The answer counts as complete.
    Accept,
    /// The client gets an error, because the answer may be cut.
    Error,
}

impl MissingFinal {
    const WORDS: &'static [(&'static str, Self)] =
        &[("accept", Self::Accept), ("error", Self::Error)];
}
