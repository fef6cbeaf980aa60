//! Which HTTP handlers a component exports.

use std::sync::Arc;

use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Resource, TypedFunc};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use withe_wit::InterfaceName;

use super::face::HttpFace;

/// The exports of a component that take requests. There may be one of each release of WASI.
#[derive(Default)]
pub(crate) struct HttpExports(Vec<Named>);

struct Named {
    name: Arc<str>,
    face: HttpFace,
    export: HttpExport,
}

/// An interface that is sent requests, its function already found.
pub(crate) enum HttpExport {
    /// `incoming-handler`.
    Incoming(ProxyIndices),
    /// `outgoing-handler.handle`.
    Outgoing(ComponentExportIndex),
    /// `handler.handle` or `client.send`, which have one type.
    P3(ComponentExportIndex),
}

/// `handler.handle` or `client.send` of an instance.
pub(crate) type P3Handler =
    TypedFunc<(Resource<Request>,), (Result<Resource<Response>, ErrorCode>,)>;

impl HttpExports {
    pub(crate) fn find<T: 'static>(
        pre: &InstancePre<T>,
        component: &Component,
    ) -> wasmtime::Result<Self> {
        let mut found = Self::default();
        for (export, _) in component.component_type().exports(component.engine()) {
            let Ok(name) = export.parse::<InterfaceName>() else {
                continue;
            };
            let (Some(face), Some(index)) = (HttpFace::of(&name), function(component, export))
            else {
                continue;
            };
            found.0.push(Named {
                name: export.into(),
                face,
                export: match name.interface.as_str() {
                    "incoming-handler" => HttpExport::Incoming(ProxyIndices::new(pre)?),
                    "outgoing-handler" => HttpExport::Outgoing(index),
                    _ => HttpExport::P3(index),
                },
            });
        }
        Ok(found)
    }

    /// The export that takes requests of this face: the first, if there are several.
    pub(crate) fn of_face(&self, face: HttpFace) -> Option<&Arc<str>> {
        let mut exports = self.0.iter();
        Some(&exports.find(|export| export.face == face)?.name)
    }

    /// The export that has this name.
    pub(crate) fn get(&self, name: &str) -> Option<&HttpExport> {
        let mut exports = self.0.iter();
        Some(&exports.find(|export| *export.name == *name)?.export)
    }
}

/// The name of the function of an interface that is sent requests.
pub(crate) fn function_name(interface: &str) -> &'static str {
    match interface.parse::<InterfaceName>() {
        Ok(name) if name.interface == "client" => "send",
        _ => "handle",
    }
}

/// The function of an export that is sent requests, if the component has it.
pub(crate) fn function(component: &Component, export: &str) -> Option<ComponentExportIndex> {
    let instance = component.get_export_index(None, export)?;
    component.get_export_index(Some(&instance), function_name(export))
}
