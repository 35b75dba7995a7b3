//! `tools` and `tool_choice`, read into an [`ToolSet`].

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::translate::draft::{Draft, Field};
use crate::translate::face::functions::parameters;
use crate::translate::rejection::{Cause, Rejection};
use crate::translate::tools::{Choice, Tool, ToolSet};
use crate::wire::anthropic::request::{Tool as RequestTool, ToolChoice};
use crate::wire::list::List;
use crate::wire::text::Text;

/// The most tools that are taken. Claude Code offers 24 to 90.
const MAX_TOOLS: usize = 256;
/// The longest list of tools, in bytes.
const LONGEST_TOOLS: usize = 1024 * 1024;
/// The longest name; those of MCP tools are long.
const LONGEST_NAME: usize = 128;

/// A tool that Anthropic describes and the caller runs (source: platform.claude.com, "Client tools").
struct Known {
    /// What its type begins with.
    kind: &'static str,
    description: &'static str,
    schema: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        kind: "bash_",
        description: "Runs a command in a bash shell that stays open between calls.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run."},"restart":{"type":"boolean","description":"True restarts the shell."}}}"#,
    },
    Known {
        kind: "text_editor_",
        description: "Views, creates and edits text files.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},"path":{"type":"string"},"file_text":{"type":"string","description":"For create: the text of the file."},"old_str":{"type":"string","description":"For str_replace: the text to replace, which must occur once."},"new_str":{"type":"string","description":"For str_replace: the text in its place."},"insert_line":{"type":"integer","description":"For insert: the line after which to insert."},"insert_text":{"type":"string","description":"For insert: the text to insert."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: the first and the last line."}},"required":["command","path"]}"#,
    },
    Known {
        kind: "memory_",
        description: "Keeps notes in files under /memories.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},"old_path":{"type":"string"},"new_path":{"type":"string"}},"required":["command"]}"#,
    },
];

/// The tools of a request; `None` when there are none or none may be called.
///
/// # Errors
/// Tools that nobody here can run, names that Anthropic would refuse, and a choice that names a tool
/// which is not offered.
///
/// A tool whose definition is to be loaded later is offered once the history has named it, that is,
/// if it is among `loaded`.
pub fn offer<'a>(
    draft: &mut Draft<'a>,
    loaded: &HashSet<Cow<'a, str>>,
) -> Result<Option<ToolSet<'a>>, Rejection> {
    let choice = match draft.kept("tool_choice") {
        None => None,
        Some(field) => {
            let choice: ToolChoice<'a> = field.parse("an object such as {\"type\": \"auto\"}")?;
            draft.members.add_unknown(field.name, &choice.unknown);
            Some(choice)
        }
    };
    let named = choice.as_ref().and_then(|choice| choice.name.as_ref());
    let tools = match draft.kept("tools") {
        None => Vec::new(),
        Some(field) => read(&field, named.map(Text::as_str), loaded, draft)?,
    };
    choose(tools, choice)
}

fn read<'a>(
    field: &Field<'a>,
    named: Option<&str>,
    loaded: &HashSet<Cow<'a, str>>,
    draft: &mut Draft<'a>,
) -> Result<Vec<Tool<'a>>, Rejection> {
    if field.value.get().len() > LONGEST_TOOLS {
        return Err(field.invalid(format!(
            "Invalid 'tools': all tools together may take at most {LONGEST_TOOLS} bytes. Send fewer or shorter ones."
        )));
    }
    let list: List<RequestTool<'a>, MAX_TOOLS> =
        field.parse("a list of tools such as {\"name\": ..., \"input_schema\": {...}}")?;
    if list.is_cut() {
        return Err(field.invalid(format!(
            "Invalid 'tools': at most {MAX_TOOLS} tools can be offered. Send fewer."
        )));
    }
    let has_others = list.items.iter().any(|tool| !is_run_elsewhere(kind(tool)));
    let mut tools = Vec::with_capacity(list.items.len());
    let mut names = HashSet::new();
    for (position, tool) in list.items.into_iter().enumerate() {
        draft.members.add_unknown("tools[]", &tool.unknown);
        if is_run_elsewhere(kind(&tool)) {
            let is_named = named.is_some() && tool.name.as_ref().map(Text::as_str) == named;
            if !has_others || is_named {
                return Err(run_elsewhere(position, kind(&tool)));
            }
            draft.members.add("tools[]", kind(&tool));
            continue;
        }
        let is_later = tool.defer_loading == Some(true);
        let tool = tool_of(tool, position)?;
        if !names.insert(tool.name.clone()) {
            let path = format!("tools[{position}].name");
            let message = format!("Invalid '{path}': tool names must be unique.");
            return Err(Rejection::invalid(path, message));
        }
        if !is_later || loaded.contains(&tool.name) {
            tools.push(tool);
        }
    }
    Ok(tools)
}

