//! `wasi:logging/logging`: into the host's log, under the component's name.

use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, LinkerInstance};

use crate::core::InstanceState;
use crate::spec::Identity;

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

pub(super) fn define(linker: &mut LinkerInstance<'_, InstanceState>, member: usize) -> Result<()> {
    linker.func_wrap(
        "log",
        move |cx, (level, context, message): (Level, String, String)| {
            let Identity {
                application,
                component,
                ..
            } = &**cx.data().identity(member);
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
