//! Which HTTP handler a component exports.

use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p3::bindings::ServiceIndices;
use withe_wit::InterfaceName;

/// Which HTTP handler a component exports, its functions already found.
pub(crate) enum HttpExport {
    P2(ProxyIndices),
    P3(ServiceIndices),
}

impl HttpExport {
    pub(crate) fn find<T: 'static>(
        pre: &InstancePre<T>,
        component: &Component,
    ) -> wasmtime::Result<Option<Self>> {
        for (name, _) in component.component_type().exports(component.engine()) {
            let Ok(name) = name.parse::<InterfaceName>() else {
                continue;
            };
            match (
                name.namespace.as_str(),
                name.package.as_str(),
                name.interface.as_str(),
            ) {
                ("wasi", "http", "incoming-handler") => {
                    return Ok(Some(Self::P2(ProxyIndices::new(pre)?)));
                }
                ("wasi", "http", "handler") => {
                    return Ok(Some(Self::P3(ServiceIndices::new(pre)?)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
