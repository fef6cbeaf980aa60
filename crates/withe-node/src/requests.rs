//! Requests to a host over the lattice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use withe_host::elsewhere::{Away as _, LinkEnd, Served, ping_request};
use withe_lattice::{Lattice, LatticeError, Requests};
use withe_linker::plan::{Binding, PlannedLink};
use withe_rpc::{CallContext, CallError, Payload};

use crate::clock::millis;
use crate::observation::{FIGURES, Observation, SeenUpTo};
use crate::records::{HOSTS, key, write};
use crate::this_host::ThisHost;

/// The most requests that a host answers at a time.
const AT_A_TIME: usize = 32;
/// How often the way is measured; the shortest time is told.
const PINGS: usize = 5;
/// The longest that answering may take.
const LONGEST: Duration = Duration::from_secs(10);

/// A request to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostRequest {
    /// How long it takes to the target of a link and back, from the source's host.
    Ping {
        /// The application.
        application: String,
        /// The importer.
        source: String,
        /// The exporter.
        target: String,
        /// The link's name.
        name: String,
    },
    /// Asks for the host's counts, and for the lines and spans since somebody looked last, of which the host then keeps more.
    Observe {
        /// How far the observer has seen; `None` for one that wants the counts alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<SeenUpTo>,
    },
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostAnswer {
    /// The target answered.
    Pong {
        /// The way that was measured, if the link has several: that of its calls.
        binding: Binding,
        /// How long it took, in nanoseconds; nothing if both ends are in one process.
        nanos: Option<u64>,
    },
    /// The host's counts, lines and spans.
    Observed(Box<Observation>),
    /// The host failed to do so, or did not understand the request.
    Failed(String),
}

/// Asks a host something.
///
/// # Errors
///
/// The records of the lattice.
pub async fn ask(
    lattice: &dyn Lattice,
    host: &str,
    request: &HostRequest,
) -> Result<HostAnswer, LatticeError> {
    let subject = key(HOSTS, host);
    let request = write(request).map_err(LatticeError::invalid)?;
    let answer = lattice
        .request(&subject, request, LONGEST + Duration::from_secs(2))
        .await?;
    serde_json::from_slice(&answer)
        .map_err(|e| LatticeError::invalid(format!("the answer of `{host}` cannot be read: {e}")))
}

/// Takes what is asked of this host.
pub(crate) async fn serve(this: &ThisHost) -> Result<Requests, LatticeError> {
    this.lattice.serve(&key(HOSTS, &this.id)).await
}

/// Answers it.
pub(crate) async fn answer(this: Arc<ThisHost>, mut requests: Requests, stop: CancellationToken) {
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            request = requests.recv(), if answering.len() < AT_A_TIME => {
                let Some(request) = request else { return };
                let this = this.clone();
                answering.spawn(async move {
                    let answer = match serde_json::from_slice(&request.payload) {
                        Ok(asked) => carry_out(&this, asked).await,
                        Err(e) => HostAnswer::Failed(format!("the request cannot be read: {e}")),
                    };
                    // Nobody may wait for it any more.
                    match write(&answer) {
                        Ok(answer) => _ = request.answer.send(answer),
                        Err(error) => tracing::warn!("a request is not answered: {error}"),
                    }
                });
            }
            Some(_) = answering.join_next() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn carry_out(this: &ThisHost, request: HostRequest) -> HostAnswer {
    match request {
        HostRequest::Ping {
            application,
            source,
            target,
            name,
        } => {
            let served = this.applications.get(&application);
            let of = |link: &&PlannedLink| {
                link.source == source && link.target == target && link.name == name
            };
            let Some((served, place)) = served.and_then(|served| {
                let mut links = served.plan.links.iter().filter(|link| !link.incoming);
                let link = links.find(of)?;
                let place = served.plan.links.iter().position(|l| l == link)?;
                Some((served.clone(), place))
            }) else {
                return HostAnswer::Failed(format!(
                    "this host has no link `{name}` from `{source}` to `{target}` of `{application}`"
                ));
            };
            match ping(this, &served, place).await {
                Ok(answer) => answer,
                Err(error) => HostAnswer::Failed(error.to_string()),
            }
        }
        HostRequest::Observe { seen } => {
            let figures = this.host.counts().figures(FIGURES).await;
            let kept = this.recent.as_ref().zip(seen);
            let kept = kept.map(|(recent, seen)| recent.since(seen));
            let (lines, spans, seen) = kept.unwrap_or_default();
            HostAnswer::Observed(Box::new(Observation {
                time: millis(),
                figures,
                lines,
                spans,
                seen,
            }))
        }
    }
}

/// How long the way of a link takes there and back.
async fn ping(this: &ThisHost, served: &Served, place: usize) -> Result<HostAnswer, CallError> {
    let link = &served.plan.links[place];
    let route = match served.ends.get(&place) {
        Some(LinkEnd::Remote { ping, .. }) => Some(ping.clone()),
        // HTTP has a way of its own there.
        _ if link.leaves_host => this.peers.route(ping_request(&served.plan, link), link),
        _ => None,
    };
    let Some(route) = route else {
        return Ok(HostAnswer::Pong {
            binding: link.binding,
            nanos: None,
        });
    };
    let session = route.session();
    // The deadline is for all together: the caller waits no longer.
    let context = CallContext {
        deadline: Instant::now() + LONGEST,
        trace: None,
    };
    let mut took: Option<Duration> = None;
    // The first one may have to connect, and asks for the link.
    for _ in 0..PINGS {
        let began = Instant::now();
        match (session.call(0, Payload::default(), context).await, took) {
            (Ok(_), best) => {
                let this_one = began.elapsed();
                took = Some(best.map_or(this_one, |best| best.min(this_one)));
            }
            // The time is up, and there is an answer.
            (Err(CallError::Deadline), Some(_)) => break,
            (Err(error), _) => return Err(error),
        }
    }
    let is_brokered = session.distance().is_some_and(|at| at.brokered);
    Ok(HostAnswer::Pong {
        binding: match link.binding {
            _ if is_brokered => Binding::Nats,
            binding => binding,
        },
        nanos: took.map(|took| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
    })
}
