//! `withe lattice`: the keys of a lattice and of its members, and their rights on a NATS server.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use withe_lattice::names;
use withe_lattice::permissions::NatsRights;
use withe_trust::{
    Role, RootKey, SealKey, UnknownRole, read_root, write_lattice, write_member, write_seal,
};

use super::key_args::seconds;
use crate::Outcome;
use crate::render::json;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe lattice init                                     a lattice's keys, one of a host and one of a deployer
  withe lattice init --nats --lattice-name shop          and what to write in the NATS server's configuration
  withe lattice grant --role host --name east-1
  withe lattice grant --role deployer --name ci --days 90
  withe lattice seal-key --dir new-keys                  another key for secret values

Then `withe host --trust root.pub --key east-1.key` acts only on what somebody who may has signed, and
`withe up APP.yaml --key ci.key` signs an application.";

/// A day in seconds.
const DAY: u64 = 86_400;

/// Make the keys by which the members of a lattice know who may do what.
///
/// Without keys, whoever may write to a lattice's buckets is a member and may do everything. With them a host acts only
/// on applications that a deployer has signed, and believes only hosts that have a key.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make the key of a lattice, keys for a host and a deployer, and the one for secret values.
    Init(Init),
    /// Make a further key, and sign it with the lattice's.
    Grant(Grant),
    /// Make a key for secret values only: for a lattice that has none, or in the place of one.
    SealKey(SealKeyArgs),
}

#[derive(Debug, clap::Args)]
struct SealKeyArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Init {
    #[command(flatten)]
    folder: FolderArgs,
    /// Also print accounts for a NATS server, with what users of each role may do.
    #[arg(long)]
    nats: bool,
    /// The lattice's name, for `--nats`.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        env = "WITHE_LATTICE_NAME"
    )]
    lattice_name: String,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Grant {
    #[command(flatten)]
    folder: FolderArgs,
    /// The role: `deployer` puts applications, `host` runs them, `viewer` looks.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
    /// Whose key it is: a host, or somebody who deploys. The key is written to NAME.key.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// For how many days the key counts; for ever without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: Option<u64>,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct FolderArgs {
    /// The folder of the keys, which is closed to other users.
    #[arg(long, value_name = "DIR", default_value = "withe-keys")]
    dir: PathBuf,
}

fn role(text: &str) -> Result<Role, UnknownRole> {
    text.parse()
}

/// The files of a new lattice.
#[derive(Serialize)]
struct Made {
    root: PathBuf,
    public: PathBuf,
    host: PathBuf,
    deployer: PathBuf,
    seal: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    nats: Option<String>,
}

/// A new key for secret values.
#[derive(Serialize)]
struct MadeSeal {
    key: PathBuf,
    id: String,
}

/// A new key.
#[derive(Serialize)]
struct Granted {
    role: Role,
    name: String,
    key: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &args.action {
        Action::Init(args) => init(args, terminal),
        Action::Grant(args) => grant(args, terminal),
        Action::SealKey(args) => seal_key(args, terminal),
    }
}

