//! What was done to a text before it could be used.

use std::fmt;

/// One kind of change to what a model wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fix {
    /// A Markdown fence around the JSON was left out.
    Fence,
    /// Prose before or after the JSON was left out.
    Prose,
    /// The JSON stood in a JSON string, and was taken out of it.
    Unwrapped,
    /// Control characters in strings, such as line ends, were escaped.
    ControlCharacter,
    /// Backslashes that begin no escape JSON knows were doubled.
    InvalidEscape,
    /// Commas before a closer were left out.
    TrailingComma,
    /// Closers after the end were left out.
    SurplusCloser,
    /// Typographic quotation marks around strings were made plain.
    SmartQuotes,
    /// Single quotes around strings were made double.
    SingleQuotes,
    /// Python's `True`, `False` and `None` were spelled as in JSON.
    PythonLiteral,
    /// Comments were left out.
    Comment,
    /// Names of members were put in quotes.
    UnquotedKey,
    /// The text broke off; what was open was closed and what was unfinished left out.
    Closed,
    /// A string became the number it spells.
    StringToNumber,
    /// A string became the boolean it spells.
    StringToBoolean,
    /// A string became the array or object it spells.
    StringToJson,
    /// A single value became an array of one.
    ValueToArray,
    /// A string took the upper and lower case of the schema's `enum`.
    EnumCase,
    /// A whole number lost its empty fraction.
    FloatToInteger,
    /// Commas between the groups of a number's digits were left out.
    ThousandsSeparator,
    /// The values stood in the `properties` of a copy of the schema, and were taken out of it.
    SchemaEcho,
    /// The arguments stood as one object in a parameter named by a placeholder.
    Placeholder,
    /// Arguments that were written as nothing (`""`, `null`, `[]`) became an empty object.
    NoArguments,
}

impl Fix {
    /// A stable name for headers and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Prose => "prose",
            Self::Unwrapped => "unwrapped",
            Self::ControlCharacter => "control-character",
            Self::InvalidEscape => "invalid-escape",
            Self::TrailingComma => "trailing-comma",
            Self::SurplusCloser => "surplus-closer",
            Self::SmartQuotes => "smart-quotes",
            Self::SingleQuotes => "single-quotes",
            Self::PythonLiteral => "python-literal",
            Self::Comment => "comment",
            Self::UnquotedKey => "unquoted-key",
            Self::Closed => "closed",
            Self::StringToNumber => "string-to-number",
            Self::StringToBoolean => "string-to-boolean",
            Self::StringToJson => "string-to-json",
            Self::ValueToArray => "value-to-array",
            Self::EnumCase => "enum-case",
            Self::FloatToInteger => "float-to-integer",
            Self::ThousandsSeparator => "thousands-separator",
            Self::SchemaEcho => "schema-echo",
            Self::Placeholder => "placeholder",
            Self::NoArguments => "no-arguments",
        }
    }

    /// Whether all that the model had to say is still there. `Closed` is the exception: half a
    /// file is not the file, so whoever acts on the result decides whether half will do.
    pub const fn is_lossless(self) -> bool {
        !matches!(self, Self::Closed)
    }

    /// Adds this to fixes in the order of their first use; that it was needed is what counts, not
    /// how often.
    pub(super) fn note(self, fixes: &mut Vec<Self>) {
        if !fixes.contains(&self) {
            fixes.push(self);
        }
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.label())
    }
}
