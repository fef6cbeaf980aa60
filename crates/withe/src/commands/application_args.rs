//! An application as commands take it: a manifest, or a component and what it is to have.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clap::error::ErrorKind;
use withe_linker::input::{DirectoryGrant, Grants, Spanned};
use withe_load::arguments::{Arguments, Assumed, MockArgument, ProviderArgument, StartArguments};
use withe_load::{Loaded, Locks, Registry, load_arguments, load_pulled};
use withe_oci::{Content, FileKind, Locking, Pulled, Reference, ReferenceError, Wanted};

use super::application_file::{ApplicationFile, HERE};
use super::config_args::{GivenConfig, check_standard_input};
use super::registry_args::RegistryArgs;
use crate::providers;
use crate::render::diagnostics;
use crate::terminal::Terminal;
use crate::usage::{Expected, usage};

/// Where HTTP is served if nobody says.
const HTTP_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub(super) const HTTP_PORT: u16 = 8080;

/// The scheme of what is in a registry.
const REGISTRY: &str = "oci://";

/// Under which heading the help has what is for components without a manifest.
const HEADING: &str = "Without a manifest";

/// An application: a manifest, or a component and what it is to have.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ApplicationArgs {
    /// A manifest, or a component; either may be in a registry: `oci://REGISTRY/REPOSITORY:TAG`. A folder stands for the manifest in it.
    #[arg(index = 1, value_name = "APP.yaml|X.wasm", default_value = HERE, value_parser = ApplicationFile)]
    pub(super) file: PathBuf,
    #[command(flatten)]
    without: WithoutManifest,
    /// Take only images from registries that `withe.lock` beside the manifest has, as it has them.
    #[arg(long, help_heading = "Registries")]
    locked: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    /// The mocks of other parts, for commands that have such an option.
    #[arg(skip)]
    pub(super) mocks: Vec<MockArgument>,
    /// Whether what is in a registry is a component, once that was asked.
    #[arg(skip)]
    is_component: Arc<OnceLock<bool>>,
    /// What was said of it, so that whoever reads it again says only what is new.
    #[arg(skip)]
    said: Arc<Mutex<BTreeSet<String>>>,
}

/// What a component is to have that is given without a manifest.
#[derive(Clone, Debug, Default, clap::Args)]
struct WithoutManifest {
    /// With a component: another one to link to, when it runs; may be given several times.
    #[arg(long, help_heading = HEADING, value_name = "Y.wasm")]
    link: Vec<PathBuf>,
    /// With a component: another one to plug into it before it runs; may be given several times.
    #[arg(long, help_heading = HEADING, value_name = "Z.wasm")]
    plug: Vec<PathBuf>,
    /// With a component: a provider to link, by its name or its program, and its configuration, such as
    /// `keyvalue=backend:redis,url:redis://10.0.0.1`. Those that need no configuration are linked without being named
    /// where they are imported. May be given several times.
    #[arg(long, help_heading = HEADING, value_name = "NAME[=K:V,…]", value_parser = provider)]
    provider: Vec<ProviderArgument>,
    /// With a component: a variable of its environment.
    #[arg(long, help_heading = HEADING, value_name = "K=V", value_parser = pair)]
    env: Vec<(String, String)>,
    /// With a component: a directory that it may read and write, and the path under which it sees it; the same if not given.
    #[arg(long, help_heading = HEADING, value_name = "HOST[::GUEST]", value_parser = directory)]
    dir: Vec<DirectoryGrant>,
    /// With a component: let it open sockets and look up names.
    #[arg(long, help_heading = HEADING)]
    network: bool,
    /// With a component: a value of its configuration (`wasi:config`).
    #[arg(long, help_heading = HEADING, value_name = "K=V", value_parser = pair)]
    config: Vec<(String, String)>,
    /// The same, secret, with the value in a file; `-` is standard input.
    #[arg(long, help_heading = HEADING, value_name = "K=FILE", value_parser = pair)]
    config_file: Vec<(String, String)>,
    /// The same, secret, with the value in a variable of this command's environment.
    #[arg(long, help_heading = HEADING, value_name = "K=VARIABLE", value_parser = pair)]
    config_env: Vec<(String, String)>,
    /// Print the manifest that says the same, and do nothing else.
    #[arg(long, help_heading = HEADING)]
    emit_manifest: bool,
}

