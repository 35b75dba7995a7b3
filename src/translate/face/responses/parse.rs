//! A request for a response, read into an [`Ask`].

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::echo::Echo;
use super::fields::conversation_id;
use super::input::LONGEST_ID;
use super::items::{Builder, is_reference, own_id};
use super::parameters::PARAMETERS;
use super::tools::Toolbox;
use super::{Responses, format};
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::body::Body;
use crate::translate::draft::{Draft, Field, MAX_VALUES};
use crate::translate::face::chat::messages::MessageLimits;
use crate::translate::face::state::{Past, Wanted};
use crate::translate::json::count_values;
use crate::translate::notes::shortened;
use crate::translate::rejection::{Cause, Rejection};
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
    audio: None,
    video: None,
};

/// A request whose fields are read, and whose conversation is not.
#[derive(Debug)]
pub struct Reading<'a> {
    draft: Draft<'a>,
    input: Input<'a>,
    /// Where the input stands in the body.
    place: Range<usize>,
}

/// Reads the body of `POST /v1/responses` as far as it goes without what it refers to.
///
/// # Errors
/// Whatever OpenAI's API would call malformed, and whatever the table refuses. The refusal names
/// the parameter and the cure; it repeats nothing out of a prompt.
pub fn read<'a>(
    body: impl Into<Body<'a>>,
    limits: &MessageLimits,
) -> Result<Reading<'a>, Rejection> {
    let body = body.into();
    let draft = Draft::read(body, PARAMETERS, &limits.ignore)?;
    if let (Some(_), Some(_)) = (previous(&draft), conversation(&draft)) {
        return Err(two_pasts());
    }
    let sent = draft.kept("input");
    let place = sent.as_ref().and_then(|field| body.place_of(field.value));
    let input = read_input(sent, limits)?;
    refuse_named_twice(&input)?;
    Ok(Reading {
        draft,
        input,
        place: place.unwrap_or_default(),
    })
}

/// A name stands for a whole item: many of one would be far longer than the request.
fn refuse_named_twice(input: &Input<'_>) -> Result<(), Rejection> {
    let Input::Items(items) = input else {
        return Ok(());
    };
    let mut named = HashSet::new();
    let references = items.iter().filter(|item| is_reference(item));
    for Text(id) in references.filter_map(|item| item.id.as_ref()) {
        if !named.insert(id.as_ref()) {
            return Err(duplicate(id));
        }
    }
    Ok(())
}

/// The refusal of an item that is there already.
pub fn duplicate(id: &str) -> Rejection {
    let message = format!(
        "Duplicate item found with id '{}'. Remove duplicate items from your input and try again.",
        shortened(id)
    );
    Rejection::invalid("input", message)
}

/// What a request refers to.
pub fn wanted(reading: &Reading<'_>) -> Wanted {
    let items: &[InputItem<'_>] = match &reading.input {
        Input::Items(items) => items,
        Input::None | Input::Text(_) => &[],
    };
    let references = items.iter().filter(|item| is_reference(item));
    let ids = references.filter_map(|item| item.id.as_ref());
    Wanted {
        previous: previous(&reading.draft).map(Cow::into_owned),
        conversation: conversation(&reading.draft).map(Cow::into_owned),
        items: ids.map(|Text(id)| id.to_string()).collect(),
    }
}

/// Reads a body that refers to nothing, where answers are kept.
///
/// # Errors
/// As [`read`] and [`finish`].
pub fn parse<'a>(
    body: &'a [u8],
    limits: &MessageLimits,
) -> Result<(Ask<'a>, Responses), Rejection> {
    finish(read(body, limits)?, Past::NONE, limits, true)
}