fn kind<'t>(tool: &'t RequestTool<'_>) -> &'t str {
    tool.kind.as_ref().map_or("custom", Text::as_str)
}

/// Whether Anthropic's servers would run a tool of this type.
fn is_run_elsewhere(kind: &str) -> bool {
    const PREFIXES: [&str; 7] = [
        "web_search_",
        "web_fetch_",
        "code_execution_",
        "tool_search_tool_",
        "mcp_toolset",
        "advisor",
        "memory_search_",
    ];
    PREFIXES.iter().any(|prefix| kind.starts_with(prefix))
}

fn run_elsewhere(position: usize, kind: &str) -> Rejection {
    let path = format!("tools[{position}]");
    let shown: String = kind
        .chars()
        .filter(|letter| !letter.is_control())
        .take(64)
        .collect();
    let message = format!(
        "Unsupported value: '{path}': {shown} is run by Anthropic's servers; fal has no such tool. Remove it, or \
         offer a tool of your own."
    );
    Rejection::of(Cause::UnsupportedValue, path, message)
}

fn tool_of<'a>(tool: RequestTool<'a>, position: usize) -> Result<Tool<'a>, Rejection> {
    let path = format!("tools[{position}]");
    let kind = kind(&tool).to_owned();
    let known = KNOWN.iter().find(|known| kind.starts_with(known.kind));
    if kind != "custom" && known.is_none() {
        let message = format!(
            "Unsupported value: '{path}.type': only custom tools and Anthropic's bash, text editor and memory can \
             be offered. Describe the tool with an 'input_schema'."
        );
        return Err(Rejection::of(
            Cause::UnsupportedValue,
            format!("{path}.type"),
            message,
        ));
    }
    let Some(Text(name)) = tool.name else {
        return Err(Rejection::of(
            Cause::MissingParameter,
            format!("{path}.name"),
            "Field required",
        ));
    };
    if !is_plain_name(&name) {
        let path = format!("{path}.name");
        let message = format!(
            "Invalid '{path}': a name has 1 to {LONGEST_NAME} letters, digits, underscores and hyphens."
        );
        return Err(Rejection::invalid(path, message));
    }
    let path = format!("{path}.input_schema");
    let given = parameters(tool.input_schema, &path)?;
    let described = tool.description.map(|Text(text)| text);
    let own = known.and_then(|known| serde_json::from_str::<&'static RawValue>(known.schema).ok());
    Ok(Tool {
        path,
        name,
        description: described.or(known.map(|known| Cow::Borrowed(known.description))),
        parameters: given.or(own),
        strict: tool.strict == Some(true),
        text: None,
    })
}

fn is_plain_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_plain)
}

/// Applies `tool_choice`.
fn choose<'a>(
    tools: Vec<Tool<'a>>,
    choice: Option<ToolChoice<'a>>,
) -> Result<Option<ToolSet<'a>>, Rejection> {
    let parallel = choice
        .as_ref()
        .is_none_or(|choice| choice.disable_parallel_tool_use != Some(true));
    let mut offer = ToolSet {
        tools,
        choice: Choice::Auto,
        parallel,
        as_functions: false,
    };
    let kind = choice
        .as_ref()
        .map_or("auto", |choice| choice.kind.as_str());
    match (
        kind,
        choice.as_ref().and_then(|choice| choice.name.as_ref()),
    ) {
        ("auto" | "none", _) => {}
        ("any", _) => offer.choice = Choice::Required,
        ("tool", Some(Text(name))) => {
            offer.choice = Choice::Required;
            offer.parallel = false;
            offer.tools.retain(|tool| tool.name == *name);
        }
        ("tool", None) => {
            return Err(Rejection::of(
                Cause::MissingParameter,
                "tool_choice.name",
                "Field required",
            ));
        }
        _ => {
            return Err(Rejection::invalid(
                "tool_choice.type",
                "Invalid 'tool_choice.type': it must be auto, any, tool or none.",
            ));
        }
    }
    match (offer.tools.is_empty(), offer.choice) {
        (true, Choice::Required) => Err(Rejection::invalid(
            "tool_choice",
            "Invalid 'tool_choice': it asks for a tool that the request does not offer.",
        )),
        (true, Choice::Auto) => Ok(None),
        (false, _) => Ok(Some(offer).filter(|_| kind != "none")),
    }
}
