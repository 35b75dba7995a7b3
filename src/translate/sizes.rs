//! Which text of a request is too long, and what fills it.
//!
//! Agents shorten a conversation, with a paid call, whenever they are told that it is too long. So
//! where no shortening helps, because the tools, the instructions or the last message are too long
//! by themselves, the refusal has another code and speaks of what has to change.

use super::ask::{Ask, Part, Turn};
use super::fold::{PromptLimits, fold};
use super::guide::Guide;
use super::plan::PlanLimits;
use super::rejection::{Cause, Rejection, TokenLimit};
use super::tools::signature::Detail;
use super::usage;

/// Why a request does not fit into the room there is; `None` if a shorter conversation would.
pub fn too_long(ask: &Ask<'_>, guide: Guide<'_>, plan_limits: &PlanLimits) -> Option<Rejection> {
    let PromptLimits {
        prompt,
        system_prompt,
        ..
    } = plan_limits.room;
    let length = |detail| {
        let guide = Guide { detail, ..guide };
        let folded = fold(ask.conversation.clone(), &guide, &PromptLimits::default()).ok()?;
        Some(folded.system_prompt_chars())
    };
    let takes = |setting: &str, most: usize| match plan_limits.room_is_fals {
        true => format!("fal takes {} for this model", grouped(most)),
        false => format!("{setting} allows {}", grouped(most)),
    };
    let shortest = length(Detail::Name)?;
    if let Some(most) = system_prompt.filter(|most| shortest > *most) {
        let tools = ask.tools.as_ref().map_or(0, |offer| offer.tools.len());
        let instructions = ask.conversation.instructions.as_deref().map_or(0, chars);
        let told = length(Detail::Full)?.saturating_sub(instructions);
        let fills = [
            (tools == 1).then(|| format!("one tool, {} characters", grouped(told))),
            (tools > 1).then(|| format!("{tools} tools, {} characters", grouped(told))),
            (tools == 0 && !guide.is_silent())
                .then(|| format!("the format of the answer, {} characters", grouped(told))),
            (instructions > 0)
                .then(|| format!("the system messages, {} characters", grouped(instructions))),
        ];
        let fills = fills.into_iter().flatten().collect::<Vec<_>>().join("; ");
        let (param, cure) = match (tools > 0, told >= instructions) {
            (true, true) => (
                "tools",
                "Offer fewer tools, or describe them in fewer words.",
            ),
            (false, true) => (ask.names.format, "Use a smaller schema."),
            (_, false) => (ask.names.instructions, "Use shorter system messages."),
        };
        let takes = takes("limits.max_system_chars", most);
        let message = format!("The system prompt does not fit: {fills}; {takes}. {cure}");
        return Some(Rejection::of(Cause::StringAboveMaxLength, param, message));
    }
    let last = ask.conversation.turns.last().map_or(0, turn_chars);
    prompt.filter(|most| last > *most).map(|most| {
        let takes = takes("limits.max_prompt_chars", most);
        let message = format!(
            "The last message does not fit: {} characters; {takes}. Send less at once.",
            grouped(last)
        );
        Rejection::of(Cause::StringAboveMaxLength, ask.names.asked, message)
    })
}

/// Refuses what the model's context cannot hold.
///
/// # Errors
/// More tokens than the model takes in: `context_length_exceeded` in the words that clients know, or
/// `string_above_max_length` if the last message alone has as many.
pub fn refuse_beyond_context(
    ask: &Ask<'_>,
    context_length: Option<u32>,
    prompt_tokens: u64,
) -> Result<(), Rejection> {
    let most = context_length.map(u64::from);
    let Some(most) = most.filter(|most| prompt_tokens > *most) else {
        return Ok(());
    };
    let last = ask.conversation.turns.last();
    let last = last.map_or(0, |turn| texts(turn).map(usage::tokens).sum::<u64>());
    let told = told_always(ask);
    let shown = |number: u64| grouped(usize::try_from(number).unwrap_or(usize::MAX));
    let (cause, message) = if last > most {
        (
            Cause::StringAboveMaxLength,
            format!(
                "The last message does not fit: about {} tokens; the model takes {}. Send less at once.",
                shown(last),
                shown(most)
            ),
        )
    } else if last.saturating_add(told) > most {
        (
            Cause::StringAboveMaxLength,
            format!(
                "The system messages and tools do not fit with the last message: about {} and {} tokens; the \
                 model takes {}. Offer fewer tools, or use shorter system messages.",
                shown(told),
                shown(last),
                shown(most)
            ),
        )
    } else {
        (
            Cause::ContextLengthExceeded,
            format!(
                "This model's maximum context length is {most} tokens. However, your messages resulted in about \
                 {prompt_tokens} tokens. Please reduce the length of the messages."
            ),
        )
    };
    Err(Rejection {
        tokens: Some(TokenLimit {
            wanted: prompt_tokens,
            most,
        }),
        ..Rejection::of(cause, ask.names.asked, message)
    })
}

/// The tokens of what stands in every request of a conversation, however short it becomes.
fn told_always(ask: &Ask<'_>) -> u64 {
    let instructions = ask.conversation.instructions.as_deref();
    let tools = ask.tools.iter().flat_map(|offer| &offer.tools);
    let tools = tools.flat_map(|tool| {
        let schema = tool.parameters.map(|schema| schema.get());
        [tool.description.as_deref(), schema]
    });
    let told = tools.chain([instructions]).flatten();
    told.map(usage::tokens).sum()
}

fn texts<'t>(turn: &'t Turn<'_>) -> impl Iterator<Item = &'t str> {
    turn.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_ref()),
        Part::Image(_) | Part::Media(_) | Part::ToolCall(_) => None,
    })
}

fn turn_chars(turn: &Turn<'_>) -> usize {
    texts(turn).map(chars).sum()
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// 24,499 rather than 24499: clients look for numbers such as 429 in messages.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
