//! `POST /v1/messages/count_tokens` and `POST /v1/responses/input_tokens`: how many tokens a request
//! would take, without a call to fal.
//!
//! It takes as long as planning does, so it is limited as every request is. Clients ask it for pieces
//! of a conversation and add up what they are told, so it counts all that fal would be sent.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{Heard, asked_route, hear, refuse_long_text};
use super::context::Context;
use super::error::ApiError;
use super::{scope, state};
use crate::translate::face::{CountsTokens, Reading};
use crate::translate::fold::PromptLimits;
use crate::translate::plan::{candidates, plan};

/// Counts the tokens of a request.
///
/// # Errors
/// Those of the request itself, but for its length.
pub async fn count_tokens<F: CountsTokens>(
    request: HttpRequest,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let scope = scope::scope(&request);
    let record = scope.as_ref().map(|scope| &scope.record);
    scope::catch_panic(
        &context.gateway,
        record,
        count::<F>(&request, payload, &context),
    )
    .await
}

async fn count<F: CountsTokens>(
    request: &HttpRequest,
    payload: Payload,
    context: &Context,
) -> Result<HttpResponse, ApiError> {
    let snapshot = &context.snapshot;
    let Heard {
        scope: _scope,
        caller,
        body,
        mut held,
    } = hear(request, payload, context).await?;
    let reading = F::read_to_count(&body, &snapshot.face)?;
    let past = state::look_up(context, &caller, reading.wanted()).await?;
    let bytes = past.hold_with(&body, &mut held)?;
    let (mut ask, _) = reading.finish(&past.found, &snapshot.face)?;
    refuse_long_text(&ask, bytes, snapshot)?;
    let mut plan_limits = snapshot.plan_limits.clone();
    if let Some(rule) = asked_route(snapshot, request.headers())? {
        plan_limits.routing.rule = rule;
    }
    let (target, others) = candidates(&ask, &snapshot.catalogue, &plan_limits)?;
    let (target, _) = caller.allowed(target, others)?;
    ask.terms = snapshot.engine.terms.of(&ask, &caller.terms_owner())?;
    // Whoever counts wants to know how much too long a conversation is.
    plan_limits.room = PromptLimits::default();
    let tokens = match plan(&ask, &target, &[], &plan_limits) {
        Ok(plan) => plan.reading.prompt_tokens,
        Err(rejection) => match rejection.tokens {
            Some(limit) => limit.wanted,
            None => return Err(rejection.into()),
        },
    };
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-gateway-usage", "estimated"));
    response.content_type("application/json");
    Ok(response.body(F::count_to_json(tokens.max(1))))
}
