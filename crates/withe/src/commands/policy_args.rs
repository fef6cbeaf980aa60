//! `--policy`: what a host accepts of the applications that it is given.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use withe_load::SourceText;
use withe_manifest::policy;
use withe_node::policy::AdmissionPolicy;

use crate::render::diagnostics;
use crate::terminal::Terminal;

/// Everybody may write.
const BY_ALL: u32 = 0o002;

/// The policy of the host that a command runs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PolicyArgs {
    /// The policy of this host for the applications that it is given: a file (YAML) with the names of applications, images,
    /// providers and programs, grants and limits. Without it, applications of a lattice are denied directories, the
    /// network and programs that are not listed, and one that is given to `withe up` may have all that its manifest says.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl PolicyArgs {
    /// Whether a file was named.
    pub(crate) fn is_given(&self) -> bool {
        self.policy.is_some()
    }

    /// `own` with the rules of the file in the place of its own; `None` if something is wrong with the file, which has
    /// been said then.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or everybody may write to it.
    pub(crate) fn read(
        &self,
        own: AdmissionPolicy,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<AdmissionPolicy>> {
        let Some(path) = &self.policy else {
            return Ok(Some(own));
        };
        let unreadable = || format!("the policy `{}` cannot be read", path.display());
        let mode = fs::metadata(path).with_context(unreadable)?.permissions();
        if mode.mode() & BY_ALL != 0 {
            bail!(
                "every user of this machine may write to the policy `{0}`; `chmod o-w {0}` takes that away",
                path.display()
            );
        }
        let text = fs::read_to_string(path).with_context(unreadable)?;
        let parsed = policy::parse(&text);
        let name = path.display().to_string();
        let policy = parsed.policy.map(|file| own.with(&file, &name, &text));
        let source = SourceText {
            path: path.clone(),
            text,
        };
        let consequence = Some("nothing was started");
        terminal.say(&diagnostics::report(
            terminal,
            &source,
            &parsed.diagnostics,
            consequence,
        ));
        Ok(policy)
    }
}
