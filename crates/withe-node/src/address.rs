//! Where a host is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An id that tells this machine from others as long as it is up.
pub(crate) fn machine() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let id = id.or_else(|_| std::fs::read_to_string("/etc/machine-id"));
    id.map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// The address by which this host reaches the broker, as the broker sees it.
pub(crate) fn local_address(nats: Option<&async_nats::Client>) -> Option<IpAddr> {
    nats?.server_info().client_ip.parse().ok()
}

/// The addresses at which others reach this host.
pub(crate) fn advertised(
    bound: SocketAddr,
    given: &[String],
    local: Option<IpAddr>,
) -> Vec<String> {
    if given.is_empty() {
        let ip = match bound.ip() {
            // The address by which it reaches the broker is one that others may reach it by.
            ip if ip.is_unspecified() => local.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            ip => ip,
        };
        return vec![SocketAddr::new(ip, bound.port()).to_string()];
    }
    let with_port = |address: &String| {
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let is_bare_v6 = address.parse::<Ipv6Addr>().is_ok();
        match (has_port && !is_bare_v6, is_bare_v6) {
            (true, _) => address.clone(),
            (false, true) => format!("[{address}]:{}", bound.port()),
            (false, false) => format!("{address}:{}", bound.port()),
        }
    };
    given.iter().map(with_port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_with_their_ports() {
        let bound: SocketAddr = "0.0.0.0:7000".parse().unwrap();
        let local = Some("10.0.0.7".parse().unwrap());
        assert_eq!(advertised(bound, &[], local), ["10.0.0.7:7000"]);
        assert_eq!(advertised(bound, &[], None), ["127.0.0.1:7000"]);
        let given = [
            "a.example",
            "b.example:9",
            "fd00::1",
            "[fd00::1]:8",
            "1.2.3.4",
        ];
        assert_eq!(
            advertised(bound, &given.map(str::to_owned), local),
            [
                "a.example:7000",
                "b.example:9",
                "[fd00::1]:7000",
                "[fd00::1]:8",
                "1.2.3.4:7000"
            ]
        );
    }
}
