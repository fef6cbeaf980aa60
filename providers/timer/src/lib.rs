//! The timer provider: calls components when their time has come.
//!
//! The provider is a link's source. A link has jobs, each with a schedule and a payload:
//!
//! * [`config`]: what can be set;
//! * [`schedule`]: when a job is due next;
//! * [`provider`]: links, and the task of each, which calls the component.
//!
//! **Once.** Several hosts may have the link: a timer that has replicas, or that was moved from a host which does not
//! know yet. So each asks the lattice for the moment that a time is for, and calls if it is the first. The timer asks
//! before the call: a host that dies between the two has left the time out. Asking behind it would have it called
//! twice.

mod config;
mod provider;
mod schedule;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor};

pub use provider::Timer;

/// The interface that is called.
mod wit {
    withe_provider::generate!("wit/wasmcloud-cron-0.1.0", "wit");
}

/// The provider's description, available without starting it.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "timer",
    version: env!("CARGO_PKG_VERSION"),
    summary: "calls components at intervals and on cron lines",
    wit: wit::WIT,
    aliases: &[Alias {
        image: "ghcr.io/wasmcloud/cron-scheduler",
        config: &[],
    }],
    paths: &[],
    check_config: config::check,
    create: |config| Arc::new(Timer::new(config)),
};
