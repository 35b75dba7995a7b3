//! A request for a response, read into an [`Ask`].

use serde::de::IgnoredAny;

use super::echo::Echo;
use super::items::Builder;
use super::parameters::PARAMETERS;
use super::tools::Toolbox;
use super::{Responses, format};
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::draft::{Draft, Field};
use crate::translate::face::chat::messages::MessageLimits;
use crate::translate::rejection::Rejection;
use crate::wire::list::List;
use crate::wire::openai::responses::InputItem;
use crate::wire::text::Text;

/// What this API calls the fields that problems speak of.
pub const NAMES: FieldNames = FieldNames {
    asked: "input",
    instructions: "instructions",
    format: "text.format",
    reasoning: "reasoning",
    effort: "reasoning.effort",
    budget: "reasoning.max_tokens",
    fallbacks: "models",
    image: "input[].content[].image_url",
};

/// Reads the body of `POST /v1/responses`.
///
/// # Errors
/// Whatever OpenAI's API would call malformed, and whatever the table refuses. The refusal names
/// the parameter and the cure; it repeats nothing out of a prompt.
pub fn parse<'a>(
    body: &'a [u8],
    limits: &MessageLimits,
) -> Result<(Ask<'a>, Responses), Rejection> {
    let mut draft = Draft::read(body, PARAMETERS, &limits.ignore)?;
    let echo = Echo::of(&draft);
    let input = read_input(draft.kept("input"), limits)?;
    let mut toolbox = Toolbox::default();
    if let Some(raw) = draft.tools {
        toolbox.read(raw, "tools", &mut draft.members)?;
    }
    if let Input::Items(items) = &input {
        for (at, item) in items
            .iter()
            .enumerate()
            .filter(|(_, item)| brings_tools(item))
        {
            if let Some(raw) = item.tools {
                toolbox.read(raw, &format!("input[{at}].tools"), &mut draft.members)?;
            }
        }
    }
    let tools = toolbox.offer(&mut draft)?;
    let format = format::answer_format(&mut draft)?;
    let instructions = draft.kept("instructions");
    let instructions = instructions
        .map(|field| field.parse("a string"))
        .transpose()?;
    let instructions = instructions.map(|Text(text)| text);
    let mut builder = Builder::new(instructions, &toolbox.names, limits, &mut draft.members);
    match input {
        Input::None => {}
        Input::Text(Text(text)) => builder.say(text),
        Input::Items(items) => {
            for (at, item) in items.into_iter().enumerate() {
                builder.add(&format!("input[{at}]"), item)?;
            }
        }
    }
    let (conversation, last_image) = builder.finish()?;
    let truncation = draft.kept("truncation");
    let truncation = truncation.and_then(|field| field.parse::<Text<'a>>("a word").ok());
    let drops_oldest = truncation.is_some_and(|word| word.as_str() == "auto");
    let mut ask = Ask {
        tools,
        format,
        last_image,
        drops_oldest,
        ..draft.into_ask(conversation, &NAMES)
    };
    ask.sampling.max_tokens_name = "max_output_tokens";
    let names = toolbox.names;
    Ok((ask, Responses { echo, names }))
}

enum Input<'a> {
    None,
    Text(Text<'a>),
    Items(Vec<InputItem<'a>>),
}

/// Items are counted before they are read, because each takes many times the memory of its text.
fn read_input<'a>(
    field: Option<Field<'a>>,
    limits: &MessageLimits,
) -> Result<Input<'a>, Rejection> {
    const EXPECTED: &str =
        "a string, or a list of items such as {\"role\": \"user\", \"content\": \"Hello\"}";
    let Some(field) = field else {
        return Ok(Input::None);
    };
    if !field.value.get().starts_with('[') {
        return field.parse(EXPECTED).map(Input::Text);
    }
    let counted: List<IgnoredAny, 0> = field.parse(EXPECTED)?;
    if counted.total > limits.max_messages {
        let most = limits.max_messages;
        return Err(field.invalid(format!(
            "Invalid 'input': at most {most} items are possible. Shorten the history."
        )));
    }
    field.parse(EXPECTED).map(Input::Items)
}

/// Whether an item offers tools.
fn brings_tools(item: &InputItem<'_>) -> bool {
    let kind = item.kind.as_ref().map(Text::as_str);
    matches!(kind, Some("additional_tools" | "tool_search_output"))
}
