//! Through which upstream a request goes: what decides, and that a conversation stays where it is.

use proptest::prelude::*;
use serde_json::{Value, json};

use fal_gateway::translate::ask::Ask;
use fal_gateway::translate::face::chat::parse::parse;
use fal_gateway::translate::face::completions;
use fal_gateway::translate::fold::PromptLimits;
use fal_gateway::translate::plan::PlanLimits;
use fal_gateway::translate::routing::{
    Lost, Preference, Reason, Route, Routing, Rule, route, usual,
};
use fal_gateway::translate::upstream::UpstreamId::{self, AnyLlm, Router, RouterOpenai};

use crate::support::{CAPABILITIES, CATALOGUE, MESSAGE_LIMITS, cases};

const MINI: &str = "openai/gpt-4o-mini";
/// Served by any-llm, and by the router without tools.
const TOOLLESS: &str = "meta-llama/llama-4-maverick";

fn auto(preference: Preference) -> PlanLimits {
    PlanLimits {
        has_list_prices: true,
        routing: Routing {
            rule: Rule::Auto(preference),
            replaces_any_llm: true,
        },
        ..CAPABILITIES.clone()
    }
}

fn of(ask: &Ask<'_>, plan_limits: &PlanLimits) -> Route {
    let card = ask.model.as_deref().and_then(|name| CATALOGUE.find(name));
    route(ask, card, plan_limits)
}

fn chosen(body: &Value, plan_limits: &PlanLimits) -> Route {
    let body = body.to_string();
    let ask = parse(body.as_bytes(), &MESSAGE_LIMITS).unwrap();
    of(&ask, plan_limits)
}

fn asking(model: &str, fields: Value) -> Value {
    let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
    let fields = fields.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

fn tools() -> Value {
    json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }])
}

fn image() -> Value {
    json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,aGVsbG8=" } })
}

fn recording() -> Value {
    json!({ "type": "input_audio", "input_audio": { "data": "UklGRg==", "format": "wav" } })
}

fn video() -> Value {
    json!({ "type": "video_url", "video_url": { "url": "https://example.com/a.mp4" } })
}

fn turns(count: usize) -> Value {
    let turn = |at: usize| json!({ "role": (["user", "assistant"][at % 2]), "content": "Hi" });
    (0..count).map(turn).collect()
}

