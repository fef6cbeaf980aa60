//! The refusals that follow from a policy, all of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::accepted::AcceptedNames;
use super::request::{AdmissionRequest, RequestedCode, RequestedDirectory, RequestedPart};
use super::rules::{AdmissionPolicy, PolicyRule, RuleSource};

/// A thing that a policy does not accept, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{thing} (`{rule}`, {source})", source = .place)]
pub(crate) struct PolicyRefusal {
    /// The thing that is refused.
    pub(crate) thing: RefusedThing,
    /// The rule's key in a policy.
    pub(crate) rule: &'static str,
    /// Where the rule is written.
    pub(crate) place: RuleSource,
}

/// A thing that a policy does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RefusedThing {
    /// An application of this name.
    #[error("applications named `{0}` are not accepted")]
    Application(String),
    /// A deployer of this name.
    #[error("applications of the deployer `{0}` are not accepted")]
    Deployer(String),
    /// An unknown deployer.
    #[error(
        "applications are not accepted of whoever it is that has put it; start the host with `--trust` so that it \
         knows"
    )]
    Anybody,
    /// A component of this image.
    #[error("`{part}` is the component `{image}` ({digest}), which is not accepted")]
    Image {
        part: String,
        image: String,
        digest: String,
    },
    /// A provider of this image.
    #[error("`{part}` is the provider `{image}`, which is not accepted")]
    Provider { part: String, image: String },
    /// A program.
    #[error("`{part}` is the program `{file}` ({digest}), which is not accepted")]
    Program {
        part: String,
        file: String,
        digest: String,
    },
    /// A program that the host may not run, whatever its policy says.
    #[error("`{part}` is a program, which this host cannot run: {why}", why = UnlistedProgram(.file, .digest))]
    Unlisted {
        part: String,
        file: String,
        digest: String,
    },
    /// A directory that is granted.
    #[error("`{part}` may not {} the directory {}", verb(*.is_written), Seen(.named, .real))]
    Directory {
        part: String,
        named: PathBuf,
        real: PathBuf,
        is_written: bool,
    },
    /// A file that a provider is configured with.
    #[error(
        "`{part}` may not use the file {}, which its configuration names by `{key}`; providers need a directory \
         that is writable",
        Seen(.named, .real)
    )]
    File {
        part: String,
        key: String,
        named: PathBuf,
        real: PathBuf,
    },
    /// The network.
    #[error("`{0}` may not use the network")]
    Network(String),
    /// A variable.
    #[error("`{part}` may not have the variable `{name}`")]
    Env { part: String, name: String },
    /// More memory than is accepted.
    #[error("`{part}` asks for {} of memory, and {} is the most", Bytes(*.asked), Bytes(*.most))]
    Memory { part: String, asked: u64, most: u64 },
    /// More time than is accepted.
    #[error("`{part}` asks for {asked:?} for a call, and {most:?} is the most")]
    Time {
        part: String,
        asked: Duration,
        most: Duration,
    },
    /// More instances than are accepted.
    #[error("`{part}` asks for {asked} instances, and {most} is the most")]
    Instances { part: String, asked: u32, most: u32 },
}

/// A host's policy does not accept what an application asks of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this host does not accept it: {}{}", list(.0), hint(.0))]
pub(crate) struct RefusedByPolicy(pub(crate) Vec<PolicyRefusal>);

/// Why a program is not run that the operator has not listed: the name of its file where it was put from, and the digest of
/// its bytes.
pub(crate) struct UnlistedProgram<'a>(pub(crate) &'a str, pub(crate) &'a str);

impl AdmissionPolicy {
    /// Everything of a request that the policy does not accept, in the order of the parts.
    pub(crate) fn refusals(&self, request: &AdmissionRequest) -> Vec<PolicyRefusal> {
        let names = &self.applications;
        let refused = (request.names.iter()).filter(|name| !names.accepted.accept(name));
        let mut refusals: Vec<_> = refused
            .map(|name| {
                refusal(
                    RefusedThing::Application(name.clone()),
                    "applications",
                    names,
                )
            })
            .collect();
        refusals.extend(self.deployer(request.deployer.as_deref()));
        for part in &request.parts {
            refusals.extend(self.code(part));
            refusals.extend((part.directories.iter()).filter_map(|d| self.directory(part, d)));
            if part.network && !self.network.accepted {
                let thing = RefusedThing::Network(part.name.clone());
                refusals.push(refusal(thing, "grants.network", &self.network));
            }
            let refused = part
                .env
                .iter()
                .filter(|name| !self.env.accepted.accept(name));
            refusals.extend(refused.map(|name| {
                let (part, name) = (part.name.clone(), name.clone());
                refusal(RefusedThing::Env { part, name }, "grants.env", &self.env)
            }));
            refusals.extend(self.limits(part));
        }
        refusals
    }

