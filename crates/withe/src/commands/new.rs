//! `withe new`: a folder with what a component, a provider or an application begins with.

mod template;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use clap::error::ErrorKind;
use withe_wit::name::is_kebab;

use crate::Outcome;
use crate::terminal::Terminal;
use crate::usage::usage;
use template::{Language, Names, Template, TemplateFile};

/// Names that cargo takes for no package, or Rust for no module.
const RESERVED: [&str; 50] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "yield",
];

const EXAMPLES: &str = "\
Examples:
  withe new hello                                 a component that answers HTTP requests
  withe new prices --template library             one that others link to
  withe new shop --template application           several, with a manifest and a key-value store
  withe new shop --template application --language javascript
                                                  the same in two languages, the other is Rust
  withe new hello --language python
  withe new shop --template application --language typescript
  withe new hello --language c
  withe new hello --language go
  withe new greeter --template provider --sdk ../withe";

/// Make a folder with what a component, a provider or an application begins with.
///
/// What is in it builds and has a test; its README says how it is built and run. Rust is built with `cargo build --release
/// --target wasm32-wasip2`, Python with `componentize-py`, JavaScript and TypeScript with `componentize-js` from npm, C with `make`, a compiler such as Zig's, `wit-bindgen` and `wasm-tools`, Go with `make`, `go`, `wit-bindgen` and `withe componentize`. Nothing is fetched: what builds it does that.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Its name: words in lower case joined by dashes. The folder is called like that.
    name: String,
    /// What it is to be.
    #[arg(long, value_enum, default_value = "http")]
    template: Template,
    /// The language to write it in; in the others than Rust there are `http` and `application`, whose other part is in Rust.
    #[arg(long, value_enum, default_value = "rust")]
    language: Language,
    /// Where the folder is made; here if not given.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// For a provider: a folder with Withe's sources, whose SDK is used in the place of that of Withe's repository.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let name = &args.name;
    if !is_kebab(name) || name.chars().any(|c| c.is_ascii_uppercase()) {
        let message = format!(
            "`{name}` is not a name: write words of lower-case letters and digits that begin with a letter, joined by \
             dashes, such as `my-app`"
        );
        return Err(usage("new", ErrorKind::InvalidValue, message));
    }
    if RESERVED.contains(&name.as_str()) {
        let message = format!("`{name}` is a word of Rust's own, or of cargo's: take another name");
        return Err(usage("new", ErrorKind::InvalidValue, message));
    }
    if args.sdk.is_some() && args.template != Template::Provider {
        let message = "only a provider has the SDK: leave out `--sdk`";
        return Err(usage("new", ErrorKind::ArgumentConflict, message));
    }
    if !args.template.is_in(args.language) {
        let language = args.language.name();
        let templates = Template::value_variants().iter();
        let there: Vec<_> = templates
            .filter(|template| template.is_in(args.language))
            .filter_map(|template| Some(template.to_possible_value()?.get_name().to_owned()))
            .collect();
        let message = format!(
            "in {language} there is only `--template {}`: choose from there, or leave out `--language`",
            there.join("` and `--template ")
        );
        return Err(usage("new", ErrorKind::ArgumentConflict, message));
    }
    let names = Names::new(name, args.sdk.as_deref())?;
    let folder = args.dir.join(name);
    make(&folder, &args.template.files(args.language)?, &names)?;
    terminal.print(&format!(
        "{} is {}; its README says how it is built and run\n",
        folder.display(),
        args.template.what()
    ))?;
    Ok(Outcome::Done)
}

/// Writes all files of a template.
fn make(folder: &Path, files: &[TemplateFile], names: &Names) -> anyhow::Result<()> {
    let is_taken = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            return Err(error).with_context(|| format!("`{}` cannot be used", folder.display()));
        }
    };
    if is_taken {
        bail!(
            "`{}` is there already, and nothing in it is replaced: take another name, or another folder with `--dir`",
            folder.display()
        );
    }
    for file in files {
        let path = folder.join(file.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&path, names.put_into(&file.text)));
        written.with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_in_order() {
        assert!(RESERVED.is_sorted());
    }
}
