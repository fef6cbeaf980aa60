//! The questions of a host to a provider's process, besides the calls of its links.

use serde::{Deserialize, Serialize};
use withe_rpc::codec::ByteList;
use withe_rpc::{DecodeError, LinkFunction, Payload};

use super::protocol::PROTOCOL;
use crate::{BackendCount, ConfigMap, Endpoint, FunctionName, LinkId};

/// The target of the link that takes [`Request`]s. The link has one function, whose parameter and result are JSON
/// in a `list<u8>`.
pub const CONTROL: &str = "[provider]";

/// The functions of the link to [`CONTROL`].
pub fn control_functions() -> Vec<LinkFunction> {
    vec![LinkFunction {
        interface: String::new(),
        function: "control".into(),
        digest: u64::from(PROTOCOL),
    }]
}

/// The functions of a link between a host and a provider's process, as either asks the other for them. Their types were
/// compared when the plan was made.
pub fn link_functions(names: &[FunctionName]) -> Vec<LinkFunction> {
    let function = |name: &FunctionName| LinkFunction {
        interface: name.interface.clone(),
        function: name.function.clone(),
        digest: 0,
    };
    names.iter().map(function).collect()
}

/// A host's question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// [`Provider::start`](crate::Provider::start)
    Start,
    /// [`Provider::link_put`](crate::Provider::link_put)
    LinkPut(LinkPut),
    /// [`Provider::link_deleted`](crate::Provider::link_deleted)
    LinkDeleted {
        /// The link.
        link: LinkId,
        /// How long its work may take.
        grace_ms: u64,
    },
    /// [`Provider::health`](crate::Provider::health)
    Health,
}

/// A link that is made or replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPut {
    /// Its number.
    pub link: LinkId,
    /// Its name.
    pub name: String,
    /// The application at the other end.
    pub application: String,
    /// The component at the other end.
    pub component: String,
    /// The provider's side of its configuration.
    pub config: ConfigMap,
    /// The component's role for the provider.
    pub peer: LinkPeer,
}

/// A [`Peer`](crate::Peer).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkPeer {
    /// The component imports these functions.
    Importer(Vec<FunctionName>),
    /// The component handles HTTP requests.
    Http,
    /// The component exports these functions, which the host calls by their places in this list.
    Callee(Vec<FunctionName>),
}

/// The answer of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Done, or all is well.
    Done(ProviderState),
    /// The request could not be met, or the provider cannot do its work: a sentence for a person.
    Failed(String),
}

/// A provider, as seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderState {
    /// [`Provider::endpoints`](crate::Provider::endpoints)
    pub endpoints: Vec<Endpoint>,
    /// Whether it has an [`OutgoingHandler`](crate::OutgoingHandler).
    pub outgoing_http: bool,
    /// Whether a successor can be given its [`sockets`](crate::Provider::sockets).
    pub hands_over: bool,
    /// [`Provider::backend_calls`](crate::Provider::backend_calls). Earlier versions of the SDK count none.
    #[serde(default)]
    pub backend_calls: Vec<BackendCount>,
}

/// A request as the parameter of the control link's function.
pub fn write_request(request: &Request) -> Payload {
    written(request)
}

pub(super) fn write_answer(answer: &Answer) -> Payload {
    written(answer)
}

/// Why what came over the control link is no [`Request`], or no [`Answer`].
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The payload is not a value of the link's type.
    #[error(transparent)]
    Value(#[from] DecodeError),
    /// The value is not the JSON of one.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The answer that a result of the control link's function is.
///
/// # Errors
///
/// Why it is none.
pub fn read_answer(payload: &Payload) -> Result<Answer, ControlError> {
    read(payload)
}

pub(super) fn read_request(payload: &Payload) -> Result<Request, ControlError> {
    read(payload)
}

fn written(value: &impl Serialize) -> Payload {
    // Maps with keys that are texts, and nothing that fails to be written.
    let json = serde_json::to_vec(value).unwrap_or_default();
    Payload::of(&(ByteList(json),))
}

fn read<T: for<'a> Deserialize<'a>>(payload: &Payload) -> Result<T, ControlError> {
    let (json,): (ByteList,) = payload.read()?;
    Ok(serde_json::from_slice(&json.0)?)
}