#[test]
fn what_a_request_needs_decides() {
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": { "type": "object" } } });
    let called = json!([
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c", "content": "1" },
    ]);
    let seen = json!([
        { "role": "user", "content": [image()] }, { "role": "assistant", "content": "A dog." },
        { "role": "user", "content": "And now?" },
    ]);
    let flat = auto(Preference::Flat);
    let nothing = json!({});
    let table = [
        (MINI, nothing.clone(), AnyLlm, Reason::Flat),
        (
            MINI,
            json!({ "tools": tools() }),
            RouterOpenai,
            Reason::Tools,
        ),
        (TOOLLESS, json!({ "tools": tools() }), AnyLlm, Reason::Flat),
        (
            MINI,
            json!({ "messages": called }),
            RouterOpenai,
            Reason::Tools,
        ),
        (
            MINI,
            json!({ "response_format": schema }),
            RouterOpenai,
            Reason::Format,
        ),
        (
            "google/gemini-2.5-flash",
            json!({ "messages": seen }),
            RouterOpenai,
            Reason::Images,
        ),
        // any-llm's is blind.
        (
            MINI,
            json!({ "messages": [{ "role": "user", "content": [image()] }] }),
            RouterOpenai,
            Reason::Images,
        ),
        (
            "openai/gpt-4o",
            json!({ "messages": [{ "role": "user", "content": [image()] }] }),
            AnyLlm,
            Reason::Flat,
        ),
        (
            "google/gemini-2.5-flash",
            json!({ "messages": [{ "role": "user", "content": [recording()] }] }),
            RouterOpenai,
            Reason::Audio,
        ),
        (
            "google/gemini-2.5-flash",
            json!({ "messages": [{ "role": "user", "content": [image(), video()] }] }),
            RouterOpenai,
            Reason::Video,
        ),
        (
            MINI,
            json!({ "messages": turns(3) }),
            RouterOpenai,
            Reason::Turns,
        ),
        (
            MINI,
            json!({ "messages": turns(2) }),
            RouterOpenai,
            Reason::Turns,
        ),
        (MINI, json!({ "top_p": 0.5 }), AnyLlm, Reason::Flat),
        // any-llm's list does not have it, the router takes any name.
        ("x-ai/grok-4", nothing.clone(), RouterOpenai, Reason::Model),
        // OpenRouter has dropped it.
        (
            "anthropic/claude-3.7-sonnet",
            json!({ "tools": tools() }),
            AnyLlm,
            Reason::Model,
        ),
    ];
    for (model, fields, upstream, because) in table {
        let route = chosen(&asking(model, fields.clone()), &flat);
        assert_eq!(
            (route.upstream, route.because),
            (upstream, Some(because)),
            "{model} {fields}"
        );
    }
    let strict = PlanLimits {
        strict: true,
        ..flat.clone()
    };
    let sampled = chosen(&asking(MINI, json!({ "top_p": 0.5 })), &strict);
    assert_eq!(
        (sampled.upstream, sampled.because),
        (RouterOpenai, Some(Reason::Sampling))
    );
    let room = PromptLimits {
        prompt: Some(10),
        ..PromptLimits::default()
    };
    let little = PlanLimits { room, ..flat };
    let long = json!({ "messages": [{ "role": "user", "content": "more than ten" }] });
    let long = chosen(&asking(MINI, long), &little);
    assert_eq!(
        (long.upstream, long.because),
        (RouterOpenai, Some(Reason::Length))
    );
}

#[test]
fn where_nothing_is_lost_the_preference_decides() {
    let table = [
        (
            Preference::Native,
            MINI,
            "Hi".to_owned(),
            RouterOpenai,
            Reason::Native,
        ),
        (
            Preference::Flat,
            MINI,
            "Hi".to_owned(),
            AnyLlm,
            Reason::Flat,
        ),
        // 0.0003 dollars by the token, against 0.001.
        (
            Preference::Cost,
            MINI,
            "Hi".to_owned(),
            RouterOpenai,
            Reason::Cost,
        ),
        // About 0.004 by the token, against 0.001.
        (
            Preference::Cost,
            MINI,
            "word ".repeat(25_000),
            AnyLlm,
            Reason::Cost,
        ),
        (
            Preference::Cost,
            "x-ai/grok-4",
            "Hi".to_owned(),
            RouterOpenai,
            Reason::Model,
        ),
    ];
    for (preference, model, text, upstream, because) in table {
        let body = asking(
            model,
            json!({ "messages": [{ "role": "user", "content": text }] }),
        );
        let route = chosen(&body, &auto(preference));
        assert_eq!(
            (route.upstream, route.because),
            (upstream, Some(because)),
            "{preference:?} {model}"
        );
    }
    let elsewhere = PlanLimits {
        has_list_prices: false,
        ..auto(Preference::Cost)
    };
    let route = chosen(&asking(MINI, json!({})), &elsewhere);
    assert_eq!(
        route.because,
        Some(Reason::Native),
        "another app has other prices"
    );
}

#[test]
fn a_text_to_go_on_with_is_sent_as_it_is() {
    let body = json!({ "model": MINI, "prompt": "Once" }).to_string();
    for (preference, upstream, because) in [
        (Preference::Native, Router, Reason::Text),
        (Preference::Cost, Router, Reason::Text),
        (Preference::Flat, AnyLlm, Reason::Flat),
    ] {
        let ask = completions::parse::parse(body.as_bytes(), &[]).unwrap().ask;
        let route = of(&ask, &auto(preference));
        assert_eq!((route.upstream, route.because), (upstream, Some(because)));
    }
}

