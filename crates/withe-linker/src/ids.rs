//! Ids on the lattice, as wasmCloud makes them.

/// The id of a component that gives none itself.
pub(crate) fn component_id(application: &str, component: &str) -> String {
    format!("{}-{}", sanitise(application), sanitise(component))
}

fn sanitise(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_wasmclouds() {
        assert_eq!(
            super::component_id("my-App", "http-Server 2"),
            "my_app-http_server_2"
        );
    }
}
