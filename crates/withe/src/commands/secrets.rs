//! `withe secrets`: the secrets that a lattice keeps.

use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use withe_node::secrets::{self, KeptSecret};

use super::config_args;
use super::key_args::{KeyArgs, SealArgs};
use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::render::date::date;
use crate::render::table::table;
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe secrets put shop/api-key --seal-key seal.key < api-key
  withe secrets put shop/api-key --seal-key seal.key --file /run/secrets/api-key
  withe secrets list
  withe secrets remove shop/api-key

A host has them by `withe host --seal-key seal.key --secrets vault=lattice`: then the policies of manifests whose backend is
`vault` have keys such as `shop/api-key`.";

/// Keep secrets in a lattice, each value sealed with the lattice's key.
///
/// Readers of the lattice without that key see names, versions and dates. A value is never an argument, which other
/// users of the machine could read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Put a value under a name, as another version of what is there.
    Put(Put),
    /// Show names, versions and when they were put.
    List(List),
    /// Remove a secret with all its versions.
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
struct Put {
    /// The secret's name: the prefix of a host's backend, if it has one, and the key in manifests.
    #[arg(value_name = "NAME")]
    name: String,
    /// A file that holds the value; `-` is standard input. One line break at the end does not belong to it.
    #[arg(long, value_name = "FILE", default_value = "-")]
    file: String,
    #[command(flatten)]
    seal: SealArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    lattice: LatticeArgs,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// The secret's name.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    lattice: LatticeArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &args.action {
        Action::Put(args) => put(args, terminal),
        Action::List(args) => block_on(list(args, terminal)),
        Action::Remove(args) => block_on(remove(args, terminal)),
    }
}

fn put(args: &Put, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let name = &args.name;
    let Some(seal_key) = args.seal.read()? else {
        bail!(
            "`{name}` is not put: values are sealed with the lattice's key for them; give it by `--seal-key`, which `withe \
             lattice init` makes"
        );
    };
    let member = args.key.read()?;
    if args.file == "-" && std::io::stdin().is_terminal() {
        terminal.say("type the value, which this terminal shows, and end it with Ctrl-D\n");
    }
    let value = config_args::read(&args.file)
        .with_context(|| format!("the value of `{name}` cannot be read"))?;
    block_on(async {
        let lattice = args.lattice.connect().await?;
        args.key.warn(&*lattice, terminal).await?;
        let version = secrets::put(&*lattice, name, &value, member.as_ref(), &seal_key);
        let version = version
            .await
            .with_context(|| format!("`{name}` is not put"))?;
        terminal.say(&format!("`{name}` has version {version}\n"));
        Ok(Outcome::Done)
    })
}

async fn list(args: &List, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let lattice = args.lattice.connect().await?;
    let all = secrets::list(&*lattice).await?;
    let text = match args.json {
        true => crate::render::json::text(&all)?,
        false => rows(&all),
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

/// A line for each secret. Names of secrets are people's, or forged: what a terminal would obey is escaped.
fn rows(all: &[KeptSecret]) -> String {
    let rows = all.iter().map(|secret| {
        let versions = secret.versions.iter().map(|v| v.version.to_string());
        let newest = secret.versions.last();
        [
            secret.name.escape_debug().to_string(),
            versions.collect::<Vec<_>>().join(", "),
            newest.map_or_else(String::new, |newest| date(newest.put)),
            newest
                .and_then(|newest| newest.seal_key.clone())
                .unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let rows: Vec<_> = rows.collect();
    table(["NAME", "VERSIONS", "PUT", "SEALED WITH"], &rows)
}

async fn remove(args: &Remove, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (name, member) = (&args.name, args.key.read()?);
    let lattice = args.lattice.connect().await?;
    args.key.warn(&*lattice, terminal).await?;
    if secrets::remove(&*lattice, name, member.as_ref()).await? {
        terminal.say(&format!(
            "`{name}` is removed; what runs with its value keeps it until it is prepared anew\n"
        ));
        return Ok(Outcome::Done);
    }
    bail!("the lattice has no secret `{name}`; `withe secrets list` shows those there are")
}

#[cfg(test)]
mod tests {
    use withe_node::secrets::KeptVersion;

    use super::*;

    #[test]
    fn a_secret_has_a_line_without_its_value() {
        let version = |version, put| KeptVersion {
            version,
            put,
            seal_key: Some("00ff".into()),
        };
        let all = [KeptSecret {
            name: "shop/a\u{1b}[2J".into(),
            versions: vec![version(3, 0), version(4, 1_798_761_599_999)],
        }];
        insta::assert_snapshot!(rows(&all), @r"
        NAME             VERSIONS  PUT                   SEALED WITH
        shop/a\u{1b}[2J  3, 4      2026-12-31T23:59:59Z  00ff
        ");
    }
}