    fn deployer(&self, deployer: Option<&str>) -> Option<PolicyRefusal> {
        let rule = &self.deployers;
        let thing = match deployer {
            Some(name) if rule.accepted.accept(name) => return None,
            Some(name) => RefusedThing::Deployer(name.to_owned()),
            None if rule.accepted == AcceptedNames::All => return None,
            None => RefusedThing::Anybody,
        };
        Some(refusal(thing, "deployers", rule))
    }

    fn code(&self, asked: &RequestedPart) -> Option<PolicyRefusal> {
        let part = asked.name.clone();
        match &asked.code {
            RequestedCode::Component { images, digest } => {
                let names = &self.images;
                if names.accepted.accept(digest) {
                    return None;
                }
                let refused = images.iter().find(|image| !names.accepted.accept(image))?;
                let (image, digest) = (refused.clone(), digest.clone());
                let thing = RefusedThing::Image {
                    part,
                    image,
                    digest,
                };
                Some(refusal(thing, "images", names))
            }
            RequestedCode::Provider { image } => {
                let names = &self.providers;
                let image = image.clone();
                (!names.accepted.accept(&image))
                    .then(|| refusal(RefusedThing::Provider { part, image }, "providers", names))
            }
            RequestedCode::Program {
                file,
                digest,
                is_listed,
            } => {
                let names = &self.programs;
                let (file, digest) = (file.clone(), digest.clone());
                if !names.accepted.accept(&digest) {
                    let thing = RefusedThing::Program { part, file, digest };
                    return Some(refusal(thing, "programs", names));
                }
                let thing = RefusedThing::Unlisted { part, file, digest };
                (!is_listed).then_some(PolicyRefusal {
                    thing,
                    rule: "programs",
                    place: RuleSource::Programs,
                })
            }
        }
    }

    fn directory(
        &self,
        asked: &RequestedPart,
        directory: &RequestedDirectory,
    ) -> Option<PolicyRefusal> {
        // Nothing keeps a provider from writing to a file that it is told of.
        let needs_writing = directory.is_written || directory.key.is_some();
        let is_above = |path: &Path| directory.real.starts_with(path);
        let mut above = (self.directories.accepted.iter()).filter(|d| is_above(&d.accepted.path));
        if above.clone().any(|d| d.accepted.writable || !needs_writing) {
            return None;
        }
        let (part, named, real) = (
            asked.name.clone(),
            directory.named.clone(),
            directory.real.clone(),
        );
        let thing = match &directory.key {
            Some(key) => RefusedThing::File {
                part,
                key: key.clone(),
                named,
                real,
            },
            None => RefusedThing::Directory {
                part,
                named,
                real,
                is_written: directory.is_written,
            },
        };
        // An entry that lets the directory be read says more of it than the list does.
        let place = above.next_back().map(|d| &d.source);
        Some(PolicyRefusal {
            thing,
            rule: "grants.directories",
            place: place.unwrap_or(&self.directories.source).clone(),
        })
    }

    fn limits(&self, asked: &RequestedPart) -> impl Iterator<Item = PolicyRefusal> {
        let part = || asked.name.clone();
        let memory = beyond(asked.memory, &self.memory).map(|(asked, most)| {
            let part = part();
            let thing = RefusedThing::Memory { part, asked, most };
            refusal(thing, "limits.memory", &self.memory)
        });
        let time = beyond(asked.time, &self.time).map(|(asked, most)| {
            let part = part();
            let thing = RefusedThing::Time { part, asked, most };
            refusal(thing, "limits.time", &self.time)
        });
        let instances = beyond(asked.instances, &self.instances).map(|(asked, most)| {
            let part = part();
            let thing = RefusedThing::Instances { part, asked, most };
            refusal(thing, "limits.instances", &self.instances)
        });
        [memory, time, instances].into_iter().flatten()
    }
}