/// Reads the rest, with what was found of what the request refers to. `keeps` says whether answers
/// are kept unless a request says otherwise.
///
/// # Errors
/// As [`read`], and what was not found.
pub fn finish<'a>(
    reading: Reading<'a>,
    past: &'a Past,
    limits: &MessageLimits,
    keeps: bool,
) -> Result<(Ask<'a>, Responses), Rejection> {
    let Reading {
        mut draft,
        input,
        place,
    } = reading;
    if let Some(previous) = previous(&draft).filter(|_| !past.has_previous) {
        return Err(no_previous(&previous));
    }
    let conversation = conversation(&draft);
    if let Some(conversation) = conversation.as_ref().filter(|_| !past.has_conversation) {
        return Err(no_conversation(conversation));
    }
    if !keeps {
        draft.notes.unkept();
    }
    let is_kept = keeps
        && draft
            .kept("store")
            .is_none_or(|field| field.value.get() != "false");
    let echo = Echo::of(&draft, is_kept);
    refuse_what_background_lacks(&echo, keeps)?;
    let mut toolbox = toolbox(&mut draft, &input)?;
    let tools = toolbox.offer(&mut draft)?;
    let format = format::answer_format(&mut draft)?;
    let instructions = draft.kept("instructions");
    let instructions = instructions
        .map(|field| field.parse("a string"))
        .transpose()?;
    let instructions = instructions.map(|Text(text)| text);
    let mut builder = Builder::new(instructions, &toolbox.names, limits, &mut draft.members);
    let before = field_of_past(past);
    for item in recalled(past, &input, limits, before)? {
        builder.add(&place_of(&item, before), item)?;
    }
    match input {
        Input::None => {}
        Input::Text(Text(text)) => builder.say(text),
        Input::Items(items) => {
            for (at, item) in items.into_iter().enumerate() {
                let path = format!("input[{at}]");
                let item = referred(item, past, &path)?;
                builder.add(&path, item)?;
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
    let ask = ask.within(&limits.images);
    let names = toolbox.names;
    Ok((ask, Responses::new(echo, names, place)))
}

/// The field that names what was said before.
fn field_of_past(past: &Past) -> &'static str {
    match (past.has_conversation, past.has_previous) {
        (true, _) => "conversation",
        (false, true) => "previous_response_id",
        (false, false) => "input",
    }
}

/// Who asks for a response later must find it.
fn refuse_what_background_lacks(echo: &Echo, keeps: bool) -> Result<(), Rejection> {
    if !echo.is_background {
        return Ok(());
    }
    let refuse = |param: &str, message: &str| Err(Rejection::invalid(param, message));
    if !keeps {
        let message = "Invalid 'background': no response is kept here (`responses.store` is off), and one that is \
                       made in the background could never be read. Leave it out.";
        return refuse("background", message);
    }
    if !echo.is_kept {
        let message = "Invalid 'store': a response that is made in the background has to be kept, or it could \
                       never be read. Leave 'store' out.";
        return refuse("store", message);
    }
    if echo.has_conversation() {
        let message = "Invalid 'conversation': a response that is made in the background cannot be made in a conversation. \
                       Use 'previous_response_id', or leave 'background' out.";
        return refuse("conversation", message);
    }
    Ok(())
}

/// The tools that a request brings, in their own field and in its input.
fn toolbox<'a>(draft: &mut Draft<'a>, input: &Input<'a>) -> Result<Toolbox<'a>, Rejection> {
    let mut toolbox = Toolbox::default();
    if let Some(raw) = draft.tools {
        toolbox.read(raw, "tools", &mut draft.members)?;
    }
    let items: &[InputItem<'a>] = match input {
        Input::Items(items) => items,
        Input::None | Input::Text(_) => &[],
    };
    let bringing = items.iter().enumerate();
    for (at, item) in bringing.filter(|(_, item)| brings_tools(item)) {
        if let Some(raw) = item.tools {
            toolbox.read(raw, &format!("input[{at}].tools"), &mut draft.members)?;
        }
    }
    Ok(toolbox)
}

/// The response that a request continues.
fn previous<'a>(draft: &Draft<'a>) -> Option<Cow<'a, str>> {
    let field = draft.kept("previous_response_id")?;
    let Text(id) = field.parse("a string").ok()?;
    Some(id)
}

/// The conversation that a request goes on with.
fn conversation<'a>(draft: &Draft<'a>) -> Option<Cow<'a, str>> {
    conversation_id(&draft.kept("conversation")?).ok()
}

/// Where an item stands that was kept: by its id, so that whoever asks can find and delete it.
fn place_of(item: &InputItem<'_>, field: &str) -> String {
    match own_id(item) {
        Some(id) => format!("{field}[{}]", shortened(id)),
        None => field.to_owned(),
    }
}

