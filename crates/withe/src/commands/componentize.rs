//! `withe componentize`: makes a component of a core module.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wit_parser::{Resolve, WorldId};

use super::compose::write_whole;
use crate::Outcome;
use crate::render::units::bytes;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe componentize module.wasm --wit wit -o cart.wasm
  withe componentize module.wasm --wit wit --world service -o cart.wasm
  withe componentize program.wasm -o tool.wasm                a program for `wasip1`, as a command";

/// Make a component of a core module.
///
/// For languages whose compilers make core modules, such as Go's. The WIT says what the module imports and exports; a module that says so itself,
/// as those that link C bindings do, needs none. Its imports of WASI 0.1 (`wasip1`) become imports of WASI 0.2. A
/// program becomes a command. The result is written whole or not at all.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The core module.
    #[arg(value_name = "MODULE.wasm")]
    file: PathBuf,
    /// The folder, or the file, of WIT that has the world.
    #[arg(long, value_name = "DIR|FILE")]
    wit: Option<PathBuf>,
    /// The world; the only one of the package if not given.
    #[arg(long, value_name = "WORLD", requires = "wit")]
    world: Option<String>,
    /// Where the component is written; replaced if it is there.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let file = args.file.display();
    let module = fs::read(&args.file).with_context(|| format!("`{file}` cannot be read"))?;
    let world = match &args.wit {
        Some(wit) => Some(read(wit, args.world.as_deref())?),
        None => None,
    };
    let world = world.as_ref().map(|(resolve, world)| (resolve, *world));
    let component = withe_compose::componentize(&module, world)
        .with_context(|| format!("`{file}` does not become a component"))?;
    write_whole(&args.output, &component)
        .with_context(|| format!("`{}` cannot be written", args.output.display()))?;
    terminal.say(&format!(
        "wrote {}: {}\n",
        args.output.display(),
        bytes(component.len())
    ));
    Ok(Outcome::Done)
}

/// The world of that name in a folder or a file of WIT.
fn read(wit: &Path, world: Option<&str>) -> anyhow::Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let shown = wit.display();
    let pushed = resolve.push_path(wit);
    let (package, _) = pushed.with_context(|| format!("`{shown}` has no package of WIT"))?;
    let found = resolve.select_world(&[package], world);
    let world = found.with_context(|| match world {
        Some(world) => format!("`{shown}` has no world `{world}`"),
        None => format!("`{shown}` does not say which world is meant: `--world` does"),
    })?;
    Ok((resolve, world))
}
