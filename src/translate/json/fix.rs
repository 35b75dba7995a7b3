//! What was done to a text before it could be used.

use std::fmt;

/// The kinds of change, each with its name for headers and metrics.
macro_rules! fixes {
    ($($(#[$about:meta])* $fix:ident = $label:literal;)*) => {
        /// One kind of change to what a model wrote.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fix {
            $($(#[$about])* $fix,)*
        }

        impl Fix {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$fix),*];

            /// A stable name for headers and metrics.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$fix => $label,)*
                }
            }
        }
    };
}

fixes! {
    /// A Markdown fence around the JSON was left out.
    Fence = "fence";
    /// Prose before or after the JSON was left out.
    Prose = "prose";
    /// The JSON stood in a JSON string, and was taken out of it.
    Unwrapped = "unwrapped";
    /// Control characters in strings, such as line ends, were escaped.
    ControlCharacter = "control-character";
    /// Backslashes that begin no escape JSON knows were doubled.
    InvalidEscape = "invalid-escape";
    /// Commas before a closer were left out.
    TrailingComma = "trailing-comma";
    /// Closers after the end were left out.
    SurplusCloser = "surplus-closer";
    /// Typographic quotation marks around strings were made plain.
    SmartQuotes = "smart-quotes";
    /// Single quotes around strings were made double.
    SingleQuotes = "single-quotes";
    /// Python's `True`, `False` and `None` were spelled as in JSON.
    PythonLiteral = "python-literal";
    /// Comments were left out.
    Comment = "comment";
    /// Names of members were put in quotes.
    UnquotedKey = "unquoted-key";
    /// The text broke off; what was open was closed and what was unfinished left out.
    Closed = "closed";
    /// A string became the number it spells.
    StringToNumber = "string-to-number";
    /// A string became the boolean it spells.
    StringToBoolean = "string-to-boolean";
    /// A string became the array or object it spells.
    StringToJson = "string-to-json";
    /// A single value became an array of one.
    ValueToArray = "value-to-array";
    /// A string took the upper and lower case of the schema's `enum`.
    EnumCase = "enum-case";
    /// A whole number lost its empty fraction.
    FloatToInteger = "float-to-integer";
    /// Commas between the groups of a number's digits were left out.
    ThousandsSeparator = "thousands-separator";
    /// The values stood in the `properties` of a copy of the schema, and were taken out of it.
    SchemaEcho = "schema-echo";
    /// The arguments stood as one object in a parameter named by a placeholder.
    Placeholder = "placeholder";
    /// Arguments that were written as nothing (`""`, `null`, `[]`) became an empty object.
    NoArguments = "no-arguments";
}

impl Fix {
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