/// Items that come to a conversation must be told from those that are there, and are kept under their ids.
fn refuse_there(before: &[InputItem<'_>], input: &Input<'_>) -> Result<(), Rejection> {
    let Input::Items(items) = input else {
        return Ok(());
    };
    let mut seen: HashSet<&str> = before.iter().filter_map(own_id).collect();
    for (at, item) in items.iter().enumerate() {
        refuse_long_id(item, &format!("input[{at}]"))?;
        if let Some(id) = own_id(item).filter(|id| !seen.insert(id)) {
            return Err(duplicate(id));
        }
    }
    Ok(())
}

/// Refuses an item at `path` that could not be found again by its id.
pub fn refuse_long_id(item: &InputItem<'_>, path: &str) -> Result<(), Rejection> {
    let is_long = own_id(item).is_some_and(|id| id.len() > LONGEST_ID);
    if !is_long || is_reference(item) {
        return Ok(());
    }
    let path = format!("{path}.id");
    let message = format!(
        "Invalid '{path}': the id of an item in a conversation has at most {LONGEST_ID} bytes. Give it a shorter one, or \
         none."
    );
    Err(Rejection::of(Cause::StringAboveMaxLength, path, message))
}

/// The items from before the request.
fn recalled<'a>(
    past: &'a Past,
    input: &Input<'_>,
    limits: &MessageLimits,
    field: &'static str,
) -> Result<Vec<InputItem<'a>>, Rejection> {
    let new = match input {
        Input::Items(items) => items.len(),
        Input::None | Input::Text(_) => 1,
    };
    let texts = past.before.iter().chain(past.items.values());
    let values: usize = texts.map(|json| count_values(json)).sum();
    if past.before.len().saturating_add(new) > limits.max_messages || values > MAX_VALUES {
        return Err(too_long(field));
    }
    let kept = past.before.iter().map(|json| kept_item(json, field));
    let before = kept.collect::<Result<Vec<_>, _>>()?;
    if past.has_conversation {
        refuse_there(&before, input)?;
    }
    Ok(before)
}

/// An item, or the one that it names.
fn referred<'a>(
    item: InputItem<'a>,
    past: &'a Past,
    path: &str,
) -> Result<InputItem<'a>, Rejection> {
    if !is_reference(&item) {
        return Ok(item);
    }
    let missing = || Rejection::missing(format!("{path}.id"));
    let id = item.id.as_ref().ok_or_else(missing)?.as_str();
    match past.items.get(id) {
        Some(json) => kept_item(json, "input"),
        // What was thought before is shown to nobody, so nothing is lost with it.
        None if id.starts_with("rs_") => Ok(InputItem {
            kind: Some(Text("reasoning".into())),
            ..item
        }),
        None => Err(no_item(id)),
    }
}

/// An item that was kept as it was sent, or as it was written here.
fn kept_item<'a>(json: &'a str, field: &'static str) -> Result<InputItem<'a>, Rejection> {
    serde_json::from_str(json).map_err(|_| {
        let message = format!("Invalid '{field}': what was kept of it cannot be read.");
        Rejection::invalid(field, message)
    })
}

/// More than a conversation can be; `field` names it, or the items in it.
pub fn too_long(field: &'static str) -> Rejection {
    let message = match field {
        "input" => {
            "The items that 'input' names are too long together. Name fewer of them.".to_owned()
        }
        _ => format!(
            "The conversation before this request has grown too long. Begin a new one without this '{field}'."
        ),
    };
    Rejection::of(Cause::ContextLengthExceeded, field, message)
}

/// What was said before is what one of them names, and not both.
fn two_pasts() -> Rejection {
    Rejection::of(
        Cause::OfFace("mutually_exclusive_parameters"),
        "previous_response_id",
        "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing one of them.",
    )
}

/// The refusal of a conversation that there is not, or that belongs to somebody else.
pub fn no_conversation(id: &str) -> Rejection {
    Rejection::of(
        Cause::NotKept("conversation_not_found"),
        "conversation",
        format!("Conversation with id '{}' not found.", shortened(id)),
    )
}

/// The refusal to continue a response without an answer.
pub fn no_answer(id: &str, is_running: bool) -> Rejection {
    let why = match is_running {
        true => "is still being made. Wait until its status is completed.",
        false => "has failed or was cancelled. Continue the one before it.",
    };
    let id = shortened(id);
    let message = format!("Invalid 'previous_response_id': the response '{id}' {why}");
    Rejection::invalid("previous_response_id", message)
}

/// The refusal of a response that there is not, or that belongs to somebody else.
pub fn no_previous(id: &str) -> Rejection {
    Rejection::of(
        Cause::OfFace("previous_response_not_found"),
        "previous_response_id",
        format!("Previous response with id '{}' not found.", shortened(id)),
    )
}

fn no_item(id: &str) -> Rejection {
    Rejection::of(
        Cause::NotKept("item_not_found"),
        "input",
        format!(
            "Item with id '{}' not found. Items are not kept when `store` is false; send the item itself \
             (AI SDK: providerOptions.openai.store = false).",
            shortened(id)
        ),
    )
}

#[derive(Debug)]
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
    if field.count_items(EXPECTED)? > limits.max_messages {
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
