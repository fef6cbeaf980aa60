//! `withe compose`: links components into one at build time.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::error::ErrorKind;
use withe_compose::{DocumentError, WacError};
use withe_linker::diagnostic::Label;
use withe_linker::{Diagnostic, Span};
use withe_load::codes::COMPOSE_FAILED;
use withe_load::{Artifact, SourceText};

use crate::Outcome;
use crate::render::diagnostics;
use crate::render::units::bytes;
use crate::terminal::Terminal;
use crate::usage::{Expected, usage};

const EXAMPLES: &str = "\
Examples:
  withe compose --plug page.wasm router.wasm -o front.wasm
  withe compose --plug log.wasm --plug page.wasm router.wasm -o front.wasm
  withe compose front.wac --dep shop:router=router.wasm --dep shop:page=page.wasm -o front.wasm";

/// Link components into one component.
///
/// With `--plug`, exports of each DEP satisfy imports of SOCKET, and of one another, by name and type.
/// With a WAC file, the composition is what the file says. The result is written whole or not at all.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The component whose imports are satisfied, or a WAC file.
    #[arg(value_name = "SOCKET|FILE.wac")]
    file: PathBuf,
    /// A component to plug in; may be given several times.
    #[arg(long = "plug", value_name = "DEP", conflicts_with = "deps")]
    plugs: Vec<PathBuf>,
    /// A package that the WAC file names, and its file; may be given several times.
    #[arg(long = "dep", value_name = "NAME=PATH", value_parser = dependency)]
    deps: Vec<(String, PathBuf)>,
    /// Where the composed component is written; replaced if it is there.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

fn dependency(text: &str) -> Result<(String, PathBuf), Expected> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.into(), path.into()))
        }
        _ => Err(Expected("`NAME=PATH`, such as `shop:cart=cart.wasm`")),
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let wac = args
        .file
        .extension()
        .is_some_and(|extension| extension == "wac")
        || !args.deps.is_empty();
    if !wac && args.plugs.is_empty() {
        let message =
            "nothing to compose: give `--plug DEP` for each component to plug in, or a `.wac` file";
        return Err(usage(
            "compose",
            ErrorKind::MissingRequiredArgument,
            message,
        ));
    }
    if wac && !args.plugs.is_empty() {
        let message =
            "`--plug` is for a socket: a `.wac` file takes its components with `--dep NAME=PATH`";
        return Err(usage("compose", ErrorKind::ArgumentConflict, message));
    }
    let inputs = std::iter::once(&args.file)
        .chain(&args.plugs)
        .chain(args.deps.iter().map(|(_, path)| path));
    for input in inputs {
        if same_file(input, &args.output) {
            let message = format!(
                "the output `{}` is one of the inputs: name another file",
                input.display()
            );
            return Err(usage("compose", ErrorKind::ArgumentConflict, message));
        }
    }
    let composed = if wac {
        from_wac(args, terminal)?
    } else {
        from_plugs(args, terminal)?
    };
    let Some(composed) = composed else {
        return Ok(Outcome::Problems);
    };
    write_whole(&args.output, &composed)
        .with_context(|| format!("`{}` cannot be written", args.output.display()))?;
    terminal.say(&format!(
        "wrote {}: {}\n",
        args.output.display(),
        bytes(composed.len())
    ));
    Ok(Outcome::Done)
}

fn from_plugs(args: &Args, terminal: &Terminal) -> anyhow::Result<Option<Vec<u8>>> {
    // All are read before giving up, so that all that is wrong is reported.
    let socket = read(&args.file, terminal);
    let plugs: Vec<_> = args.plugs.iter().map(|path| read(path, terminal)).collect();
    let (Some(socket), Some(plugs)) = (socket, plugs.into_iter().collect::<Option<Vec<_>>>())
    else {
        return Ok(None);
    };
    let files: Vec<_> = std::iter::once(&args.file).chain(&args.plugs).collect();
    let mut names = withe_compose::plug_names(&files).into_iter();
    let name = names.next().unwrap_or_default();
    let plugs: Vec<_> = names
        .zip(plugs)
        .map(|(name, plug)| (name, plug.bytes.to_vec()))
        .collect();
    match withe_compose::plug((&name, &socket.bytes), &plugs) {
        Ok(composed) => Ok(Some(composed)),
        Err(error) => {
            for problem in &error.problems {
                let problem = Diagnostic::error(COMPOSE_FAILED, problem.to_string());
                terminal.say(&diagnostics::single(terminal, &problem));
            }
            Ok(None)
        }
    }
}

fn from_wac(args: &Args, terminal: &Terminal) -> anyhow::Result<Option<Vec<u8>>> {
    let text = fs::read_to_string(&args.file)
        .with_context(|| format!("`{}` cannot be read", args.file.display()))?;
    let deps: Vec<_> = args
        .deps
        .iter()
        .map(|(name, path)| (name, read(path, terminal)))
        .collect();
    let deps: Option<Vec<_>> = deps
        .into_iter()
        .map(|(name, artifact)| Some((name.clone(), artifact?.bytes.to_vec())))
        .collect();
    let Some(deps) = deps else { return Ok(None) };
    match withe_compose::wac(&text, &args.file.to_string_lossy(), &deps) {
        Ok(composed) => Ok(Some(composed)),
        Err(WacError::Document(error)) => {
            let source = SourceText {
                path: args.file.clone(),
                text,
            };
            terminal.say(&diagnostics::placed(terminal, &source, &problem(error)));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The error in a WAC document, as a diagnostic in it.
fn problem(error: DocumentError) -> Diagnostic {
    let mut problem = Diagnostic::error(COMPOSE_FAILED, error.message);
    let mut labels = error.places.into_iter().map(|place| Label {
        span: Span {
            start: place.start,
            end: place.end,
        },
        text: place.label.unwrap_or_default(),
    });
    problem.primary = labels.next();
    problem.related.extend(labels);
    problem.help = error.help;
    problem
}

/// The component in a file; `None`, and said why, if there is none.
fn read(path: &Path, terminal: &Terminal) -> Option<Artifact> {
    Artifact::read(path)
        .inspect_err(|error| terminal.say(&diagnostics::single(terminal, &error.diagnostic())))
        .ok()
}

/// Whether both lead to one file that exists.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Writes a file of its own beside `path` and gives it its name once it is whole: readers of `path`
/// see the old component or the new one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".withe-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As any new file; what the user's mask takes away is taken away.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
