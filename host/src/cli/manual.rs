//! `attar completions` and `attar man`.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use attar::support::files;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print, print_as_it_is};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// The folder that the pages are written to, as in ~/.local/share/man/man1.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "attar", &mut script);
    print_as_it_is(String::from_utf8_lossy(&script).trim_end())
}

pub(super) fn man(arguments: &ManArguments) -> Result<()> {
    fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let mut command = Cli::command().name("attar");
    command.build();
    let pages = std::iter::once((String::from("attar"), command.clone()))
        .chain(command.get_subcommands().map(|sub| (format!("attar-{}", sub.get_name()), sub.clone())));
    let mut count = 0;
    for (name, command) in pages.filter(|(name, _)| name != "attar-help") {
        let mut page = Vec::new();
        rendered(command.display_name(name.clone()), &name, &mut page)?;
        files::write_whole(&arguments.out.join(format!("{name}.1")), &page)?;
        count += 1;
    }
    print(&format!("{}: {count} pages, `man -l {0}/attar.1` shows the first", arguments.out.display()))
}

fn rendered(command: clap::Command, name: &str, page: &mut Vec<u8>) -> io::Result<()> {
    clap_mangen::Man::new(command).title(name.to_uppercase()).render(page)
}
