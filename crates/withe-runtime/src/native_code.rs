//! Compiled code that is loaded from bytes: who is trusted to have made it.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::key::{CODE_LEN, CodeKey};

/// Compiled code that a process of this user made with Wasmtime.
pub(crate) struct TrustedCode<'a>(&'a [u8]);

impl<'a> TrustedCode<'a> {
    /// The code of an entry of the cache, if it is what was written under that name.
    pub(crate) fn of_entry(key: &CodeKey, name: &str, entry: &'a [u8]) -> Option<Self> {
        let (authentication, code) = entry.split_at_checked(CODE_LEN)?;
        key.is_code(authentication, name, code)
            .then_some(Self(code))
    }

    /// The output of a process of this program, which this one started to compile a component.
    pub(crate) fn of_own_process(printed: &'a [u8]) -> Self {
        Self(printed)
    }

    #[expect(
        unsafe_code,
        reason = "Wasmtime has no other way to load code, as it cannot tell who made it"
    )]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes must come from Wasmtime's compiler. Entries of the cache are written from there only, and
        // these carry the code that needs the key that only this user can read. Code from a process of this program
        // comes over a pipe that this process alone has. Code of other versions and settings is refused by Wasmtime
        // itself.
        unsafe { Component::deserialize(engine, self.0) }
    }
}