fn refusal<T>(thing: RefusedThing, key: &'static str, rule: &PolicyRule<T>) -> PolicyRefusal {
    PolicyRefusal {
        thing,
        rule: key,
        place: rule.source.clone(),
    }
}

/// The amount that is asked for and the most that there may be, if more is asked for. A part that asks for nothing gets
/// the amount from the host's options.
fn beyond<T: PartialOrd + Copy>(asked: Option<T>, rule: &PolicyRule<Option<T>>) -> Option<(T, T)> {
    asked
        .zip(rule.accepted)
        .filter(|(asked, most)| asked > most)
}

fn verb(is_written: bool) -> &'static str {
    match is_written {
        true => "write to",
        false => "read",
    }
}

fn list(refusals: &[PolicyRefusal]) -> String {
    let refusals: Vec<_> = refusals.iter().map(ToString::to_string).collect();
    refusals.join("; ")
}

/// Where a policy would help there is none yet.
fn hint(refusals: &[PolicyRefusal]) -> &'static str {
    match refusals.iter().any(|r| r.place == RuleSource::Default) {
        true => "; its operator can accept more by `--policy FILE`",
        false => "",
    }
}

/// A path, and where it leads if that is elsewhere.
struct Seen<'a>(&'a Path, &'a Path);

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(named, real) = self;
        write!(f, "`{}`", named.display())?;
        if named != real {
            write!(f, ", which is `{}`", real.display())?;
        }
        Ok(())
    }
}

/// A number of bytes.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let whole = units
            .iter()
            .find(|(_, bits)| self.0.trailing_zeros() >= *bits);
        match whole {
            Some((unit, bits)) if self.0 > 0 => write!(f, "{} {unit}", self.0 >> bits),
            _ => write!(f, "{} bytes", self.0),
        }
    }
}

