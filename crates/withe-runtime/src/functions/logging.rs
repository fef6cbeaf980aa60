//! `wasi:logging/logging`: into the host's log, under the component's name.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, LinkerInstance};

use crate::spec::Identity;
use crate::state::State;

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "the cases are made by lifting")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

pub(super) fn define(linker: &mut LinkerInstance<'_, State>, who: Arc<Identity>) -> Result<()> {
    linker.func_wrap(
        "log",
        move |_, (level, context, message): (Level, String, String)| {
            let Identity {
                application,
                component,
                ..
            } = &*who;
            // `tracing` wants the level as a constant.
            macro_rules! log {
            ($macro:ident) => {
                tracing::$macro!(target: "component", application, component, context, "{message}")
            };
        }
            match level {
                Level::Trace => log!(trace),
                Level::Debug => log!(debug),
                Level::Info => log!(info),
                Level::Warn => log!(warn),
                Level::Error | Level::Critical => log!(error),
            }
            Ok(())
        },
    )
}
