//! What calls cost in what budgets count: at most, before they are made, and really, once they are
//! over.

use super::Settings;
use super::open::Order;
use crate::budget::spending::{Amounts, CallPrice};
use crate::budget::{Amount, Spending, Unit};
use crate::translate::cost::Cost;
use crate::translate::model::{ModelInfo, PicoDollars, TokenPrice, UNIT};
use crate::translate::plan::{Plan, Target};
use crate::translate::upstream::UpstreamId;

/// The units of a call to any-llm whose model is not known: those of the dearest models.
const UNKNOWN_UNITS: u64 = 10;
/// The price of a token where it is not known: that of the dearest models that OpenRouter lists.
const UNKNOWN_PRICE: TokenPrice = TokenPrice {
    prompt: PicoDollars(150_000_000),
    completion: PicoDollars(600_000_000),
    audio: None,
};
/// The longest answer, in tokens, where neither the request nor the model says one.
const LONGEST_ANSWER: u64 = 16_384;
/// What recordings and videos come to at most, in tokens, where a model's context is not known.
const LONGEST_MEDIA: u64 = 1 << 20;
/// The tokens of an answer that a budget of tokens reckons with, where the request says nothing.
const USUAL_ANSWER: u64 = 4_096;

/// What a request may cost at most, whichever of its models answers, asked as often as may be.
pub fn worst_case(order: &Order<'_, '_>, plan: &Plan<'_>) -> Spending {
    let others = order.others.iter();
    let others = others.map(|target: &Target<'_>| price(target.route.upstream, target.card, plan));
    let calls = most_calls(plan, &order.engine.settings);
    Spending::worst(others.chain([plan_price(plan)]), calls)
}

/// What one call of a request may cost at most, whichever of its models it goes to.
pub fn dearest_call(order: &Order<'_, '_>, plan: &Plan<'_>) -> CallPrice {
    let others = order.others.iter();
    let others = others.map(|target: &Target<'_>| price(target.route.upstream, target.card, plan));
    others.fold(plan_price(plan), |one, other| CallPrice {
        units: one.units.max(other.units),
        dollars: one.dollars.max(other.dollars),
        tokens: one.tokens.max(other.tokens),
        is_premium: one.is_premium || other.is_premium,
    })
}

/// What a plan may cost at most.
pub(super) fn plan_worst_case(plan: &Plan<'_>, settings: &Settings) -> Spending {
    Spending::worst([plan_price(plan)], most_calls(plan, settings))
}

/// How many calls of a plan may be paid for.
fn most_calls(plan: &Plan<'_>, settings: &Settings) -> u32 {
    let reasks = match plan.reading.can_be_unmet() {
        true => u32::try_from(settings.max_reasks).unwrap_or(u32::MAX),
        false => 0,
    };
    let calls = plan.choices.saturating_mul(reasks.saturating_add(1));
    calls.min(settings.max_calls.max(plan.choices))
}

/// What one call of a plan may cost at most.
pub(super) fn plan_price(plan: &Plan<'_>) -> CallPrice {
    price(plan.upstream, plan.card.as_ref(), plan)
}

/// What a call to a model may cost at most that says as much as the plan's.
fn price(upstream: UpstreamId, card: Option<&ModelInfo>, plan: &Plan<'_>) -> CallPrice {
    let prompt = plan.reading.prompt_tokens;
    let limit = plan.reading.max_tokens;
    let cost = match upstream {
        UpstreamId::AnyLlm => {
            let has_images = plan.call.images() > 0;
            let units = card.and_then(|card| card.any_llm.units(has_images));
            Cost::of_units(units.unwrap_or(UNKNOWN_UNITS))
        }
        UpstreamId::Router | UpstreamId::RouterOpenai => {
            let longest = card.and_then(|card| card.max_output).map(u64::from);
            let answer = limit.or(longest).unwrap_or(LONGEST_ANSWER);
            let price = card.and_then(|card| card.router.price);
            // The prompt's tokens are an estimate, and those of a recording a guess: it may be as long as
            // the model takes.
            let text = prompt.saturating_sub(plan.reading.media_tokens);
            let room = card
                .and_then(|card| card.context_length)
                .map_or(LONGEST_MEDIA, u64::from);
            let media = match plan.reading.media_tokens {
                0 => 0,
                guessed => guessed.max(room),
            };
            let price = price.unwrap_or(UNKNOWN_PRICE);
            let said = price.of(text.saturating_add(text / 4), answer);
            Cost::of_dollars(said.plus(price.of_media().times(media)))
        }
    };
    let Amounts { units, dollars, .. } = amounts(cost);
    CallPrice {
        units,
        dollars,
        tokens: Amount::of_count(prompt.saturating_add(limit.unwrap_or(USUAL_ANSWER))),
        is_premium: card.is_none_or(|card| card.any_llm.premium.unwrap_or(true)),
    }
}

/// What a call came to that is, or may be, paid for. Where it is not known what it cost, it is taken
/// to have cost as much as it could.
pub fn spent(price: &CallPrice, cost: Option<Cost>, tokens: u64) -> Spending {
    let costs = match cost {
        Some(cost) => amounts(cost),
        None => Amounts {
            units: price.units,
            dollars: price.dollars,
            ..Amounts::default()
        },
    };
    let amounts = Amounts {
        requests: Amount(1),
        tokens: Amount::of_count(tokens),
        ..costs
    };
    Spending::at(price.is_premium, amounts)
}

/// A cost in units and in dollars, each with what is charged in the other. What is finer than a
/// budget counts is rounded up.
fn amounts(cost: Cost) -> Amounts {
    let in_units = |dollars: PicoDollars| {
        let thousandths = u128::from(dollars.0) * 1000;
        Amount::of_count(u64::try_from(thousandths.div_ceil(UNIT.0.into())).unwrap_or(u64::MAX))
    };
    let units = Amount::of_count(
        cost.units
            .saturating_mul(Unit::Units.one().0.unsigned_abs()),
    );
    Amounts {
        units: units + in_units(cost.dollars),
        dollars: Amount::of_count(cost.in_dollars().0.div_ceil(1000)),
        ..Amounts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_charged_in_units_and_in_dollars() {
        let flat = amounts(Cost::of_units(10));
        assert_eq!(flat.units, Amount(10_000));
        assert_eq!(
            flat.dollars,
            Unit::Dollars.parse("0.01").unwrap_or_default()
        );
        let by_token = amounts(Cost::of_dollars(PicoDollars(579_500_001)));
        assert_eq!(by_token.dollars, Amount(579_501));
        assert_eq!(by_token.units, Amount(580));
        assert_eq!(amounts(Cost::default()), Amounts::default());
        let huge = amounts(Cost::of_units(u64::MAX));
        assert_eq!(huge.units, Amount(i64::MAX));
    }

    #[test]
    fn what_is_not_known_is_charged_as_what_it_could_be() {
        let price = CallPrice {
            units: Amount(10_000),
            dollars: Amount(7),
            is_premium: true,
            ..CallPrice::default()
        };
        let maybe = spent(&price, None, 40);
        assert_eq!(maybe.premium.units, Amount(10_000));
        assert_eq!(
            (maybe.all.dollars, maybe.all.tokens),
            (Amount(7), Amount(40))
        );
        let known = spent(&price, Some(Cost::of_units(1)), 40);
        assert_eq!(
            (known.all.units, known.all.requests),
            (Amount(1000), Amount(1))
        );
    }
}