/// How what was given is started.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a> {
    /// Nothing starts the application: somebody calls it.
    Called,
    /// A component that handles requests is served there, another one is a command with these arguments.
    Started {
        address: Option<&'a str>,
        arguments: &'a [String],
    },
}

impl Start<'_> {
    /// As it would be started that is only looked at.
    pub(super) const LOOKED_AT: Self = Self::Started {
        address: None,
        arguments: &[],
    };
}

/// The outcome of reading the arguments.
pub(super) enum Given {
    /// An application.
    Read(Loaded),
    /// Its manifest was wanted, and has been printed.
    Emitted(Loaded),
    /// There is nothing to read, and it has been said.
    Unreadable,
}

impl ApplicationArgs {
    /// Whether it is a component, without a manifest.
    pub(super) fn is_component(&self) -> bool {
        let Some(Ok(reference)) = self.reference() else {
            return is_component(&self.file);
        };
        // A component that cannot be pulled fails again, with a report, when it is read.
        let pull = || {
            let wanted = Wanted {
                reference,
                locking: Locking::Unlocked,
            };
            let pulled = self.registries.images().pull(&[wanted]);
            let is_component = |pulled: &Pulled| {
                let component = FileKind::Component;
                matches!(&pulled.content, Content::File { kind, .. } if *kind == component)
            };
            pulled.iter().flatten().any(is_component)
        };
        *self.is_component.get_or_init(pull)
    }

    /// The reference, if it is in a registry.
    fn reference(&self) -> Option<Result<Reference, ReferenceError>> {
        let text = self.file.to_str()?.strip_prefix(REGISTRY)?;
        Some(Reference::parse(text))
    }

    /// Whether only the manifest is wanted.
    pub(super) fn emits(&self) -> bool {
        self.without.emit_manifest
    }

    /// Reads the application. Says on `terminal` why there is none, and what was linked that nobody named.
    ///
    /// # Errors
    ///
    /// If the arguments of `subcommand` make no sense together, or configuration cannot be read.
    pub(super) fn read(
        &self,
        subcommand: &str,
        start: Start<'_>,
        registry: &Registry,
        terminal: &Terminal,
    ) -> anyhow::Result<Given> {
        let locks = if self.locked {
            Locks::Only
        } else {
            Locks::Told
        };
        let images = self.registries.images();
        let registry = &registry.clone().pulling(images, locks);
        let reference = match self.reference().transpose() {
            Ok(reference) => reference,
            Err(error) => {
                let message = format!("`{}`: {error}", self.file.display());
                return Err(usage(subcommand, ErrorKind::ValueValidation, message));
            }
        };
        if self.is_component() {
            let (loaded, assumed) = load_arguments(&self.arguments(start, terminal)?, registry);
            if self.emits() {
                terminal.print(loaded.manifest())?;
                return Ok(Given::Emitted(loaded));
            }
            // A holder that panicked still leaves a set of lines behind.
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            for line in assumed.iter().map(linked) {
                if said.insert(line.clone()) {
                    terminal.say(&line);
                }
            }
            return Ok(Given::Read(loaded));
        }
        if let Some(option) = self.without.given() {
            let file = self.file.display();
            let message = format!(
                "`{file}` is a manifest, and says itself what its components have: leave out `--{option}`"
            );
            return Err(usage(subcommand, ErrorKind::ArgumentConflict, message));
        }
        let read = match reference {
            Some(reference) if self.locked && reference.digest().is_none() => {
                let message =
                    format!("`{reference}` is locked by its digest: `oci://NAME@sha256:…`");
                return Err(usage(subcommand, ErrorKind::ArgumentConflict, message));
            }
            Some(reference) => {
                load_pulled(&reference, registry).map_err(|error| error.diagnostic())
            }
            None => withe_load::load(&self.file, registry).map_err(|error| error.diagnostic()),
        };
        match read {
            Ok(loaded) => Ok(Given::Read(loaded)),
            Err(error) => {
                terminal.say(&diagnostics::single(terminal, &error));
                Ok(Given::Unreadable)
            }
        }
    }

