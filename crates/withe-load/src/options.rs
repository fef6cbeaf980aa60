//! Options for reading and linking, besides the files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use withe_linker::input::{LinkDefaults, Placement};
use withe_provider::process::Description;
use withe_wit::World;

/// How an application is linked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkOptions {
    /// Interfaces that the host gives every component, as the imports of a world.
    pub host: Arc<World>,
    /// Components, by name, that something outside the application calls.
    pub called: Vec<String>,
    /// The defaults of links that say nothing.
    pub defaults: LinkDefaults,
    /// Which of the parts run here.
    pub placement: Placement,
}

/// The parts of an application that were read elsewhere: with them no component's file is read.
#[derive(Clone, Debug, Default)]
pub struct Supplied {
    /// The bytes of components, by the component's name.
    pub components: HashMap<String, Arc<[u8]>>,
    /// The programs of providers, by the provider's name.
    pub programs: HashMap<String, SuppliedProgram>,
    /// Whether a program that only the manifest names is run to ask it what provider it is. Only for manifests of
    /// somebody who may start programs here: one that comes from a lattice names any file of the machine.
    pub runs_programs: bool,
}

/// A provider's program that was asked elsewhere what it is.
#[derive(Clone, Debug)]
pub struct SuppliedProgram {
    /// Where it will be before the provider is started.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: String,
    /// The program's own description; `None` for an archive of wasmCloud v1.
    pub description: Option<Description>,
}
