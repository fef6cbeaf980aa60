//! The request that an application makes of a host: plain data, which says all that a policy can refuse.

use std::path::PathBuf;
use std::time::Duration;

/// The request that an application makes of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdmissionRequest {
    /// The application's names: that under which it was put, and that in its manifest if that is another one.
    pub(crate) names: Vec<String>,
    /// The name of the deployer who has signed it, where that was looked at.
    pub(crate) deployer: Option<String>,
    /// The parts that are to run on the host.
    pub(crate) parts: Vec<RequestedPart>,
}

/// The share of a part in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestedPart {
    /// Its name in the manifest.
    pub(crate) name: String,
    /// The code of it that is to run.
    pub(crate) code: RequestedCode,
    /// The directories and files that it is to reach.
    pub(crate) directories: Vec<RequestedDirectory>,
    /// Whether it is to reach the network.
    pub(crate) network: bool,
    /// The names of the variables that it is to have.
    pub(crate) env: Vec<String>,
    /// The most memory of an instance, in bytes, if it says.
    pub(crate) memory: Option<u64>,
    /// The longest time of a call, if it says.
    pub(crate) time: Option<Duration>,
    /// How many instances may run at a time, if it says.
    pub(crate) instances: Option<u32>,
}

/// The code of a part that is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestedCode {
    /// A component.
    Component {
        /// Where the manifest says that its bytes come from: several, if it is composed.
        images: Vec<String>,
        /// The digest of its bytes.
        digest: String,
    },
    /// A provider that comes with the host, or one that others run.
    Provider {
        /// Its image.
        image: String,
    },
    /// A provider's program.
    Program {
        /// The name of its file, where it was put from.
        file: String,
        /// The digest of its bytes.
        digest: String,
        /// Whether it is one that the operator lets the host run.
        is_listed: bool,
    },
}

/// A directory or a file that a part is to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestedDirectory {
    /// Its path, as the application names it.
    pub(crate) named: PathBuf,
    /// Where that leads on this machine, free of links.
    pub(crate) real: PathBuf,
    /// Whether it is to be written to.
    pub(crate) is_written: bool,
    /// The key of a provider's configuration that names it; `None` for a directory that a component is granted.
    pub(crate) key: Option<String>,
}
