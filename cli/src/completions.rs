//! `callgate completions`: what a shell asks when somebody presses the tab key.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::{args::Cli, output::print};

/// `callgate completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "For bash: `source <(callgate completions bash)` in ~/.bashrc; for zsh: \
`source <(callgate completions zsh)` in ~/.zshrc, after compinit; for fish: `callgate \
completions fish > ~/.config/fish/completions/callgate.fish`."
)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "callgate", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