fn init(args: &Init, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let folder = &args.folder.dir;
    let root = RootKey::generate()?;
    let [key, public] = write_lattice(folder, &root).context("no key was made")?;
    let member = |role: Role| -> anyhow::Result<PathBuf> {
        Ok(write_member(
            folder,
            &root.certify(role, role.name(), None)?,
        )?)
    };
    let made = Made {
        root: key,
        public,
        host: member(Role::Host)?,
        deployer: member(Role::Deployer)?,
        seal: write_seal(folder, &SealKey::generate()?)?,
        nats: args.nats.then(|| accounts(&args.lattice_name)),
    };
    let text = match args.json {
        true => json::text(&made)?,
        false => made.explained(),
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

fn seal_key(args: &SealKeyArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let key = SealKey::generate()?;
    let made = MadeSeal {
        key: write_seal(&args.folder.dir, &key).context("no key was made")?,
        id: key.id().to_string(),
    };
    let text = match args.json {
        true => json::text(&made)?,
        false => made.explained(),
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

fn grant(args: &Grant, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let folder = &args.folder.dir;
    let root = read_root(folder).with_context(|| {
        format!(
            "the lattice's key is not used, which `withe lattice init --dir {}` makes",
            folder.display()
        )
    })?;
    let expires = args.days.map(|days| seconds() + days * DAY);
    let member = root.certify(args.role, &args.name, expires)?;
    let granted = Granted {
        role: args.role,
        name: args.name.clone(),
        key: write_member(folder, &member)?,
        expires,
    };
    let text = match args.json {
        true => json::text(&granted)?,
        false => granted.explained(),
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

impl Made {
    fn explained(&self) -> String {
        let Self {
            root,
            public,
            host,
            deployer,
            seal,
            nats,
        } = self;
        let [root, public, host, deployer, seal] =
            [root, public, host, deployer, seal].map(|p| p.display());
        let mut text = format!(
            "\
made the keys of a lattice:
  {root}  signs other keys; keep it where no host is
  {public}  says whom hosts trust; anybody may know it
  {host}  is a host's; make each host one of its own by `withe lattice grant --role host --name NAME`
  {deployer}  is a deployer's
  {seal}  seals secret configuration; give all hosts and deployers the same, and no viewer

start each host, and deploy, with
  withe host --trust {public} --key {host} --seal-key {seal}
  withe up APP.yaml --key {deployer} --seal-key {seal}
"
        );
        if let Some(nats) = nats {
            text += "\nfor the configuration of the NATS server, with passwords in its environment:\n\n";
            text += nats;
        }
        text
    }
}

impl MadeSeal {
    fn explained(&self) -> String {
        let Self { key, id } = self;
        let key = key.display();
        format!(
            "\
made {key}, the key `{id}` for secret values: give it to all hosts and deployers, and to no viewer

  withe host --seal-key {key}
  withe up APP.yaml --seal-key {key}
"
        )
    }
}

impl Granted {
    fn explained(&self) -> String {
        let key = self.key.display();
        let how = match self.role {
            Role::Host => format!("`withe host --key {key}`"),
            Role::Deployer => format!("`--key {key}` of `withe up`, `down` and `link`"),
            Role::Viewer => {
                "whoever wants to know whose it is; nothing that it signs counts".to_owned()
            }
        };
        let until = match self.expires {
            Some(_) => ", until it expires",
            None => "",
        };
        format!(
            "made {key}, the key of the {} `{}`: for {how}{until}\n",
            self.role, self.name
        )
    }
}

/// An account with a user of each role, as a NATS server's configuration has it.
fn accounts(lattice: &str) -> String {
    let users = [
        ("host", NatsRights::of_host(lattice)),
        ("deployer", NatsRights::of_deployer(lattice)),
        ("viewer", NatsRights::of_viewer(lattice)),
    ];
    let mut text = format!("accounts {{\n  {lattice}: {{\n    jetstream: enabled\n    users: [\n");
    for (user, rights) in users {
        let variable = user.to_uppercase();
        let inbox = names::inbox(lattice, user);
        text += &format!(
            "      # its commands need `--nats-inbox {inbox}`, or WITHE_NATS_INBOX\n      \
             {{ user: {user}, password: $WITHE_{variable}_PASSWORD, permissions: {{\n"
        );
        text += &subjects("publish", &rights.publish);
        text += &subjects("subscribe", &rights.subscribe);
        text += "      } }\n";
    }
    text + "    ]\n  }\n}\n"
}

fn subjects(what: &str, subjects: &[String]) -> String {
    let lines: Vec<_> = (subjects.iter())
        .map(|subject| format!("          \"{subject}\"\n"))
        .collect();
    format!("        {what}: [\n{}        ]\n", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_users_on_a_nats_server() {
        insta::assert_snapshot!(accounts("shop"));
    }
}
