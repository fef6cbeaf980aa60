//! `--mock`: what takes the place of something.

use std::path::PathBuf;

use withe_linker::input::Image;
use withe_load::Loaded;
use withe_load::arguments::{MockArgument, MockWith};

use crate::providers;
use crate::usage::Expected;

/// A mock that is no component: a provider that keeps nothing.
const MEMORY: &str = "memory";

/// Reads the option.
pub(super) fn mock(text: &str) -> Result<MockArgument, Expected> {
    const FORM: Expected = Expected(
        "`NAMESPACE:PACKAGE=memory`, or `NAMESPACE:PACKAGE/INTERFACE=MOCK.wasm`, which may be a whole package as well",
    );
    let (name, with) = text.split_once('=').ok_or(FORM)?;
    let (namespace, rest) = name.split_once(':').ok_or(FORM)?;
    let package = rest.split('/').next().unwrap_or_default();
    let has_version = name.contains('@');
    if namespace.is_empty() || package.is_empty() || with.is_empty() || has_version {
        return Err(FORM);
    }
    Ok(MockArgument {
        name: name.to_owned(),
        with: match with {
            MEMORY => MockWith::Embedded,
            path => MockWith::Component(PathBuf::from(path)),
        },
    })
}

/// Why a mock is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdleMock {
    #[error("`--mock {name}=…`: nothing imports it; there are imports of {imports}")]
    NotImported { name: String, imports: String },
    #[error(
        "`--mock {0}=memory`: no provider that keeps things in memory exports it; name a component: `{0}=MOCK.wasm`"
    )]
    NoProvider(String),
    #[error("`--mock {name}={file}`: that component does not export it")]
    NotExported { name: String, file: String },
}

/// The mocks that nothing leads to.
pub(super) fn idle(mocks: &[MockArgument], loaded: &Loaded) -> Vec<IdleMock> {
    let worlds = || {
        let parts = loaded.named_parts();
        parts.filter_map(|(_, part)| part.component().map(|read| read.world))
    };
    let idle = mocks.iter().filter_map(|mock| {
        let name = mock.name.clone();
        let imported = worlds().any(|world| world.imports.iter().any(|i| mock.is_meant(i)));
        if !imported {
            let imports = worlds().flat_map(|world| &world.imports);
            let mut imports: Vec<_> = imports
                .filter(|import| !import.is_types_only())
                .filter_map(|import| Some(import.interface_name()?.unversioned().to_string()))
                .filter(|name| !name.starts_with("wasi:cli/") && !name.starts_with("wasi:io/"))
                .map(|name| format!("`{name}`"))
                .collect();
            imports.sort();
            imports.dedup();
            let imports = match imports.is_empty() {
                true => "nothing".to_owned(),
                false => imports.join(", "),
            };
            return Some(IdleMock::NotImported { name, imports });
        }
        match &mock.with {
            MockWith::Embedded => {
                let embedded = providers::embedded();
                let registry = providers::registry().ok()?;
                let exports = |provider: &str| {
                    let mut worlds = registry.worlds();
                    let world = worlds.find(|(name, _)| *name == provider);
                    world.is_some_and(|(_, world)| world.exports.iter().any(|e| mock.is_meant(e)))
                };
                let is_served = embedded.iter().any(|provider| exports(&provider.name));
                (!is_served).then_some(IdleMock::NoProvider(name))
            }
            MockWith::Component(path) => {
                // One that could not be read is said to be so with all that is wrong.
                let application = loaded.application.as_ref()?;
                let file = path.to_string_lossy();
                let mut components = application.components.iter();
                let component = components.find(|component| {
                    matches!(&component.image.value, Image::File(image) if *image == file)
                })?;
                let world = loaded.part(&component.name)?.component()?.world;
                let exports = world.exports.iter().any(|export| mock.is_meant(export));
                let file = file.into_owned();
                (!exports).then_some(IdleMock::NotExported { name, file })
            }
        }
    });
    idle.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mocks_are_named_by_package_or_interface() {
        let memory = mock("wasi:keyvalue=memory").unwrap();
        assert_eq!(memory.with, MockWith::Embedded);
        let component = mock("shop:api/prices=./mock=1.wasm").unwrap();
        assert_eq!(component.name, "shop:api/prices");
        assert_eq!(component.with, MockWith::Component("./mock=1.wasm".into()));
        for text in [
            "keyvalue=memory",
            "wasi:keyvalue",
            "wasi:=memory",
            "a:b=",
            "a:b@1.0.0=memory",
            "",
        ] {
            assert!(mock(text).is_err(), "{text}");
        }
    }
}