#[test]
fn nothing_leaves_the_enterprise_endpoints() {
    for preference in PREFERENCES {
        let plan_limits = PlanLimits {
            enterprise: true,
            ..auto(preference)
        };
        for fields in [
            json!({}),
            json!({ "tools": tools() }),
            json!({ "messages": turns(5) }),
        ] {
            for model in [MINI, "deepseek/deepseek-r1", "x-ai/grok-4"] {
                let route = chosen(&asking(model, fields.clone()), &plan_limits);
                let around = [Lost::App, Lost::Model].map(|lost| route.around(lost));
                let all = around.into_iter().flatten().chain([route]);
                all.for_each(|route| assert!(route.upstream.features().enterprise, "{route:?}"));
            }
        }
        // any-llm has no enterprise endpoint for it.
        let route = chosen(&asking("deepseek/deepseek-r1", json!({})), &plan_limits);
        assert_eq!(route.upstream, Router);
    }
}

#[test]
fn there_is_one_way_round_what_does_not_serve_a_request() {
    let native = chosen(&asking(MINI, json!({})), &auto(Preference::Native));
    let [app, model] = [Lost::App, Lost::Model].map(|lost| native.around(lost).unwrap());
    assert_eq!((app.upstream, app.because), (Router, Some(Reason::Gone)));
    assert_eq!(
        (model.upstream, model.because),
        (AnyLlm, Some(Reason::Refused))
    );
    assert_eq!(app.around(Lost::App), None);

    let only = chosen(
        &asking("anthropic/claude-3.7-sonnet", json!({})),
        &auto(Preference::Native),
    );
    assert_eq!(only.around(Lost::App), None, "no other has the model");

    // One that is fixed is left only where fal no longer has any-llm, and where that may be; one that
    // a caller asked for is never left, since another has another price.
    for (replaces_any_llm, upstream, around) in [
        (true, AnyLlm, Some(Router)),
        (false, AnyLlm, None),
        (true, Router, None),
        (true, RouterOpenai, None),
    ] {
        for rule in [Rule::Fixed(upstream), Rule::Asked(upstream)] {
            let routing = Routing {
                rule,
                replaces_any_llm,
            };
            let route = chosen(
                &asking(MINI, json!({})),
                &PlanLimits {
                    routing,
                    ..CAPABILITIES.clone()
                },
            );
            let around = around.filter(|_| matches!(rule, Rule::Fixed(_)));
            assert_eq!(route.around(Lost::App).map(|route| route.upstream), around);
            assert_eq!(route.around(Lost::Model), None);
        }
    }
}

/// Whoever refuses to have any-llm replaced is not sent to a dearer upstream by a choice, either.
#[test]
fn a_gone_any_llm_that_may_not_be_replaced_is_left_for_no_other() {
    for (replaces_any_llm, around) in [(true, Some(RouterOpenai)), (false, None)] {
        let mut plan_limits = auto(Preference::Flat);
        plan_limits.routing.replaces_any_llm = replaces_any_llm;
        let route = chosen(&asking(MINI, json!({})), &plan_limits);
        assert_eq!(route.upstream, AnyLlm);
        assert_eq!(route.around(Lost::App).map(|route| route.upstream), around);
    }
}

#[test]
fn the_list_of_models_shows_what_a_plain_request_takes() {
    for (preference, model, upstream) in [
        (Preference::Native, MINI, RouterOpenai),
        (Preference::Flat, MINI, AnyLlm),
        (Preference::Native, "anthropic/claude-3.7-sonnet", AnyLlm),
    ] {
        let card = CATALOGUE.find(model).unwrap();
        assert_eq!(usual(card, &auto(preference)), upstream);
    }
}

const PREFERENCES: [Preference; 3] = [Preference::Native, Preference::Cost, Preference::Flat];

/// How much of a conversation an upstream takes as it is.
fn rank(upstream: UpstreamId) -> usize {
    [AnyLlm, Router, RouterOpenai]
        .iter()
        .position(|id| *id == upstream)
        .unwrap()
}

