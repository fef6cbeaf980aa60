//! What a process of an application serves to its other processes, and the ways to them.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout_at};
use withe_linker::input::ComponentKind;
use withe_linker::plan::{Binding, Plan, PlannedLink};
use withe_provider::{Call, LinkId, Provider};
use withe_rpc::unix::UnixConnector;
use withe_rpc::{
    CallContext, CallError, Client, Limits, LinkFunction, LinkRequest, Payload, Serve, ServedLink,
    ServedSession,
};
use withe_runtime::{DROP, Graph};
use withe_wit::{ExternItem, Function};

use crate::parts::{LinkedFunction, Parts};
use crate::units::LinkEnd;

/// How long a process that is gone may take to close its socket.
const CLOSING: Duration = Duration::from_secs(2);

/// The sockets of an application's processes, all in one folder that only its user can enter.
pub(crate) struct Sockets {
    folder: PathBuf,
    /// One connection to each, however many links lead there.
    clients: HashMap<PathBuf, Arc<Client>>,
}

impl Sockets {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            clients: HashMap::new(),
        }
    }

    /// That of the host's process.
    pub(crate) fn host(&self) -> PathBuf {
        self.folder.join("host.sock")
    }

    /// That of the worker at this place in the plan.
    pub(crate) fn worker(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index}.sock"))
    }

    /// Removes the sockets that nobody listens on any more, and the folder with the last of them: for
    /// when the host, which would remove it, is gone. Whatever cannot be removed stays.
    pub(crate) async fn remove_stale(&self) {
        // A process that is killed closes one thing after the other, and its socket may come last.
        let over = Instant::now() + CLOSING;
        while !is_stale(&self.host()).await && Instant::now() < over {
            sleep(CLOSING / 100).await;
        }
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if is_stale(&path).await {
                _ = std::fs::remove_file(&path);
            }
        }
        // Fails if another worker still listens there; the last one removes it.
        _ = std::fs::remove_dir(&self.folder);
    }

    /// The links of `plan` that lead from a process to another: from the host's, or from a worker.
    pub(crate) fn ends(
        &mut self,
        plan: &Plan,
        parts: &Parts,
        from_worker: bool,
    ) -> HashMap<usize, LinkEnd> {
        let mut ends = HashMap::new();
        for (i, link) in plan.links.iter().enumerate() {
            let socket = if is_provider(plan, &link.target) {
                // In the host's process a provider is called as it is.
                from_worker.then(|| self.host())
            } else if link.binding == Binding::Unix {
                let worker = |w: &withe_linker::plan::PlannedWorker| w.component == link.target;
                let index = plan.workers.iter().position(worker);
                index.map(|index| self.worker(index))
            } else {
                None
            };
            if let Some(socket) = socket {
                let to_unit = !is_provider(plan, &link.target);
                let link = self.client(socket).link(request(plan, parts, link));
                ends.insert(i, LinkEnd::Remote { link, to_unit });
            }
        }
        ends
    }

    fn client(&mut self, socket: PathBuf) -> Arc<Client> {
        let connect = || Client::new(Arc::new(UnixConnector::new(&socket)), Limits::default());
        let clients = self.clients.entry(socket.clone());
        clients.or_insert_with(connect).clone()
    }
}

/// Whether nobody listens on a socket, or there is none.
async fn is_stale(socket: &Path) -> bool {
    let connected = UnixStream::connect(socket).await;
    connected.is_err_and(|e| matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound))
}

/// What the importer's process asks the exporter's for.
fn request(plan: &Plan, parts: &Parts, link: &PlannedLink) -> LinkRequest {
    let to_provider = is_provider(plan, &link.target);
    let function = |f: LinkedFunction<'_>| {
        let digest = f.function.digest();
        if to_provider {
            return LinkFunction {
                interface: f.import.interface,
                function: f.import.function,
                digest,
            };
        }
        let (interface, function) = f.export;
        LinkFunction {
            interface: interface.unwrap_or_default(),
            function,
            digest,
        }
    };
    let mut functions: Vec<_> = parts.functions(link).into_iter().map(function).collect();
    if !to_provider {
        functions.push(LinkFunction {
            function: DROP.into(),
            ..LinkFunction::default()
        });
    }
    LinkRequest {
        lattice: String::new(),
        application: plan.application.clone(),
        importer: link.source.clone(),
        name: link.name.clone(),
        target: link.target.clone(),
        functions,
    }
}

/// What one process serves: its units, and its providers.
pub(crate) struct Served {
    pub(crate) plan: Arc<Plan>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) graph: Option<Arc<Graph>>,
    /// Links to the providers that run in the process, by their places in the plan.
    pub(crate) providers: HashMap<usize, ProviderEnd>,
}

