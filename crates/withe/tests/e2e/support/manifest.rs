//! Manifests, put together from lines of YAML.

use super::guest;

/// Has a link from an HTTP server listen on a free port.
pub(crate) const LISTEN: &str =
    "source: {config: [{name: listen, properties: {address: \"127.0.0.1:0\"}}]}";

/// An application with these entries of `spec.components`.
pub(crate) fn application(components: &[String]) -> String {
    let head = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: app}\n";
    format!("{head}spec:\n  components:\n{}", components.concat())
}

/// A component of `tests/guests`. `properties` and the properties of each of the `links` are YAML in
/// one line, such as `grants: {network: true}`.
pub(crate) fn component(name: &str, guest_name: &str, properties: &str, links: &[&str]) -> String {
    let image = guest(guest_name);
    let properties = format!("image: {:?}, {properties}", image.display().to_string());
    entry(name, "component", &properties, links)
}

/// A component of `tests/guests` of which so many instances may run at a time.
pub(crate) fn scaled(name: &str, guest_name: &str, instances: u32) -> String {
    let scaler = format!("{{type: spreadscaler, properties: {{instances: {instances}}}}}");
    let component = component(name, guest_name, "", &[]);
    component.replace("traits: []", &format!("traits: [{scaler}]"))
}

/// A provider.
pub(crate) fn provider(name: &str, properties: &str, links: &[&str]) -> String {
    let properties = format!("image: \"withe:{name}\", {properties}");
    entry(name, "capability", &properties, links)
}

/// An HTTP server on a free port, linked to `target`.
pub(crate) fn http_server(target: &str) -> String {
    http_server_at("127.0.0.1:0", target)
}

/// An HTTP server on free ports, one for each of `targets`.
pub(crate) fn http_servers(targets: &[&str]) -> String {
    let link = |target: &&str| {
        let config = format!("[{{name: {target}, properties: {{address: \"127.0.0.1:0\"}}}}]");
        format!("target: {target}, name: {target}, source: {{config: {config}}}")
    };
    let links: Vec<_> = targets.iter().map(link).collect();
    let links: Vec<_> = links.iter().map(String::as_str).collect();
    provider("http-server", "", &links)
}

/// An HTTP server at an address, linked to `target`.
pub(crate) fn http_server_at(address: &str, target: &str) -> String {
    listening(address, &format!("target: {target}"))
}

/// An HTTP server on a free port, linked to `target` by `binding`.
pub(crate) fn http_server_by(binding: &str, target: &str) -> String {
    listening(
        "127.0.0.1:0",
        &format!("target: {target}, binding: {binding}"),
    )
}

fn listening(address: &str, link: &str) -> String {
    let config = format!("[{{name: listen, properties: {{address: \"{address}\"}}}}]");
    provider(
        "http-server",
        "",
        &[&format!("{link}, source: {{config: {config}}}")],
    )
}

/// An entry of `spec.components`.
pub(crate) fn entry(name: &str, kind: &str, properties: &str, links: &[&str]) -> String {
    let links: Vec<_> = links
        .iter()
        .map(|link| format!("{{type: link, properties: {{{link}}}}}"))
        .collect();
    let links = links.join(", ");
    format!(
        "    - name: {name}\n      type: {kind}\n      properties: {{{properties}}}\n      traits: [{links}]\n"
    )
}
