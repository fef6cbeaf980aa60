//! A policy: what a host accepts, each rule with the place where it is written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use withe_linker::input::{Span, Spanned};
use withe_manifest::policy::{PolicyDirectory, PolicyFile};

use super::accepted::AcceptedNames;

/// The rules by which a host accepts the applications that it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionPolicy {
    /// The names of applications.
    pub(crate) applications: PolicyRule<AcceptedNames>,
    /// The names of the deployers who have signed applications.
    pub(crate) deployers: PolicyRule<AcceptedNames>,
    /// The images of components: as the manifest names them, or by their digests.
    pub(crate) images: PolicyRule<AcceptedNames>,
    /// The images of providers that are no programs.
    pub(crate) providers: PolicyRule<AcceptedNames>,
    /// The digests of providers' programs. A program must be one that the host may run besides.
    pub(crate) programs: PolicyRule<AcceptedNames>,
    /// The directories that may be granted, with all below them.
    pub(crate) directories: PolicyRule<Vec<PolicyRule<AcceptedDirectory>>>,
    /// Whether the network may be granted.
    pub(crate) network: PolicyRule<bool>,
    /// The names of variables that may be granted.
    pub(crate) env: PolicyRule<AcceptedNames>,
    /// The most memory, in bytes, that a component may ask for.
    pub(crate) memory: PolicyRule<Option<u64>>,
    /// The longest time that a component may ask for.
    pub(crate) time: PolicyRule<Option<Duration>>,
    /// The most instances that a component may ask for.
    pub(crate) instances: PolicyRule<Option<u32>>,
}

/// A rule, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyRule<T> {
    /// The things that are accepted.
    pub(crate) accepted: T,
    /// The place of the rule.
    pub(crate) source: RuleSource,
}

/// Where a rule is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RuleSource {
    /// Nowhere: the rule holds unless a policy says otherwise.
    Default,
    /// In the operator's policy.
    File {
        /// The policy's file, as it was named.
        file: String,
        /// The line, from 1 on.
        line: usize,
    },
    /// In the options of the host that list programs.
    Programs,
}

/// A directory that may be granted, with all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AcceptedDirectory {
    /// Its path; free of links once it is [`resolved`](AdmissionPolicy::resolved).
    pub(crate) path: PathBuf,
    /// Whether writing may be granted, too.
    pub(crate) writable: bool,
}

impl AdmissionPolicy {
    /// A policy for applications of the host's operator: all that a manifest says.
    pub fn of_operator() -> Self {
        let root = AcceptedDirectory {
            path: "/".into(),
            writable: true,
        };
        Self {
            directories: PolicyRule::by_default(vec![PolicyRule::by_default(root)]),
            network: PolicyRule::by_default(true),
            ..Self::of_lattice()
        }
    }

    /// A policy for applications that come over a lattice, where the operator has written none: everything but
    /// directories, the network, and programs that the host may not run.
    pub fn of_lattice() -> Self {
        let all = || PolicyRule::by_default(AcceptedNames::All);
        Self {
            applications: all(),
            deployers: all(),
            images: all(),
            providers: all(),
            programs: all(),
            directories: PolicyRule::by_default(Vec::new()),
            network: PolicyRule::by_default(false),
            env: all(),
            memory: PolicyRule::by_default(None),
            time: PolicyRule::by_default(None),
            instances: PolicyRule::by_default(None),
        }
    }

    /// This policy with the rules of an operator's file in the place of its own. `name` and `text` are the file's.
    #[must_use]
    pub fn with(self, file: &PolicyFile, name: &str, text: &str) -> Self {
        let source = |span: Option<Span>| RuleSource::File {
            file: name.to_owned(),
            line: line(text, span),
        };
        let names = |rule: &Option<Spanned<Vec<String>>>, own| {
            let rule = rule.as_ref();
            rule.map_or(own, |rule| PolicyRule {
                accepted: AcceptedNames::of(&rule.value),
                source: source(rule.span),
            })
        };
        let directory = |directory: &Spanned<PolicyDirectory>| PolicyRule {
            accepted: AcceptedDirectory {
                path: PathBuf::from(&directory.value.host),
                writable: directory.value.writable,
            },
            source: source(directory.span),
        };
        let directories = file.directories.as_ref().map(|rule| PolicyRule {
            accepted: rule.value.iter().map(directory).collect(),
            source: source(rule.span),
        });
        let network = file.network.as_ref().map(|rule| PolicyRule {
            accepted: rule.value,
            source: source(rule.span),
        });
        Self {
            applications: names(&file.applications, self.applications),
            deployers: names(&file.deployers, self.deployers),
            images: names(&file.images, self.images),
            providers: names(&file.providers, self.providers),
            programs: names(&file.programs, self.programs),
            directories: directories.unwrap_or(self.directories),
            network: network.unwrap_or(self.network),
            env: names(&file.env, self.env),
            memory: most(&file.memory, self.memory, source),
            time: most(&file.time, self.time, source),
            instances: most(&file.instances, self.instances, source),
        }
    }

    /// This policy with each directory where `real` says that it is.
    pub(crate) fn resolved(mut self, real: impl Fn(&Path) -> PathBuf) -> Self {
        for directory in &mut self.directories.accepted {
            directory.accepted.path = real(&directory.accepted.path);
        }
        self
    }
}

fn most<T: Copy>(
    rule: &Option<Spanned<T>>,
    own: PolicyRule<Option<T>>,
    source: impl Fn(Option<Span>) -> RuleSource,
) -> PolicyRule<Option<T>> {
    let rule = rule.as_ref();
    rule.map_or(own, |rule| PolicyRule {
        accepted: Some(rule.value),
        source: source(rule.span),
    })
}

/// The line of a place.
fn line(text: &str, span: Option<Span>) -> usize {
    let start = span.map_or(0, |span| span.start);
    let before = text.as_bytes().iter().take(start);
    before.filter(|byte| **byte == b'\n').count() + 1
}

impl<T> PolicyRule<T> {
    /// A rule that nobody has written.
    fn by_default(accepted: T) -> Self {
        Self {
            accepted,
            source: RuleSource::Default,
        }
    }
}

impl fmt::Display for RuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default policy"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Programs => f.write_str("the programs of this host"),
        }
    }
}