/// A provider's side of a link: the running provider and the link's number.
#[derive(Clone)]
pub(crate) struct ProviderEnd {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) link: LinkId,
}

impl Serve for Served {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        let LinkRequest {
            application,
            importer,
            name,
            target,
            functions,
            ..
        } = request;
        if application != self.plan.application {
            let why = format!(
                "this process serves `{}`, not `{application}`",
                self.plan.application
            );
            return Err(CallError::Unlinked(why));
        }
        let of = |link: &PlannedLink| {
            link.source == importer && link.target == target && link.name == name
        };
        let planned = self.plan.links.iter().position(of).ok_or_else(|| {
            CallError::Unlinked(format!(
                "the plan has no link `{name}` from `{importer}` to `{target}`"
            ))
        })?;
        if let Some(end) = self.providers.get(&planned) {
            return self.provider(planned, end, importer, &functions);
        }
        let Some(graph) = &self.graph else {
            let why = format!("`{target}` does not run in this process");
            return Err(CallError::Unlinked(why));
        };
        let exports: Vec<_> = functions
            .iter()
            .map(|function| self.export(&target, function))
            .collect::<Result<_, _>>()?;
        graph.serve(&target, &exports, self.plan.links[planned].scope)
    }
}

impl Served {
    /// The name under which `target` exports a function, if it has the type that the importer thinks.
    fn export(
        &self,
        target: &str,
        wanted: &LinkFunction,
    ) -> Result<(Option<String>, String), CallError> {
        let interface = Some(&wanted.interface).filter(|name| !name.is_empty());
        if interface.is_none() && wanted.function == DROP {
            return Ok((None, DROP.into()));
        }
        let name = interface.unwrap_or(&wanted.function);
        let export = self.parts.world(target);
        let export = export.and_then(|world| world.exports.iter().find(|e| e.name == *name));
        let function: Option<&Function> = match export.map(|e| &e.item) {
            Some(ExternItem::Interface(i)) => {
                i.functions.iter().find(|f| f.name == wanted.function)
            }
            Some(ExternItem::Function(f)) => Some(f),
            None => None,
        };
        let what = match interface {
            Some(interface) => format!("`{}` of `{interface}`", wanted.function),
            None => format!("`{}`", wanted.function),
        };
        match function {
            None => Err(CallError::Unlinked(format!("`{target}` exports no {what}"))),
            Some(f) if f.digest() != wanted.digest => Err(CallError::TypeMismatch(format!(
                "{what} has another type in `{target}` than the importer thinks"
            ))),
            Some(_) => Ok((interface.cloned(), wanted.function.clone())),
        }
    }

    fn provider(
        &self,
        planned: usize,
        end: &ProviderEnd,
        importer: String,
        functions: &[LinkFunction],
    ) -> Result<Arc<dyn ServedLink>, CallError> {
        let known = self.parts.names(&self.plan.links[planned]);
        let numbers = functions
            .iter()
            .map(|wanted| {
                let same = |f: &withe_provider::FunctionName| {
                    f.interface == wanted.interface && f.function == wanted.function
                };
                known.iter().position(same).ok_or_else(|| {
                    CallError::Unlinked(format!(
                        "`{}` of `{}` is not part of the link",
                        wanted.function, wanted.interface
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(ProviderLink(Arc::new(Linked {
            end: end.clone(),
            importer,
            numbers,
        }))))
    }
}

/// A link that ends at a provider of this process.
struct ProviderLink(Arc<Linked>);

struct Linked {
    end: ProviderEnd,
    importer: String,
    /// The provider's number of each function of the link.
    numbers: Vec<usize>,
}

impl ServedLink for ProviderLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        self.0.clone()
    }
}

/// A provider has no state of one caller but the resources that it gave it, which the connection keeps.
impl ServedSession for Linked {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let Some(function) = self.numbers.get(function).copied() else {
                let why = format!("the link has no function number {function}");
                return Err(CallError::TypeMismatch(why));
            };
            let deadline = context.deadline;
            let call = Call {
                link: self.end.link,
                function,
                params,
                deadline,
                caller: &self.importer,
            };
            timeout_at(deadline.into(), self.end.provider.call(call))
                .await
                .unwrap_or(Err(CallError::Deadline))
        })
    }

    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()> {
        self.end.provider.drop_resource(self.end.link, id);
        Box::pin(std::future::ready(()))
    }
}

fn is_provider(plan: &Plan, name: &str) -> bool {
    let mut components = plan.components.iter();
    components.any(|c| c.name == name && c.kind == ComponentKind::Provider)
}
