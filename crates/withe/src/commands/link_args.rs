//! `--binding`, `--scope` and `--missing`: what links and components get that say nothing themselves.

use clap::ValueEnum;
use withe_linker::input::{BindingChoice, LinkDefaults, OnMissing, Scope};

/// The settings of links between components whose manifest does not say.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct LinkArgs {
    /// How links are bound whose manifest does not say.
    #[arg(long, value_enum, value_name = "BINDING")]
    binding: Option<BindingArg>,
    /// How long an instance of a link's target lives where the manifest does not say: as long as its
    /// caller's, one call, or as long as the application.
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Option<ScopeArg>,
    /// What becomes of imports that nothing provides, where the manifest does not say: errors, or functions that trap
    /// when they are called.
    #[arg(long, value_enum, value_name = "WHAT")]
    missing: Option<MissingArg>,
    /// Whether components stay apart that could be fused; for commands that watch them.
    #[arg(skip)]
    apart: bool,
}

impl LinkArgs {
    /// The same, with components that stay apart, or not.
    pub(crate) fn apart(self, apart: bool) -> Self {
        Self { apart, ..self }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MissingArg {
    Error,
    Trap,
}

impl From<MissingArg> for OnMissing {
    fn from(arg: MissingArg) -> Self {
        match arg {
            MissingArg::Error => Self::Error,
            MissingArg::Trap => Self::Trap,
        }
    }
}

impl From<LinkArgs> for LinkDefaults {
    fn from(args: LinkArgs) -> Self {
        Self {
            binding: args.binding.map(Into::into),
            scope: args.scope.map(Into::into),
            missing: args.missing.map(Into::into),
            apart: args.apart,
        }
    }
}

/// The bindings there are between components.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BindingArg {
    Auto,
    Fused,
    Local,
    Unix,
    Tcp,
    Nats,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ScopeArg {
    Caller,
    Call,
    Shared,
}

impl From<BindingArg> for BindingChoice {
    fn from(arg: BindingArg) -> Self {
        match arg {
            BindingArg::Auto => Self::Auto,
            BindingArg::Fused => Self::Fused,
            BindingArg::Local => Self::Local,
            BindingArg::Unix => Self::Unix,
            BindingArg::Tcp => Self::Tcp,
            BindingArg::Nats => Self::Nats,
        }
    }
}

impl From<ScopeArg> for Scope {
    fn from(arg: ScopeArg) -> Self {
        match arg {
            ScopeArg::Caller => Self::Caller,
            ScopeArg::Call => Self::Call,
            ScopeArg::Shared => Self::Shared,
        }
    }
}
