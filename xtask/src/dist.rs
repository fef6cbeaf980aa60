//! `cargo xtask dist`: the release archive with the program and the provider that is a component; the program's symbols apart.
//!
//! The tables of lines are five sixths of a program that has them, names of functions another part, and only a person who debugs it needs
//! them. They go to a file of their own, which debuggers find by the link in the program (`.gnu_debuglink`) or by its build id.
//! Cargo's `split-debuginfo` was the other way: on Linux it leaves the tables of lines, which are most of it, in the
//! program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{guests, process, ui, withe};

/// The most bytes of the archive.
const MOST: u64 = 60_000_000;
/// The most bytes of the program in it, whose code is most of them: Cranelift, seven providers, and clients of their backends.
const MOST_UNPACKED: u64 = 80_000_000;
/// The profile that is built.
const PROFILE: &str = "dist";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder to put the archive and what is in it; `release-archive` beside what cargo builds if not given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Builds the program and takes it apart.
///
/// # Errors
///
/// The command does not compile, there is no `objcopy` or `xz`, or the archive or the program is too large.
pub(crate) async fn run(args: Args) -> Result<()> {
    for (tool, package) in [("objcopy", "binutils"), ("xz", "xz-utils")] {
        if !process::exists(tool) {
            bail!("`{tool}` is not on the path: install it with `sudo apt-get install {package}`");
        }
    }
    let built = withe::build_with(PROFILE).await?;
    let folder = args
        .output
        // Cargo itself has the folder `dist`, for what it builds with the profile.
        .unwrap_or_else(|| withe::target_dir().join("release-archive"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (program, symbols) = (folder.join("withe"), folder.join("withe.debug"));
    ui::step("take the symbols out of the program");
    objcopy(&["--only-keep-debug".as_ref(), &built, &symbols]).await?;
    objcopy(&["--strip-all".as_ref(), &built, &program]).await?;
    let mut link = Command::new("objcopy");
    // The link has the file's name alone, and a check sum of its bytes.
    link.current_dir(&folder)
        .args(["--add-gnu-debuglink=withe.debug", "withe"]);
    process::run("link the program to its symbols", &mut link, process::SHORT).await?;
    let component = folder.join("keyvalue.wasm");
    fs::copy(guests::build_keyvalue().await?, &component)
        .with_context(|| format!("cannot write {}", component.display()))?;
    ui::step("pack the archive");
    let archive = folder.join(format!(
        "withe-{}-{}.tar.xz",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    ));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&folder).arg("-cJf").arg(&archive);
    tar.args(["withe", "keyvalue.wasm"]);
    process::run("pack the archive", &mut tar, process::LONG).await?;
    for (path, most) in [
        (&program, MOST_UNPACKED),
        (&symbols, u64::MAX),
        (&component, u64::MAX),
        (&archive, MOST),
    ] {
        let size = fs::metadata(path)?.len();
        println!("{} ({size} bytes)", path.display());
        if size > most {
            bail!(
                "{} has {size} bytes, and {most} are the most",
                path.display()
            );
        }
    }
    Ok(())
}

async fn objcopy(args: &[&Path]) -> Result<()> {
    let mut objcopy = Command::new("objcopy");
    process::run("copy the program", objcopy.args(args), process::SHORT).await
}
