//! URLs of PostgreSQL servers.

use tokio_postgres::Config;

/// The form of a URL.
pub(crate) const EXPECTED_URL: &str =
    "`postgres://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?sslmode=require]`";
/// A URL is no URL of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoUrl;

/// Checks a URL.
pub(crate) fn check_url(url: &str) -> Result<(), NoUrl> {
    parse_url(url).map(drop)
}

/// The configuration that a URL holds.
pub(crate) fn parse_url(url: &str) -> Result<Config, NoUrl> {
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    match url.parse::<Config>() {
        Ok(config) if is_url && has_host(&config) => Ok(config),
        _ => Err(NoUrl),
    }
}

fn has_host(config: &Config) -> bool {
    !config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        for url in [
            "postgres://h",
            "postgresql://u:p@h:1/d?sslmode=require",
            "postgres://h1,h2",
        ] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "http://h",
            "host=h",
            "postgres://",
            "postgres://h:x",
            "postgres://h?a=b",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
