//! `fal-gateway chat`: one question, answered in the terminal.

use std::io::{self, IsTerminal, Write};

use super::args::ChatArgs;
use super::client::{AskError, Client, Piece, Question};
use super::terminal::tell;

/// Asks a running gateway and writes the answer as it comes. The exit code is 0 if it came.
///
/// # Errors
/// When the output cannot be written.
pub fn chat(args: &ChatArgs, out: &mut impl Write) -> io::Result<u8> {
    let client = Client::new(&args.gateway.url, args.key.as_ref()).map_err(io::Error::other)?;
    let prompt = args.prompt.join(" ");
    let question = Question {
        model: args.model.as_deref(),
        system: args.system.as_deref(),
        prompt: &prompt,
        reasoning: args.reasoning,
    };
    let mut was_reasoning = false;
    let mut write_piece = |piece: Piece<'_>| {
        if was_reasoning != piece.is_reasoning {
            out.write_all(if piece.is_reasoning {
                b"[reasoning] "
            } else {
                b"\n\n"
            })?;
            was_reasoning = piece.is_reasoning;
        }
        out.write_all(piece.text.as_bytes())?;
        out.flush()
    };
    let answering = async { client.ask(&question, &mut write_piece).await };
    match actix_web::rt::System::new().block_on(answering) {
        Ok(answer) => {
            writeln!(out)?;
            if io::stderr().is_terminal() {
                tell(answer.summary());
            }
            Ok(0)
        }
        Err(AskError::Output(error)) => Err(error),
        Err(error) => {
            out.flush()?;
            tell(format_args!("fal-gateway: {error}"));
            Ok(1)
        }
    }
}
