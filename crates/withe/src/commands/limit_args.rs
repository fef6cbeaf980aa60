//! How much of a host applications and components may have.

use std::time::Duration;

use withe_host::HostLimits;
use withe_manifest::{parse_duration, parse_size};

use crate::usage::Expected;

/// The bounds of what a host runs, and the shares of applications and components.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// The most instances of components at a time. The host reserves address space for each.
    #[arg(long, value_name = "N", default_value_t = HostLimits::default().instances,
          value_parser = clap::value_parser!(u32).range(1..=20_000), help_heading = "Limits")]
    max_instances: u32,
    /// The most memory of all instances together, such as `2GiB`; three quarters of the machine's without it.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Limits")]
    max_memory: Option<u64>,
    /// The most calls and requests that wait for an instance.
    #[arg(long, value_name = "N", default_value_t = HostLimits::default().shares.waiting,
          value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    max_waiting: u32,
    /// The most calls under way that components make beside others of the same instance.
    #[arg(long, value_name = "N", default_value_t = HostLimits::default().shares.calls,
          value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    max_calls: u32,
    /// The most bytes that all components log in a second, such as `1MiB`.
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = size, help_heading = "Limits")]
    max_log: u64,
    /// The most instances that call each other in a row.
    #[arg(long, value_name = "N", default_value_t = HostLimits::default().shares.depth,
          value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    max_depth: u32,
    /// How much of instances, memory, waiting, calls and log one application may have, with all that its calls cause.
    #[arg(long, value_name = "PERCENT", default_value_t = HostLimits::default().shares.application,
          value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Limits")]
    application_share: u8,
    /// How much of each of these one component may have, with all that calls of it cause.
    #[arg(long, value_name = "PERCENT", default_value_t = HostLimits::default().shares.component,
          value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Limits")]
    component_share: u8,
    /// The most memory that compiling one component may take, such as `1GiB`; three eighths of the machine's without it.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Limits")]
    max_compile_memory: Option<u64>,
    /// The longest that compiling one component may take.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, help_heading = "Limits")]
    max_compile_time: Duration,
    /// The largest component.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size, help_heading = "Limits")]
    max_component_size: u64,
}

/// A number of bytes, as people write it.
pub(super) fn size(text: &str) -> Result<u64, Expected> {
    parse_size(text).ok_or(Expected("a size such as `512MiB` or `2GiB`"))
}

fn duration(text: &str) -> Result<Duration, Expected> {
    parse_duration(text).ok_or(Expected("a duration such as `90s` or `5m`"))
}

impl LimitArgs {
    /// The limits of a host that is set up so.
    pub(crate) fn limits(&self) -> HostLimits {
        let mut limits = HostLimits {
            instances: self.max_instances,
            ..HostLimits::default()
        };
        let compile = &mut limits.compile;
        compile.memory = self.max_compile_memory.unwrap_or(compile.memory);
        compile.time = self.max_compile_time;
        compile.size = self.max_component_size;
        let shares = &mut limits.shares;
        shares.memory = self.max_memory.unwrap_or(shares.memory);
        shares.waiting = self.max_waiting;
        shares.calls = self.max_calls;
        shares.log = self.max_log;
        shares.depth = self.max_depth;
        shares.application = self.application_share;
        shares.component = self.component_share;
        limits
    }
}
