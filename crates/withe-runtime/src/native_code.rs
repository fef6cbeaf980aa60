//! Compiled code that is loaded from bytes: its kinds, and who is trusted to have made it.

use serde::{Deserialize, Serialize};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::cache::key::{CODE_LEN, CodeKey};

/// A component or a module that Wasmtime compiles, and the code of which can be kept.
pub(crate) trait NativeCode: Sized {
    /// The kind of its code.
    const KIND: CodeKind;

    /// Compiles it in this process.
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self>;

    /// Its code.
    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// Loads its code.
    fn load(code: &TrustedCode<'_>, engine: &Engine) -> wasmtime::Result<Self>;
}

/// The kinds of code, which Wasmtime tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CodeKind {
    /// A component, whole or without some of its modules.
    Component,
    /// A core module that was taken out of one.
    Module,
}

impl CodeKind {
    /// The code of what has these bytes.
    pub(crate) fn precompile(self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Component => engine.precompile_component(bytes),
            Self::Module => engine.precompile_module(bytes),
        }
    }
}

/// Compiled code that a process of this user made with Wasmtime.
pub(crate) struct TrustedCode<'a>(&'a [u8]);

impl<'a> TrustedCode<'a> {
    /// The code of an entry of the cache, if it is what was written under that name.
    pub(crate) fn of_entry(key: &CodeKey, name: &str, entry: &'a [u8]) -> Option<Self> {
        let (authentication, code) = entry.split_at_checked(CODE_LEN)?;
        key.is_code(authentication, name, code)
            .then_some(Self(code))
    }

    /// The code of what is in memory.
    pub(crate) fn of_module(serialized: &'a SerializedModule) -> Self {
        Self(&serialized.0)
    }

    /// The output of a process of this program, which this one started to compile something.
    pub(crate) fn of_own_process(printed: &'a [u8]) -> Self {
        Self(printed)
    }
}

/// The code of a module that was in memory, and nothing else.
pub(crate) struct SerializedModule(Vec<u8>);

impl SerializedModule {
    /// The code of a module.
    pub(crate) fn of(module: &Module) -> wasmtime::Result<Self> {
        module.serialize().map(Self)
    }
}

impl NativeCode for Component {
    const KIND: CodeKind = CodeKind::Component;

    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        Self::new(engine, bytes)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        self.serialize()
    }

    #[expect(
        unsafe_code,
        reason = "Wasmtime has no other way to load code, as it cannot tell who made it"
    )]
    fn load(code: &TrustedCode<'_>, engine: &Engine) -> wasmtime::Result<Self> {
        // SAFETY: the bytes must come from Wasmtime's compiler. Entries of the cache are written from there only, and
        // these carry the code that needs the key that only this user can read. Code from a process of this program
        // comes over a pipe that this process alone has, and code of a module in memory from Wasmtime itself. Code of other
        // versions, settings and kinds is refused by Wasmtime.
        unsafe { Self::deserialize(engine, code.0) }
    }
}

impl NativeCode for Module {
    const KIND: CodeKind = CodeKind::Module;

    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        Self::new(engine, bytes)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        self.serialize()
    }

    #[expect(
        unsafe_code,
        reason = "Wasmtime has no other way to load code, as it cannot tell who made it"
    )]
    fn load(code: &TrustedCode<'_>, engine: &Engine) -> wasmtime::Result<Self> {
        // SAFETY: as above.
        unsafe { Self::deserialize(engine, code.0) }
    }
}
