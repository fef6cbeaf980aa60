//! Which HTTP handlers a component exports.

use wasmtime::component::{Component, ComponentExportIndex, InstancePre};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use withe_wit::InterfaceName;

use super::face::HttpFace;

/// The exports of a component that take requests; of each face the first.
#[derive(Default)]
pub(crate) struct HttpExports {
    handler: Option<HttpExport>,
    client: Option<HttpExport>,
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
            let Some(face) = HttpFace::of(&name) else {
                continue;
            };
            let place = match face {
                HttpFace::Handler => &mut found.handler,
                HttpFace::Client => &mut found.client,
            };
            if place.is_some() {
                continue;
            }
            let function = |function| {
                let instance = component.get_export_index(None, export)?;
                component.get_export_index(Some(&instance), function)
            };
            *place = match name.interface.as_str() {
                "incoming-handler" => Some(HttpExport::Incoming(ProxyIndices::new(pre)?)),
                "outgoing-handler" => function("handle").map(HttpExport::Outgoing),
                "handler" => function("handle").map(HttpExport::P3),
                _ => function("send").map(HttpExport::P3),
            };
        }
        Ok(found)
    }

    /// The export that takes requests of this face.
    pub(crate) fn get(&self, face: HttpFace) -> Option<&HttpExport> {
        match face {
            HttpFace::Handler => self.handler.as_ref(),
            HttpFace::Client => self.client.as_ref(),
        }
    }
}
