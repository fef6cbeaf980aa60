//! The messaging provider: `wasmcloud:messaging` in memory, over NATS and over MQTT.
//!
//! The provider is the target of links from components that send (`consumer`), and the source of links to components
//! that take messages (`handler`).
//!
//! * [`config`]: what can be set;
//! * [`broker`]: what every broker can do, and [`memory`], [`nats`] and [`mqtt`], which do it;
//! * [`subject`]: subjects, and the patterns that match them;
//! * [`sender`]: what a component asks for that sends;
//! * [`delivery`]: the task of a link whose component takes messages;
//! * [`provider`]: links come and go, connections are shared between them.
//!
//! **Recipients of a message.** All replicas of a component are one subscriber, whichever host they and the provider
//! run on: each subscription has a queue group, named after the application and the component unless the configuration
//! names one. Without groups a component would handle a message as often as there are hosts.

mod broker;
mod config;
mod counted;
mod delivery;
mod memory;
mod mqtt;
mod mqtt_codes;
mod nats;
mod provider;
mod sender;
mod subject;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor};

pub use provider::Messaging;

/// The interfaces and their types.
mod wit {
    withe_provider::generate!("wit/wasmcloud-messaging-0.2.0", "wit");
}

/// The provider's description, available without starting it.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "messaging",
    version: env!("CARGO_PKG_VERSION"),
    summary: "sends messages and hands them to components, in memory, over NATS or over MQTT",
    wit: wit::WIT,
    aliases: &[
        Alias {
            image: "ghcr.io/wasmcloud/messaging-nats",
            config: &[("backend", "nats")],
        },
        Alias {
            image: "wasmcloud+builtin://messaging-nats",
            config: &[("backend", "nats")],
        },
    ],
    paths: &["tls_ca_file", "credentials_file"],
    check_config: config::check,
    create: |config| Arc::new(Messaging::new(config)),
};
