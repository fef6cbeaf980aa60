//! The providers that come with the command.

use anyhow::Context as _;
use withe_host::ConfineOptions;
use withe_load::Registry;
use withe_load::arguments::ProviderArgument;
use withe_provider::Descriptor;

use crate::running::this_command;

const PROVIDERS: &[Descriptor] = &[
    withe_provider_http_server::DESCRIPTOR,
    withe_provider_http_client::DESCRIPTOR,
    withe_provider_keyvalue::DESCRIPTOR,
    withe_provider_blobstore::DESCRIPTOR,
    withe_provider_sql::SQL,
    withe_provider_sql::POSTGRES,
    withe_provider_messaging::DESCRIPTOR,
    withe_provider_timer::DESCRIPTOR,
];

/// The providers that serve a component without being told anything, and the configuration with which they keep
/// nothing.
const EMBEDDED: &[(&str, &[(&str, &str)])] = &[
    ("http-client", &[]),
    ("keyvalue", &[("backend", "memory")]),
    ("blobstore", &[("backend", "memory")]),
    ("sql", &[("backend", "memory")]),
    ("messaging", &[("backend", "memory")]),
];

/// The providers of which one is linked to a component that was given without a manifest, where it imports what the
/// provider exports.
pub(crate) fn embedded() -> Vec<ProviderArgument> {
    let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let embedded = EMBEDDED.iter().map(|(name, config)| ProviderArgument {
        name: (*name).to_owned(),
        config: config.iter().map(text).collect(),
    });
    embedded.collect()
}

/// The first-party providers.
///
/// # Errors
///
/// If one of them is faulty.
pub(crate) fn registry() -> anyhow::Result<Registry> {
    let registry = Registry::new(PROVIDERS);
    let registry = registry.context("a provider that comes with this command is faulty")?;
    let confine = ConfineOptions {
        command: this_command(&["confine"])?,
        read: Vec::new(),
        write: Vec::new(),
        memory: None,
        required: false,
    };
    Ok(registry.confining(Some(confine.confined([]))))
}

#[cfg(test)]
mod tests {
    use withe_linker::input::ConfigRole;

    use super::*;

    #[test]
    fn every_provider_can_be_read() {
        assert_eq!(registry().unwrap().iter().count(), PROVIDERS.len());
    }

    #[test]
    fn what_is_embedded_is_there_and_needs_nothing_else() {
        let registry = registry().unwrap();
        for provider in embedded() {
            let descriptor = registry.get(&provider.name).unwrap();
            let problems = (descriptor.check_config)(ConfigRole::Own, &provider.config);
            assert_eq!(problems, [], "{}", provider.name);
        }
    }
}
