//! The links of a unit, as its instances call over them. Made when the graph is built; a call looks nothing up by
//! name, except which of several links `wasmcloud:bus/lattice` chose.
//!
//! This is all that units of equal components do not share: what is defined for an import is only its number
//! ([`Stub`]), and what that leads to stands here, in the instance's own unit.

use std::sync::{Arc, OnceLock};

use withe_provider::{LinkId, Provider};

use crate::exports::ExportFn;
use crate::http::face::HttpFace;
use crate::http::failures::LinkFailures;
use crate::http::unread::UnreadWatch;
use crate::metrics::LinkCounts;
use crate::metrics::labels::LinkLabels;
use crate::spec::{Identity, LinkSpec};
use crate::trace::{Hop, Tracer};

/// All links of a unit.
pub(crate) struct UnitLinks {
    /// The functions that are imported over links, by their numbers; those of all units of the same code.
    pub(crate) stubs: Arc<[Stub]>,
    /// The ways that each of them can take: mostly one; several are chosen among by link name.
    pub(crate) routes: Vec<Box<[LinkRoute]>>,
    /// The identities of the unit's members.
    pub(crate) members: Vec<Arc<Identity>>,
    /// The imports through which requests are sent, by the numbers of their stubs.
    pub(crate) outgoing: Vec<OutgoingImport>,
    /// The imports through which objects are kept, likewise.
    pub(crate) blobs: Vec<BlobImport>,
    /// Its links; a link's index is its slot. A link that two members have is there twice.
    pub(crate) links: Vec<Arc<LinkSpec>>,
    /// For each member, what the numbers of the resources are that it has over links.
    pub(crate) numbering: Vec<Numbering>,
    pub(crate) tracer: Tracer,
}

/// The source of the number that a resource's handle is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The target's: there is one link, which has this slot.
    Target { slot: usize },
    /// The store's: there are several links.
    Store,
}

/// An imported function, whatever it is linked to.
pub(crate) struct Stub {
    /// Its import's index in [`crate::spec::UnitSpec::imports`].
    pub(crate) import: usize,
    /// Which member of the unit imports it.
    pub(crate) member: usize,
    /// `interface.function`, for messages.
    pub(crate) name: Arc<str>,
    /// The function's name.
    pub(crate) function: Arc<str>,
    /// `namespace:package/interface`, by which `wasmcloud:bus/lattice` knows it; or the function's name.
    pub(crate) interface: Arc<str>,
    /// Whether its result has the `error` of `wrpc:rpc/error` as its error.
    pub(crate) error_arm: bool,
    /// Whether the component imports it, or only the host calls it for the component ([`crate::opened`]).
    pub(crate) is_imported: bool,
}

/// One way that an imported function can take.
pub(crate) struct LinkRoute {
    pub(crate) link: Arc<LinkSpec>,
    /// The link's slot, under which an instance keeps what it reached over it.
    pub(crate) slot: usize,
    pub(crate) via: Via,
    /// Where its calls are counted.
    pub(crate) counts: Arc<LinkCounts>,
    /// The hop of its spans, made with the first of them.
    hop: OnceLock<Box<Hop>>,
}

pub(crate) enum Via {
    /// An instance of a unit.
    Unit { unit: usize, export: ExportFn },
    /// A provider.
    Provider {
        provider: Arc<dyn Provider>,
        link: LinkId,
        function: usize,
    },
    /// Another process.
    Remote {
        remote: Arc<withe_rpc::Route>,
        function: usize,
    },
}

impl LinkRoute {
    pub(crate) fn new(link: Arc<LinkSpec>, slot: usize, via: Via, counts: Arc<LinkCounts>) -> Self {
        Self {
            link,
            slot,
            via,
            counts,
            hop: OnceLock::new(),
        }
    }

    /// The hop of spans for calls over it, which `importer` makes of `stub`.
    pub(crate) fn hop(&self, importer: &Identity, stub: &Stub) -> &Hop {
        self.hop.get_or_init(|| {
            let labels = labels(importer, &self.link, &stub.interface);
            Box::new(Hop::link(&labels, &stub.function))
        })
    }
}

/// An import through which requests are sent: to the world, or to the handler of another component.
pub(crate) struct OutgoingImport {
    /// An interface of `wasi:http`, without its version.
    pub(crate) interface: String,
    pub(crate) member: usize,
    pub(crate) links: Vec<Arc<OutgoingLink>>,
}

/// A link over which requests go out.
pub(crate) struct OutgoingLink {
    pub(crate) spec: Arc<LinkSpec>,
    pub(crate) application: String,
    /// The face of the import: requests that the component hands to a handler may leave out whom they ask, also
    /// where something else takes them.
    pub(crate) face: HttpFace,
    /// The export of a component of this process that takes the requests; `None` for other targets.
    pub(crate) export: Option<Arc<str>>,
    /// Where requests are counted.
    pub(crate) counts: Arc<LinkCounts>,
    pub(crate) tracer: Tracer,
    /// Watches the answers of a component of this process.
    pub(crate) unread: Arc<UnreadWatch>,
    /// Where failures of what it leads to are told.
    pub(crate) failures: Arc<LinkFailures>,
}

/// An import through which objects are kept.
pub(crate) struct BlobImport {
    /// `wasi:blobstore/blobstore`, `container` or `types`.
    pub(crate) interface: String,
    pub(crate) member: usize,
    pub(crate) links: Vec<Arc<BlobLink>>,
}

/// A link over which objects are kept.
pub(crate) struct BlobLink {
    pub(crate) spec: Arc<LinkSpec>,
    pub(crate) importer: Arc<Identity>,
    /// The interface of the import, under which calls are counted.
    pub(crate) interface: String,
    /// Where calls are counted.
    pub(crate) counts: Arc<LinkCounts>,
    pub(crate) tracer: Tracer,
}

/// The labels of a link's counts and spans; `interface` has no version.
pub(crate) fn labels<'a>(
    importer: &'a Identity,
    link: &'a LinkSpec,
    interface: &'a str,
) -> LinkLabels<'a> {
    LinkLabels {
        application: &importer.application,
        source: &link.source,
        target: &link.target_name,
        name: &link.name,
        interface,
        binding: link.binding,
    }
}
