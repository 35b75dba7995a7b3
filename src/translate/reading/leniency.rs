//! The names under which it is told and counted what was forgiven in an answer.
//!
//! What was mended within JSON has names of its own: see [`Fix`](crate::translate::json::Fix).

/// Names, each with its constant, and the list of all of them.
macro_rules! leniencies {
    ($($(#[$about:meta])* $name:ident = $label:literal;)*) => {
        $($(#[$about])* pub const $name: &str = $label;)*
        /// All of them.
        pub const ALL: &[&str] = &[$($label),*];
    };
}

leniencies! {
    /// Other names for the members of a call, or a call without the list that was asked for.
    OTHER_MEMBER = "tool-member";
    /// A call in elements where JSON was asked for.
    MARKUP = "tool-markup";
    /// A call as a JSON object where something else was asked for.
    JSON = "tool-json";
    /// A block whose end is missing.
    UNCLOSED = "tool-unclosed";
    /// A call without the key of the conversation.
    WITHOUT_KEY = "tool-without-key";
    /// A name that had to be recognised.
    OTHER_NAME = "tool-name";
    /// Calls in a list, or with commas between them, where one after the other was asked for.
    LIST = "tool-list";
    /// More than one block.
    BLOCKS = "tool-blocks";
    /// A call whose name and arguments are attributes.
    ATTRIBUTES = "tool-attributes";
    /// A call in a fence after other text.
    FENCE = "tool-fence";
    /// A call among the tokens of a family of models.
    TOKENS = "tool-tokens";
    /// A call as a function of a program.
    FUNCTION = "tool-function";
    /// A call as `Action:` and `Action Input:`.
    ACTION = "tool-action";
    /// Arguments without names, which can be meant for one parameter each.
    POSITIONAL = "tool-positional";
    /// A call inside the tag of a tool's result, or what stands for one.
    RESULT = "tool-result";
    /// A placeholder of the form that was shown, in place of a name.
    PLACEHOLDER = "tool-placeholder";
    /// The arguments of a tool without its name, where a call was due and they fit no other tool.
    ARGUMENTS_ALONE = "tool-arguments";
    /// A call with something else before or after it, where nothing but calls was due.
    AMID = "tool-amid-text";
    /// Tags of the conversation's record before the answer or around it.
    RECORD_TAGS = "record-tags";
    /// More of the record behind the answer.
    RECORD_CONTINUED = "record-continued";
}