impl fmt::Display for UnlistedProgram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, digest) = self;
        write!(
            f,
            "`{file}` ({digest}) is none of the programs that its operator lets it run; start the host with \
             `--program NAME=PATH` or `--programs DIR` where the file is, or with `--allow-programs`, which runs any \
             program that comes with an application"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
applications: [\"shop-*\"]
deployers: [ada, \"ci-*\"]
images: [\"ghcr.io/acme/*\", \"sha256:aa\"]
providers: [\"withe:http-*\"]
programs: [\"sha256:bb\"]
grants:
  directories:
    - host: /usr/share
    - host: /srv/shop
      writable: true
  network: false
  env: [\"SHOP_*\"]
limits:
  memory: 64MiB
  time: 30s
  instances: 8
";

    fn written() -> AdmissionPolicy {
        let parsed = withe_manifest::policy::parse(FILE);
        let file = parsed.policy.unwrap();
        AdmissionPolicy::of_lattice().with(&file, "policy.yaml", FILE)
    }

    fn part(name: &str, code: RequestedCode) -> RequestedPart {
        RequestedPart {
            name: name.into(),
            code,
            directories: Vec::new(),
            network: false,
            env: Vec::new(),
            memory: None,
            time: None,
            instances: None,
        }
    }

    fn component(images: &[&str], digest: &str) -> RequestedPart {
        let images = images.iter().map(|image| (*image).to_owned()).collect();
        let digest = digest.into();
        part("front", RequestedCode::Component { images, digest })
    }

    fn provider(image: &str) -> RequestedPart {
        let image = image.into();
        part("store", RequestedCode::Provider { image })
    }

    fn program(digest: &str, is_listed: bool) -> RequestedPart {
        let code = RequestedCode::Program {
            file: "greeter".into(),
            digest: digest.into(),
            is_listed,
        };
        part("greeter", code)
    }

    fn reaching(path: &str, real: &str, is_written: bool) -> RequestedPart {
        let directory = RequestedDirectory {
            named: path.into(),
            real: real.into(),
            is_written,
            key: None,
        };
        RequestedPart {
            directories: vec![directory],
            ..component(&["ghcr.io/acme/front"], "sha256:cc")
        }
    }

    fn using(path: &str) -> RequestedPart {
        let directory = RequestedDirectory {
            named: path.into(),
            real: path.into(),
            is_written: false,
            key: Some("path".into()),
        };
        RequestedPart {
            directories: vec![directory],
            ..provider("withe:http-server")
        }
    }

    fn asking() -> RequestedPart {
        component(&["ghcr.io/acme/front"], "sha256:cc")
    }

    fn of(application: &str, parts: Vec<RequestedPart>) -> AdmissionRequest {
        AdmissionRequest {
            names: vec![application.into()],
            deployer: Some("ada".into()),
            parts,
        }
    }

    #[test]
    fn what_the_rules_accept_is_not_refused() {
        let parts = vec![
            component(&["ghcr.io/acme/front", "ghcr.io/acme/page"], "sha256:cc"),
            component(&["./front.wasm"], "sha256:aa"),
            provider("withe:http-client"),
            program("sha256:bb", true),
            reaching("/usr/share", "/usr/share", false),
            reaching("/srv/shop/data", "/srv/shop/data", true),
            using("/srv/shop/data.redb"),
            RequestedPart {
                env: vec!["SHOP_NAME".into()],
                memory: Some(64 << 20),
                time: Some(Duration::from_secs(30)),
                instances: Some(8),
                ..asking()
            },
        ];
        assert_eq!(written().refusals(&of("shop-1", parts)), []);
    }

    #[test]
    fn every_refusal_names_its_rule_and_all_are_listed() {
        let parts = vec![
            component(&["ghcr.io/acme/front", "evil.example/page"], "sha256:cc"),
            provider("lattice:kv"),
            program("sha256:cc", true),
            program("sha256:bb", false),
            reaching("/usr/share", "/usr/share", true),
            reaching("/srv/shop/../../etc", "/etc", false),
            reaching("/srv/shopping", "/srv/shopping", false),
            using("/usr/share/keys.redb"),
            RequestedPart {
                network: true,
                env: vec!["SHOP_NAME".into(), "PATH".into()],
                memory: Some((64 << 20) + 1),
                time: Some(Duration::from_millis(30_001)),
                instances: Some(9),
                ..asking()
            },
        ];
        let request = AdmissionRequest {
            deployer: Some("eve".into()),
            ..of("shop", parts)
        };
        let refused = RefusedByPolicy(written().refusals(&request));
        insta::assert_snapshot!(refused.to_string().replace("; ", ";\n"));
    }

    #[test]
    fn a_policy_that_names_deployers_accepts_nothing_of_anybody_else() {
        let request = AdmissionRequest {
            deployer: None,
            ..of("shop-1", Vec::new())
        };
        let refused = written().refusals(&request);
        assert_eq!(refused[0].thing, RefusedThing::Anybody);
        assert_eq!(AdmissionPolicy::of_lattice().refusals(&request), []);
    }

    #[test]
    fn the_default_policy_denies_directories_the_network_and_programs() {
        let mut parts = vec![
            component(&["./front.wasm"], "sha256:cc"),
            provider("withe:keyvalue"),
            program("sha256:dd", true),
            RequestedPart {
                env: vec!["PATH".into()],
                memory: Some(u64::MAX),
                time: Some(Duration::MAX),
                instances: Some(u32::MAX),
                ..asking()
            },
        ];
        let policy = AdmissionPolicy::of_lattice();
        assert_eq!(policy.refusals(&of("shop", parts.clone())), []);
        parts = vec![
            reaching("/srv/shop", "/srv/shop", false),
            using("/srv/shop.redb"),
            program("sha256:dd", false),
            RequestedPart {
                network: true,
                ..asking()
            },
        ];
        let refused = RefusedByPolicy(policy.refusals(&of("shop", parts.clone())));
        insta::assert_snapshot!(refused.to_string().replace("; ", ";\n"));
        // The operator has named the manifest, and with it the programs, too.
        parts.remove(2);
        let own = AdmissionPolicy::of_operator();
        assert_eq!(own.refusals(&of("shop", parts)), []);
    }

    #[test]
    fn a_file_says_nothing_of_rules_that_it_does_not_have() {
        let text = "grants: {network: true}\n";
        let file = withe_manifest::policy::parse(text).policy.unwrap();
        let own = AdmissionPolicy::of_lattice();
        let policy = own.clone().with(&file, "p", text);
        assert_eq!(
            policy,
            AdmissionPolicy {
                network: PolicyRule {
                    accepted: true,
                    source: RuleSource::File {
                        file: "p".into(),
                        line: 1
                    },
                },
                ..own
            }
        );
    }
}
