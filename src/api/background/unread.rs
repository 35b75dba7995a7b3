//! Calls whose answers nobody reads: they are, or may be, on fal's bill, and so they are charged.

use super::terms::Terms;
use crate::api::context::Context;
use crate::budget::Spending;
use crate::engine::ledger::Billed;
use crate::engine::price;
use crate::observe::calls::{Call, CallKind, Payer, Tokens};
use crate::store::responses::Submission;
use crate::translate::upstream::UpstreamId;

/// Charges each of these calls as much as it could have cost, but for those that fal refused. It need
/// not fit into a budget, and the key need not open any more.
pub(super) fn charge(context: &Context, terms: &Terms, calls: &[Submission]) {
    let made: Vec<&Submission> = calls.iter().filter(|call| !call.is_refused).collect();
    if made.is_empty() {
        return;
    }
    let each = price::spent(&terms.price, None, terms.prompt_tokens);
    let all = made
        .iter()
        .fold(Spending::default(), |sum, _| sum.and(&each));
    let purses = context.gateway.purses();
    let owners = [("key", &terms.key), ("project", &terms.project)];
    let owners = owners.map(|(kind, name)| Some(format!("{kind}/{}", name.as_ref()?)));
    let owners: Vec<String> = owners.into_iter().flatten().collect();
    let allowance = purses.take_anyway(&purses.of(&owners), &Spending::default());
    let payer = Payer {
        key: terms.key.as_deref().unwrap_or_default().into(),
        project: terms.project.as_deref().unwrap_or_default().into(),
        at_ms: allowance.at().as_millisecond(),
    };
    allowance.settle(&all);
    let apps = &context.snapshot.engine.apps;
    let told = made.into_iter().enumerate().map(|(at, call)| Call {
        payer: payer.clone(),
        face: "background",
        kind: match call.choice {
            0 => CallKind::First,
            _ => CallKind::Choice,
        },
        model: call.model.clone(),
        // It may have been called, and whatever a caller writes may be called: that makes no model of it.
        is_known_model: context.snapshot.catalogue.card(&call.model).is_some(),
        upstream: UpstreamId::ALL
            .into_iter()
            .find(|id| apps.path(*id) == call.app)
            .map_or("", UpstreamId::word),
        tokens: Tokens {
            input: terms.prompt_tokens,
            is_estimated: true,
            ..Tokens::default()
        },
        units: each.all.units.0,
        dollars: each.all.dollars.0,
        is_premium: terms.price.is_premium,
        billed: Billed::Maybe.label(),
        counts_request: at == 0,
        outcome: "dropped",
        duration_ms: 0,
        request_id: terms.request_id.clone(),
        fal_request_id: call.request_id.clone().unwrap_or_default(),
    });
    context.gateway.calls().push(told);
}
