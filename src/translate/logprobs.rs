//! Whether a model tells how likely the tokens of its answers are.
//!
//! Nothing can stand in for what is not told, so a request for it is refused where the model is not
//! known to tell it, unless the operator lets such requests pass.

use std::borrow::Cow;

use super::ask::{Ask, Logprobs};
use super::model::{ModelInfo, Parameter};
use super::native::Natively;
use super::native::abilities::Abilities;
use super::notes::Notes;
use super::plan::Target;
use super::rejection::Rejection;
use super::upstream::InputShape;

/// Leaves out of a request what its model does not tell, where that may be left out.
///
/// # Errors
/// Where it may not.
pub fn fit(
    ask: &mut Cow<'_, Ask<'_>>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<(), Rejection> {
    let (Some(wanted), Some(lacking)) = (ask.logprobs, lacking(ask, target)) else {
        return Ok(());
    };
    if let Some(needed) = indispensable(wanted, lacking) {
        return Err(refusal(needed));
    }
    if wanted.top > 0 {
        notes.ignored(Parameter::TopLogprobs.name());
    }
    ask.to_mut().logprobs = match lacking {
        Parameter::TopLogprobs => Some(Logprobs { top: 0, ..wanted }),
        _ => {
            notes.ignored(Parameter::Logprobs.name());
            None
        }
    };
    Ok(())
}

/// Whether a model can serve a request as far as this goes.
pub fn may_serve(ask: &Ask<'_>, target: &Target<'_>) -> bool {
    match (ask.logprobs, lacking(ask, target)) {
        (Some(wanted), Some(lacking)) => indispensable(wanted, lacking).is_none(),
        _ => true,
    }
}

/// Whether a model is known to tell what a request wants, where it has its messages.
pub fn are_listed(ask: &Ask<'_>, card: Option<&ModelInfo>) -> bool {
    let lists = |parameter| card.and_then(|card| card.supports(parameter)) == Some(true);
    ask.logprobs.is_some_and(|wanted| {
        lists(Parameter::Logprobs) && (wanted.top == 0 || lists(Parameter::TopLogprobs))
    })
}

/// What a request wants, and its model does not tell.
fn lacking(ask: &Ask<'_>, target: &Target<'_>) -> Option<Parameter> {
    let wanted = ask.logprobs?;
    let abilities = Abilities {
        card: target.card,
        lacking: target.lacks,
    };
    let lists = |parameter| {
        let card = target.card.and_then(|card| card.supports(parameter));
        card == Some(true) && abilities.takes(parameter)
    };
    let input = target.route.upstream.features().input;
    // Calls that are written into the text would be told as text.
    let has_messages = input == InputShape::Messages && Natively::of(ask, abilities).tools;
    match () {
        () if !has_messages || !lists(Parameter::Logprobs) => Some(Parameter::Logprobs),
        () if wanted.top > 0 && !lists(Parameter::TopLogprobs) => Some(Parameter::TopLogprobs),
        () => None,
    }
}

/// What of it may not be left out.
fn indispensable(wanted: Logprobs, lacking: Parameter) -> Option<Parameter> {
    match lacking {
        Parameter::Logprobs if !wanted.is_dispensable => Some(Parameter::Logprobs),
        _ if wanted.top > 0 && !wanted.is_top_dispensable => Some(Parameter::TopLogprobs),
        _ => None,
    }
}

fn refusal(lacking: Parameter) -> Rejection {
    let name = lacking.name();
    let message = format!(
        "Unsupported parameter: '{name}' is not available for this model here. Only models that list it among their \
         'supported_parameters' in GET /v1/models have it, where they are asked through fal's router-openai. \
         Remove it from the request, or ask for such a model."
    );
    Rejection::unsupported(name, message)
}
