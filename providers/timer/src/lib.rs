//! The timer provider: calls components when their time has come.
//!
//! It is a link's source. A link has jobs, each with a schedule and a payload:
//!
//! * [`config`]: what can be set;
//! * [`schedule`]: when a job is due next;
//! * [`provider`]: links, and the task of each, which calls the component.
//!
//! **Once.** A job is called by each provider that has the link, so a timer runs on one host: with one replica, which
//! is what a manifest means that says nothing else, a lattice moves it when its host fails. A distributed lock for each
//! firing, as wasmCloud's provider takes in JetStream, was rejected: placement knows already who is to fire.

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

/// What is known of the provider without starting it.
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