    fn arguments(&self, start: Start<'_>, terminal: &Terminal) -> anyhow::Result<Arguments> {
        let given = &self.without;
        check_standard_input(given.config_file.iter())?;
        let config = GivenConfig {
            option: "config",
            values: &given.config,
            files: &given.config_file,
            variables: &given.config_env,
        };
        let (config, secret_keys) = config.read(terminal)?;
        Ok(Arguments {
            component: self.file.clone(),
            links: given.link.clone(),
            mocks: self.mocks.clone(),
            plugs: given.plug.clone(),
            providers: given.provider.clone(),
            embedded: providers::embedded(),
            config,
            secret_keys,
            grants: Grants {
                directories: given.dir.clone(),
                env: given.env.iter().cloned().collect(),
                network: given.network.then(|| Spanned::unplaced(true)),
            },
            start: match start {
                Start::Called => None,
                Start::Started { address, arguments } => Some(StartArguments {
                    address: match address {
                        Some(address) => address.to_owned(),
                        None => SocketAddr::from((HTTP_ADDRESS, HTTP_PORT)).to_string(),
                    },
                    arguments: arguments.to_owned(),
                }),
            },
        })
    }
}

impl WithoutManifest {
    /// The first option that is given and that a manifest has its own fields for.
    fn given(&self) -> Option<&'static str> {
        let given = [
            ("link", !self.link.is_empty()),
            ("plug", !self.plug.is_empty()),
            ("provider", !self.provider.is_empty()),
            ("env", !self.env.is_empty()),
            ("dir", !self.dir.is_empty()),
            ("network", self.network),
            ("config", !self.config.is_empty()),
            ("config-file", !self.config_file.is_empty()),
            ("config-env", !self.config_env.is_empty()),
            ("emit-manifest", self.emit_manifest),
        ];
        let mut given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(option, _)| option)
    }
}

/// The line that says what was linked without being named.
fn linked(assumed: &Assumed) -> String {
    let Assumed {
        component,
        provider,
        config,
        interfaces,
    } = assumed;
    let config: Vec<_> = (config.iter())
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    let config = match config.is_empty() {
        true => String::new(),
        false => format!(" ({})", config.join(", ")),
    };
    format!(
        "`{component}` is linked to the provider `{provider}`{config} for {}\n",
        interfaces.join(", ")
    )
}

fn pair(text: &str) -> Result<(String, String), Expected> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(Expected("`KEY=VALUE`")),
    }
}

fn directory(text: &str) -> Result<DirectoryGrant, Expected> {
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err(Expected("`HOST`, or `HOST::GUEST` such as `./data::/data`"));
    }
    Ok(DirectoryGrant {
        host: Spanned::unplaced(host.into()),
        guest: guest.into(),
        read_only: false,
    })
}

fn provider(text: &str) -> Result<ProviderArgument, Expected> {
    const FORM: Expected =
        Expected("`NAME`, or `NAME=KEY:VALUE,…` such as `keyvalue=backend:memory`");
    let (name, config) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(FORM);
    }
    let entries = config.split(',').filter(|entry| !entry.is_empty());
    // A value may have colons, as addresses have.
    let entries = entries.map(|entry| entry.split_once(':').filter(|(key, _)| !key.is_empty()));
    let config = entries.map(|entry| entry.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let config = config.collect::<Option<_>>().ok_or(FORM)?;
    // Manifests have `withe:NAME`, so this form is accepted, too.
    let name = name.strip_prefix("withe:").unwrap_or(name).to_owned();
    Ok(ProviderArgument { name, config })
}

/// Whether the file is, or is meant to be, a component rather than a manifest.
fn is_component(path: &Path) -> bool {
    use std::io::Read as _;

    if path
        .extension()
        .is_some_and(|extension| extension == "wasm" || extension == "wat")
    {
        return true;
    }
    // Only a regular file: opening a pipe would wait for its other end.
    let mut start = [0; 4];
    path.is_file()
        && std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        && start == *b"\0asm"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_and_directories_have_short_forms() {
        let given = provider("keyvalue=backend:redis,url:redis://h:1/0").unwrap();
        assert_eq!(given.name, "keyvalue");
        assert_eq!(given.config["url"], "redis://h:1/0");
        assert_eq!(provider("withe:http-client").unwrap().name, "http-client");
        assert!(provider("./greeter").unwrap().config.is_empty());
        assert!(provider("kv=backend").is_err() && provider("=a:b").is_err());
        let grant = directory("./data::/data").unwrap();
        assert_eq!((&*grant.host.value, &*grant.guest), ("./data", "/data"));
        assert_eq!(directory("data").unwrap().guest, "data");
        assert!(directory("::a").is_err() && directory("a::").is_err());
        assert_eq!(pair("a=b=c").unwrap().1, "b=c");
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
