//! Why units could not be made ready to run.

use std::path::PathBuf;

/// Why units could not be made ready to run.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine could not be made.
    #[error("the WebAssembly engine cannot start: {cause:#}")]
    Engine {
        /// Wasmtime's error.
        cause: wasmtime::Error,
    },
    /// The folder for compiled components cannot be used.
    #[error(
        "the folder for compiled code `{}` cannot be used: {cause}; name another with `WITHE_CACHE_DIR`, or none with \
         `WITHE_CACHE_DIR=`", dir.display()
    )]
    Cache {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        #[source]
        cause: withe_files::FolderError,
    },
    /// A component does not compile.
    #[error("component `{component}` does not compile: {cause:#}")]
    Compile {
        /// Its name.
        component: String,
        /// Wasmtime's error.
        cause: wasmtime::Error,
    },
    /// The thread that compiles and links ended before it was done.
    #[error("compiling and linking stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
    /// A compiled component's imports do not fit what they are linked to.
    #[error("component `{component}` cannot be linked: {cause}")]
    Link {
        /// Its name.
        component: String,
        /// The import that does not fit.
        cause: LinkError,
    },
    /// An instance of a composition needs more instances of one component than may run at a time.
    #[error(
        "`{unit}` can never start: what is fused into it has `{component}` {needed} times, and only {most} may run \
         at a time; raise the `instances` of `{component}` to {needed} or more, or pin a link to it to `binding: local`"
    )]
    Instances {
        /// The composition's root.
        unit: String,
        /// The component.
        component: String,
        /// How many one instance of the composition needs.
        needed: u32,
        /// How many may run at a time.
        most: u32,
    },
}

/// An import of a unit that its source does not satisfy. The linker has checked all of it before, by the
/// worlds that it read: each of these says that a plan is not for these components.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Neither the host nor a link satisfies an import.
    #[error("nothing satisfies the import `{import}`")]
    Unsatisfied {
        /// Its name.
        import: String,
    },
    /// An async function cannot be imported by a component that runs without concurrency support.
    #[error(
        "`{function}` is async, but the component runs on the engine without concurrency support"
    )]
    Async {
        /// Its name.
        function: String,
    },
    /// The target of a link has no such export.
    #[error("`{target}` exports no `{function}` in `{}`", interface.as_deref().unwrap_or("its world"))]
    NoExport {
        /// The component that is linked to.
        target: String,
        /// The interface, `None` for the world's own functions.
        interface: Option<String>,
        /// The function.
        function: String,
    },
    /// A link to a provider or another process is not about this function.
    #[error("`{function}` of `{import}` is not part of the link to `{target}`")]
    NotLinked {
        /// The target of the link.
        target: String,
        /// The import.
        import: String,
        /// The function.
        function: String,
    },
    /// Wasmtime finds that what is defined does not have the type that is imported.
    #[error("{0:#}")]
    Wasmtime(wasmtime::Error),
}

impl From<wasmtime::Error> for LinkError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Wasmtime(error)
    }
}
