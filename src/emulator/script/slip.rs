//! The ways in which a model goes wrong that was told how to call tools or how to shape its answer.

/// One slip. Slips combine: what is called, how it is written and what stands around it can each
/// be wrong at once. Where two exclude each other, the one listed first here is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slip {
    /// Tools: no text at all.
    CallNothing,
    /// Tools: plain text, although a call was due.
    CallInProse,
    /// Tools: the form of a call as an example in a fence, in an answer that is no call.
    CallQuoted,
    /// Tools: a call of a tool that was not offered.
    CallUnknown,
    /// Tools: the name in another case.
    CallCase,
    /// Tools: `functions.` before the name.
    CallPrefix,
    /// Tools: numbers and truth values as strings.
    CallTypes,
    /// Tools: lists as strings that hold JSON.
    CallLists,
    /// Tools: a required argument is missing.
    CallMissing,
    /// Tools: an argument that the tool does not have.
    CallExtra,
    /// Tools: two calls where one was due.
    CallParallel,
    /// Tools: another name for the key of the arguments.
    CallParameters,
    /// Tools: the arguments as a string that holds JSON.
    CallString,
    /// Tools: Python's literals in place of JSON's.
    CallPython,
    /// Tools: commas before closing brackets.
    CallTrailing,
    /// Tools: typographic quotation marks.
    CallSmart,
    /// Tools: names of members without quotation marks.
    CallKeys,
    /// Tools: a comment inside the JSON.
    CallComment,
    /// Tools: one closing brace too many.
    CallBraces,
    /// Tools: escapes that JSON does not know, and raw line breaks in strings.
    CallEscape,
    /// Tools: no envelope at all, only JSON.
    CallBareJson,
    /// Tools: OpenAI's own envelope.
    CallOpenAi,
    /// Tools: an envelope of other tags.
    CallRenamed,
    /// Tools: elements for the call and its parameters, in an envelope of other tags.
    CallMarkup,
    /// Tools: the envelope without its key.
    CallNoKey,
    /// Tools: the envelope with a wrong key.
    CallWrongKey,
    /// Tools: the block twice.
    CallTwice,
    /// Tools: the block inside a fence.
    CallFenced,
    /// Tools: much prose before the block.
    CallAfterProse,
    /// Tools: a result made up after the block.
    CallFabricated,
    /// Tools: prose after the block.
    CallThenProse,
    /// Tools: the block's closing tags are missing.
    CallUnclosed,
    /// Tools: the answer ends in the middle of the block.
    CallTruncated,
    /// Tools: the answer opens with the tag of a result, and the calls follow as bare JSON.
    CallAfterResult,
    /// Tools: a result made up in the place of a call, as JSON.
    CallClaimed,
    /// Tools: the name and the arguments as attributes of an element.
    CallAttributes,
    /// Tools: commas between the calls.
    CallCommas,
    /// Tools: the block is opened, and nothing follows.
    CallOpened,
    /// Tools: prose, then the calls' JSON in a fence.
    CallShown,
    /// Tools: the arguments inside a copy of their schema.
    CallEcho,
    /// Tools: the tool's definition, with values in the place of its schema's.
    CallDefinition,
    /// Tools: the name that the form was shown with, in place of the tool's.
    CallPlaceholder,
    /// Tools: all arguments as one, under a name like the one that the form was shown with.
    CallAsOneParameter,
    /// Tools: a block of its own for each call.
    CallBlocks,
    /// Tools: the arguments alone, without a name.
    CallUnnamed,
    /// Tools: the calls' JSON in the midst of a sentence.
    CallAmid,
    /// Tools: an empty string for no arguments.
    CallNoArguments,
    /// Tools: commas between the thousands of numbers.
    CallThousands,
    /// Tools: words that were to be chosen from a list in other letters.
    CallEnum,
    /// Tools: whole numbers with a fraction of nothing.
    CallFloats,
    /// Tools: the only item of a list in place of the list.
    CallSingle,
    /// Tools: Llama's form.
    CallLlama,
    /// Tools: Mistral's form.
    CallMistral,
    /// Tools: DeepSeek's form.
    CallDeepSeek,
    /// Tools: Kimi's form.
    CallKimi,
    /// Tools: the form of gpt-oss.
    CallGptOss,
    /// Tools: functions in a list, as in Python.
    CallPythonic,
    /// Tools: functions in a fence, as Gemini does.
    CallCode,
    /// Tools: functions whose arguments have no names.
    CallPositional,
    /// Tools: an action and its input, as ReAct has them.
    CallAction,
    /// A record of the conversation: the record again, then the reply.
    TurnRecord,
    /// A record or not: nothing, and when that was found wrong, the words that found it so.
    TurnCorrection,
    /// A record of the conversation: the reply in the tags of a turn.
    TurnTagged,
    /// A record of the conversation: more turns after the reply, the user's and its own.
    TurnInvented,
    /// JSON: a refusal in its place.
    JsonRefused,
    /// JSON: no text at all.
    JsonEmpty,
    /// JSON: a value that its schema does not allow.
    JsonWrong,
    /// JSON: the object that was shown as an example, as it is.
    JsonExample,
    /// JSON: numbers and truth values as strings.
    JsonTypes,
    /// JSON: the value inside a list.
    JsonArray,
    /// JSON: Python's literals.
    JsonPython,
    /// JSON: commas before closing brackets.
    JsonTrailing,
    /// JSON: typographic quotation marks.
    JsonSmart,
    /// JSON: names of members without quotation marks.
    JsonKeys,
    /// JSON: a comment inside.
    JsonComment,
    /// JSON: one closing brace too many.
    JsonBraces,
    /// JSON: escapes that JSON does not know, and raw line breaks in strings.
    JsonEscape,
    /// JSON: the value inside a copy of its schema.
    JsonEcho,
    /// JSON: commas between the thousands of numbers.
    JsonThousands,
    /// JSON: a colon is missing.
    JsonInvalid,
    /// JSON: a string that holds the JSON.
    JsonString,
    /// JSON: inside a Markdown fence.
    JsonFenced,
    /// JSON: prose before and after it.
    JsonProse,
    /// JSON: its second half is missing.
    JsonTruncated,
}

impl Slip {
    /// Whether a model makes it that is handed tools and schemas apart from the text: it calls by
    /// name, so that nothing can go wrong with the form of its calls, it reads no record, and it is
    /// shown no example.
    pub(super) fn is_native(self) -> bool {
        let is_of_an_answer = self >= Self::JsonRefused && self != Self::JsonExample;
        let is_of_a_call = matches!(
            self,
            Self::CallNothing
                | Self::CallInProse
                | Self::CallUnknown
                | Self::CallCase
                | Self::CallPrefix
                | Self::CallTypes
                | Self::CallLists
                | Self::CallMissing
                | Self::CallExtra
                | Self::CallParallel
                | Self::CallEcho
                | Self::CallEnum
                | Self::CallFloats
                | Self::CallSingle
        );
        is_of_a_call || is_of_an_answer
    }
}
