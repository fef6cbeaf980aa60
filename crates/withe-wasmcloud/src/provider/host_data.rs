//! The host data that a v1 provider starts with: one line of JSON in base64 on its standard input.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::config::ProcessConfig;
use super::definition::{LinkDefinition, Secrets};
use super::seal::{LinkSeal, SealError, SealedLink};

#[derive(Serialize)]
struct HostData<'a> {
    host_id: &'a str,
    lattice_rpc_prefix: &'a str,
    link_name: &'a str,
    lattice_rpc_user_jwt: &'a str,
    lattice_rpc_user_seed: &'a str,
    lattice_rpc_url: &'a str,
    provider_key: &'a str,
    env_values: BTreeMap<String, String>,
    instance_id: &'a str,
    link_definitions: Vec<SealedLink<'a>>,
    cluster_issuers: [String; 0],
    config: BTreeMap<String, String>,
    secrets: Secrets,
    host_xkey_public_key: String,
    provider_xkey_private_key: String,
    default_rpc_timeout_ms: u64,
    structured_logging: bool,
    log_level: &'a str,
    otel_config: OtelConfig,
}

#[derive(Serialize)]
struct OtelConfig {
    enable_observability: bool,
    protocol: &'static str,
    additional_ca_paths: [String; 0],
    trace_level: &'static str,
}

/// The line for a provider that is started with `links`.
///
/// # Errors
///
/// If a link cannot be sealed, or the data not be written as JSON.
pub(super) fn line(
    config: &ProcessConfig,
    links: &[LinkDefinition],
    seal: &LinkSeal,
    instance: &str,
) -> Result<String, SealError> {
    let sealed: Result<_, _> = links.iter().map(|link| seal.link(link)).collect();
    let (plain, secrets) = Secrets::split(&config.config, &config.secret_keys);
    let data = HostData {
        host_id: &config.host_id,
        lattice_rpc_prefix: &config.lattice,
        link_name: "default",
        lattice_rpc_user_jwt: &config.user_jwt,
        lattice_rpc_user_seed: &config.user_seed,
        lattice_rpc_url: &config.url,
        provider_key: &config.id,
        env_values: BTreeMap::new(),
        instance_id: instance,
        link_definitions: sealed?,
        cluster_issuers: [],
        config: plain,
        secrets,
        host_xkey_public_key: seal.host_key(),
        provider_xkey_private_key: seal.provider_seed()?,
        default_rpc_timeout_ms: 2_000,
        structured_logging: false,
        log_level: "info",
        otel_config: OtelConfig {
            enable_observability: false,
            protocol: "Http",
            additional_ca_paths: [],
            trace_level: "info",
        },
    };
    Ok(STANDARD.encode(serde_json::to_vec(&data)?) + "\r\n")
}
