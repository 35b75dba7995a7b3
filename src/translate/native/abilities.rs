//! What of a request a model takes as it is.

use crate::translate::ask::{AnswerFormat, Ask};
use crate::translate::model::{self, Modality, ModelInfo, Parameter};

/// What a model takes, as far as is known.
#[derive(Clone, Copy, Debug)]
pub struct Abilities<'m> {
    /// What the catalogue knows of it.
    pub card: Option<&'m ModelInfo>,
    /// What it has refused.
    pub lacking: Lacks,
}

/// What a model has refused, whatever the catalogue says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    pub tools: bool,
    pub format: bool,
    /// Whether it has refused a parameter without a word about which.
    pub parameters: bool,
    /// Whether it has refused to answer without reasoning.
    pub silence: bool,
    pub images: bool,
    pub audio: bool,
    pub video: bool,
}

impl Lacks {
    /// All that either has refused.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            format: self.format || other.format,
            parameters: self.parameters || other.parameters,
            silence: self.silence || other.silence,
            images: self.images || other.images,
            audio: self.audio || other.audio,
            video: self.video || other.video,
        }
    }

    /// Whether it has refused images, recordings or videos.
    pub fn takes_no(self, kind: Modality) -> bool {
        match kind {
            Modality::Image => self.images,
            Modality::Audio => self.audio,
            Modality::Video => self.video,
            Modality::Text | Modality::File => false,
        }
    }
}

impl Abilities<'_> {
    /// Whether a parameter is sent: the model takes it, or nobody knows.
    pub fn takes(&self, parameter: Parameter) -> bool {
        let has_refused = match parameter {
            Parameter::Tools | Parameter::ToolChoice => self.lacking.tools,
            Parameter::ResponseFormat | Parameter::StructuredOutputs => self.lacking.format,
            _ => self.lacking.parameters,
        };
        let listed = self.card.and_then(|card| card.supports(parameter));
        !has_refused && listed != Some(false)
    }

    /// Whether the model refuses to be told not to reason.
    pub fn must_reason(&self) -> bool {
        let reasoning = self.card.and_then(|card| card.reasoning);
        self.lacking.silence || reasoning == Some(model::Reasoning::Mandatory)
    }
}

/// Which of the large things of a request go as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Natively {
    pub tools: bool,
    pub format: bool,
}

impl Natively {
    /// What of this request a model takes.
    pub fn of(ask: &Ask<'_>, abilities: Abilities<'_>) -> Self {
        let has_calls = ask.tools.is_some() || ask.conversation.has_calls();
        let tools = !has_calls || abilities.takes(Parameter::Tools);
        let format = match ask.format {
            AnswerFormat::Text => true,
            AnswerFormat::JsonObject => abilities.takes(Parameter::ResponseFormat),
            AnswerFormat::JsonSchema(_) => abilities.takes(Parameter::StructuredOutputs),
        };
        Self {
            tools,
            // An answer that has to be JSON can hold no calls that are written into it.
            format: format && tools,
        }
    }
}
