//! `withe man`: man pages of the command and its subcommands.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap_mangen::Man;

use crate::Outcome;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe man --dir ~/.local/share/man/man1      all pages: then `man withe-up` shows one
  withe man up > withe-up.1
  withe man up | man -l -                      look at one";

/// Print a man page, or write all of them to a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The subcommand whose page is printed; that of `withe` itself if not given.
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    subcommand: Option<String>,
    /// Write the pages of all commands to this folder.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the page for `command`, which is this one with all subcommands.
pub(crate) fn run(
    args: &Args,
    mut command: clap::Command,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    command.build();
    if let Some(folder) = &args.dir {
        fs::create_dir_all(folder)
            .with_context(|| format!("`{}` cannot be made", folder.display()))?;
        let mut written = 0;
        write(&command, folder, &mut written)?;
        let pages = crate::render::units::count(written, "page", "pages");
        terminal.say(&format!("{pages} in {}\n", folder.display()));
        return Ok(Outcome::Done);
    }
    let found = match &args.subcommand {
        None => &command,
        Some(name) => match command.find_subcommand(name) {
            Some(found) if !found.is_hide_set() => found,
            _ => bail!("there is no command `{name}`: `withe help` lists them"),
        },
    };
    let page = page(found)?;
    if std::io::stdout().is_terminal() {
        terminal.say("this is for `man`: `withe man … | man -l -` shows it\n");
    }
    terminal.print(&page)?;
    Ok(Outcome::Done)
}

/// The page of a command.
fn page(command: &clap::Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    // Its name is that of its page, with those of the commands above it.
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    Man::new(command.clone())
        .title(name.to_uppercase())
        .render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

fn write(command: &clap::Command, folder: &Path, written: &mut usize) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command)?)
        .with_context(|| format!("`{}` cannot be written", path.display()))?;
    *written += 1;
    let shown = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help");
    for subcommand in shown {
        write(subcommand, folder, written)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Cli::command();
        command.build();
        let mut written = 0;
        write(&command, folder.path(), &mut written).unwrap();
        let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
        for subcommand in shown.filter(|c| c.get_name() != "help") {
            let page = folder
                .path()
                .join(format!("withe-{}.1", subcommand.get_name()));
            let page = fs::read_to_string(page).unwrap();
            assert!(page.contains("Examples:"), "{page}");
        }
        let up = fs::read_to_string(folder.path().join("withe-up.1")).unwrap();
        assert!(up.contains("\\-\\-watch"), "{up}");
        assert!(folder.path().join("withe-wit-add.1").exists());
    }
}
