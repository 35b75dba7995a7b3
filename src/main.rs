//! The command `fal-gateway`: reads its arguments and hands over.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use fal_gateway::cli::args::{Cli, Command, KeysCommand};
use fal_gateway::cli::{
    accounts, budgets, chat, check, completions, demo, doctor, emulator, eval, explain, health,
    init, keys, launch, man, models, reload, serve, store, terminal, usage,
};
use fal_gateway::observe::logging;
use mimalloc::MiMalloc;

/// Blocks of one size lie together, so that the part of a buffer that is never written to takes no memory,
/// also where a larger block was before.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let mut out = BufWriter::new(terminal::stdout());
    let outcome = run(Cli::parse().command, &mut out).and_then(|code| out.flush().map(|()| code));
    logging::finish();
    match outcome {
        Ok(code) => ExitCode::from(code),
        // Whoever reads our output has seen enough: `fal-gateway models | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            terminal::tell(format_args!("fal-gateway: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, out: &mut impl Write) -> io::Result<u8> {
    match command {
        Command::Serve(args) => serve::serve(&args.overrides.to_sources(), args.demo_without_key),
        Command::Demo(args) => demo::demo(&args, out),
        Command::Emulator(args) => emulator::emulate(args),
        Command::Chat(args) => chat::chat(&args, out),
        Command::Eval(args) => eval::eval(&args, out),
        Command::Models(args) => models::models(&args, out),
        Command::Explain(args) => explain::explain(&args, out),
        Command::Check(args) if args.reference => check::print_reference(out),
        Command::Check(args) => check::check(&args.overrides.to_sources(), out),
        Command::Doctor(args) => doctor::doctor(&args, out),
        Command::Health(args) => health::health(&args, out),
        Command::Keys(args) => match args.command {
            KeysCommand::Hash => keys::hash_key(&mut io::stdin().lock(), out),
            _ => accounts::keys(args, out),
        },
        Command::Projects(args) => accounts::projects(args, out),
        Command::Reload(args) => reload::reload(&args, out),
        Command::Replicas(args) => accounts::replicas(&args.overrides.to_sources(), out),
        Command::Store(args) => store::store(&args.command, &args.overrides.to_sources(), out),
        Command::Usage(args) => usage::usage(&args, out),
        Command::Budgets(args) => budgets::budgets(args, out),
        Command::Launch(args) => launch::launch(&args, out),
        Command::Init(args) if args.file.as_os_str() == "-" => init::print_template(out),
        Command::Init(args) => init::init(&args.file, out),
        Command::Man => man::print_man(out),
        Command::Completions(args) => completions::print_completions(args.shell, out),
    }
}
