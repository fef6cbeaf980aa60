//! Recognises components that export an interface of WASI which makes them commands or handlers of HTTP requests.
//!
//! Both releases that a host has are meant, 0.2 and 0.3, and their drafts: the runtime finds out which exact one a
//! component has.

use semver::Version;

use crate::name::InterfaceName;
use crate::world::{Extern, World};

impl World {
    /// The export by which the component is run as a command: `wasi:cli/run`.
    pub fn command(&self) -> Option<&Extern> {
        self.exported(|name| is(name, "cli", "run", &[2, 3]))
    }

    /// The export by which it handles HTTP requests: `wasi:http/incoming-handler` of WASI 0.2, or `wasi:http/handler`
    /// of 0.3.
    pub fn http_handler(&self) -> Option<&Extern> {
        self.exported(|name| {
            is(name, "http", "incoming-handler", &[2]) || is(name, "http", "handler", &[3])
        })
    }

    fn exported(&self, is_it: impl Fn(&InterfaceName) -> bool) -> Option<&Extern> {
        let mut exports = self.exports.iter();
        exports.find(|export| export.interface_name().is_some_and(&is_it))
    }
}

fn is(name: &InterfaceName, package: &str, interface: &str, minors: &[u64]) -> bool {
    let of_release = |version: &Version| version.major == 0 && minors.contains(&version.minor);
    (name.namespace.as_str(), &*name.package, &*name.interface) == ("wasi", package, interface)
        && name.version.as_ref().is_some_and(of_release)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(export: &str) -> World {
        let wit = format!("package t:t; world w {{ export {export}; }}");
        let (package, rest) = export.split_once('/').unwrap();
        let (interface, version) = rest.split_once('@').unwrap();
        let other = format!("package {package}@{version}; interface {interface} {{ f: func(); }}");
        World::from_wit(&[&other, &wit], "w").unwrap()
    }

    #[test]
    fn commands_and_handlers_are_known_by_their_exports() {
        for (export, command, handler) in [
            ("wasi:cli/run@0.2.6", true, false),
            ("wasi:cli/run@0.3.0-rc-2026-03-15", true, false),
            ("wasi:cli/run@1.0.0", false, false),
            ("wasi:cli/stdin@0.2.6", false, false),
            ("wasi:http/incoming-handler@0.2.0", false, true),
            ("wasi:http/handler@0.3.0", false, true),
            ("wasi:http/handler@0.2.0", false, false),
        ] {
            let world = world(export);
            let found = (world.command().is_some(), world.http_handler().is_some());
            assert_eq!(found, (command, handler), "{export}");
        }
    }
}
