//! `cargo xtask dist`: the program as it is given away, its symbols apart, and the provider that is a component.
//!
//! The tables of lines are five sixths of a program that has them, and only a person who debugs it needs them. They go
//! to a file of their own, which debuggers find by the link in the program (`.gnu_debuglink`) or by its build id.
//! Cargo's `split-debuginfo` was the other way: on Linux it leaves the tables of lines, which are most of it, in the
//! program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{guests, process, ui, withe};

/// The most bytes of the program.
const MOST: u64 = 60_000_000;
/// The profile that is built.
const PROFILE: &str = "dist";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder to put the program, its symbols and the component in; `dist` beside what cargo builds if not given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Builds the program and takes it apart.
///
/// # Errors
///
/// The command does not compile, there is no `objcopy`, or the program is too large.
pub(crate) async fn run(args: Args) -> Result<()> {
    if !process::exists("objcopy") {
        bail!("`objcopy` is not on the path: install it with `sudo apt-get install binutils`");
    }
    let built = withe::build_with(PROFILE).await?;
    let folder = args
        .output
        .unwrap_or_else(|| withe::target_dir().join("dist"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (program, symbols) = (folder.join("withe"), folder.join("withe.debug"));
    ui::step("take the symbols out of the program");
    objcopy(&["--only-keep-debug".as_ref(), &built, &symbols]).await?;
    objcopy(&["--strip-debug".as_ref(), &built, &program]).await?;
    let mut link = Command::new("objcopy");
    // The link has the file's name alone, and a check sum of its bytes.
    link.current_dir(&folder)
        .args(["--add-gnu-debuglink=withe.debug", "withe"]);
    process::run("link the program to its symbols", &mut link, process::SHORT).await?;
    let size = fs::metadata(&program)?.len();
    if size > MOST {
        bail!(
            "{} has {size} bytes, and {MOST} are the most",
            program.display()
        );
    }
    let component = folder.join("keyvalue.wasm");
    fs::copy(guests::build_keyvalue().await?, &component)
        .with_context(|| format!("cannot write {}", component.display()))?;
    for path in [&program, &symbols, &component] {
        println!("{} ({} bytes)", path.display(), fs::metadata(path)?.len());
    }
    Ok(())
}

async fn objcopy(args: &[&Path]) -> Result<()> {
    let mut objcopy = Command::new("objcopy");
    process::run("copy the program", objcopy.args(args), process::SHORT).await
}
