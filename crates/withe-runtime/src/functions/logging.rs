//! `wasi:logging/logging`: into the host's log, under the component's name.

use tracing::Level;
use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, LinkerInstance};

use crate::core::InstanceState;
use crate::guest_log;

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "the cases are made by lifting")]
enum LogLevel {
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
        move |cx, (level, context, message): (LogLevel, String, String)| {
            let state = cx.data();
            let level = match level {
                LogLevel::Trace => Level::TRACE,
                LogLevel::Debug => Level::DEBUG,
                LogLevel::Info => Level::INFO,
                LogLevel::Warn => Level::WARN,
                LogLevel::Error | LogLevel::Critical => Level::ERROR,
            };
            let account = &state.nested.tenancy.account;
            let who = state.identity(member);
            guest_log::write(account, who, level, Some(&context), &message);
            Ok(())
        },
    )
}