/// What a conversation gains with a turn.
#[derive(Clone, Debug)]
struct Step {
    words: usize,
    has_image: bool,
    offers_tools: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..600_usize, any::<bool>(), any::<bool>());
    let step = step.prop_map(|(words, has_image, offers_tools)| Step {
        words,
        has_image: has_image && words % 3 == 0,
        offers_tools,
    });
    proptest::collection::vec(step, 1..6)
}

proptest! {
    #![proptest_config(cases(64))]

    /// Whatever a conversation gains, it goes on where it was or where more of it is taken as it is,
    /// and after its second turn it stays.
    #[test]
    fn a_conversation_changes_its_upstream_once_at_most(
        steps in steps(),
        model in prop::sample::select(vec![MINI, TOOLLESS, "openai/gpt-4o", "x-ai/grok-4", "anthropic/claude-3.7-sonnet", "deepseek/deepseek-r1"]),
        preference in prop::sample::select(PREFERENCES.to_vec()),
        strict in any::<bool>(),
        most in prop::option::of(1_usize..3_000),
    ) {
        let room = PromptLimits { prompt: most, ..PromptLimits::default() };
        let plan_limits = PlanLimits { strict, room, ..auto(preference) };
        let mut messages: Vec<Value> = Vec::new();
        let mut has_tools = false;
        let mut ranks = Vec::new();
        for step in &steps {
            if !messages.is_empty() {
                messages.push(json!({ "role": "assistant", "content": "I see." }));
            }
            let mut parts = vec![json!({ "type": "text", "text": "word ".repeat(step.words.max(1)) })];
            parts.extend(step.has_image.then(image));
            messages.push(json!({ "role": "user", "content": parts }));
            has_tools |= step.offers_tools;
            let mut fields = json!({ "messages": messages });
            if has_tools {
                fields["tools"] = tools();
            }
            let body = asking(model, fields).to_string();
            let ask = parse(body.as_bytes(), &MESSAGE_LIMITS);
            // There are more images than a request may have.
            let Ok(ask) = ask else { break };
            ranks.push(rank(of(&ask, &plan_limits).upstream));
        }
        prop_assert!(ranks.is_sorted(), "{ranks:?}");
        let later = ranks.get(1..).unwrap_or_default();
        prop_assert!(later.iter().all(|rank| Some(rank) == later.first()), "{ranks:?}");
    }

    /// In one turn, too, tools and images lead only to where more is taken as it is.
    #[test]
    fn tools_and_images_never_lead_back(
        words in 0_usize..30_000,
        model in prop::sample::select(vec![MINI, TOOLLESS, "openai/gpt-4o", "x-ai/grok-4"]),
        preference in prop::sample::select(PREFERENCES.to_vec()),
    ) {
        let plan_limits = auto(preference);
        let said = |parts: Value| json!({ "messages": [{ "role": "user", "content": parts }] });
        let text = json!({ "type": "text", "text": "word ".repeat(words.max(1)) });
        let plain = said(json!([text]));
        let mut with_tools = plain.clone();
        with_tools["tools"] = tools();
        let with_image = said(json!([text, image()]));
        let [plain, more, seen] = [plain, with_tools, with_image]
            .map(|fields| rank(chosen(&asking(model, fields), &plan_limits).upstream));
        prop_assert!(plain <= more, "tools: {plain} {more}");
        prop_assert!(plain <= seen, "an image: {plain} {seen}");
    }
}

#[test]
fn for_videos_that_may_not_leave_enterprise_there_is_one_way() {
    let plan_limits = PlanLimits {
        enterprise: true,
        ..auto(Preference::Native)
    };
    let body = asking(
        "google/gemini-2.5-flash",
        json!({ "messages": [{ "role": "user", "content": [video()] }] }),
    );
    let route = chosen(&body, &plan_limits);
    assert_eq!(
        (route.upstream, route.because),
        (Router, Some(Reason::Video))
    );
}
