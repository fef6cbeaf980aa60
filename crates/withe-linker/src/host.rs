//! The interfaces that the host itself gives every component.
//!
//! The host is one more exporter, so its interfaces are found by name and version and their types are
//! compared like any others. One thing is its own: tools still emit drafts of WASI, whose names satisfy
//! nothing but themselves. The host serves a draft, or what was finished from one of its own drafts, where
//! the types agree; linked components have to agree on the name, as they can be built anew together.

use std::collections::HashMap;

use withe_wit::check::{self, Mismatch};
use withe_wit::{Extern, InterfaceName, World};

use crate::matching::{find_among, is_near};

/// The host's interfaces by name.
#[derive(Clone, Debug)]
pub(crate) struct HostExports<'a> {
    by_path: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Extern>>,
}

/// An import that the host satisfies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostImport<'a> {
    pub(crate) import: &'a Extern,
    pub(crate) export: &'a Extern,
}

impl HostImport<'_> {
    /// Where their types differ.
    pub(crate) fn mismatches(&self) -> Vec<Mismatch> {
        match (self.import.interface(), self.export.interface()) {
            (Some(import), Some(export)) => check::host_interface(import, export),
            // The host gives interfaces only.
            _ => Vec::new(),
        }
    }
}

impl<'a> HostExports<'a> {
    /// The exports of a world that imports the host's interfaces.
    pub(crate) fn new(world: &'a World) -> Self {
        let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
        for export in &world.imports {
            if let Some(name) = export.interface_name() {
                by_path.entry(path(name)).or_default().push(export);
            }
        }
        Self { by_path }
    }

    /// The host's export that satisfies `import`. Their types may differ, but for a draft that is served
    /// as another version.
    pub(crate) fn find(&self, import: &Extern) -> Option<&'a Extern> {
        let name = import.interface_name()?;
        let versions = self.versions(name);
        find_among(import, versions.iter().copied().enumerate())
            .map(|i| versions[i])
            .or_else(|| {
                let near = versions.iter().filter(|export| is_near(import, export));
                let mut agreeing = near.filter(|&&export| {
                    let host = HostImport { import, export };
                    import.is_types_only() || host.mismatches().is_empty()
                });
                agreeing.next().copied()
            })
    }

    /// The versions of an interface that the host has.
    pub(crate) fn versions<'s>(&'s self, name: &'s InterfaceName) -> &'s [&'a Extern] {
        self.by_path
            .get(&path(name))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

fn path(name: &InterfaceName) -> (&str, &str, &str) {
    (&name.namespace, &name.package, &name.interface)
}
