//! The providers that come with the command.

use anyhow::Context as _;
use withe_load::Registry;
use withe_provider::Descriptor;

const PROVIDERS: &[Descriptor] = &[
    withe_provider_http_server::DESCRIPTOR,
    withe_provider_http_client::DESCRIPTOR,
    withe_provider_keyvalue::DESCRIPTOR,
    withe_provider_messaging::DESCRIPTOR,
    withe_provider_timer::DESCRIPTOR,
    withe_provider_sql::SQL,
    withe_provider_sql::POSTGRES,
];

/// The first-party providers.
///
/// # Errors
///
/// If one of them is faulty.
pub(crate) fn registry() -> anyhow::Result<Registry> {
    Registry::new(PROVIDERS).context("a provider that comes with this command is faulty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_can_be_read() {
        assert_eq!(registry().unwrap().iter().count(), PROVIDERS.len());
    }
}
