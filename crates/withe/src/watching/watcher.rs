//! Looks at a lattice: asks what is there, and each host what it has seen.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde::Serialize;
use tokio::time::timeout;
use withe_host::LOOKED_AT;
use withe_lattice::{LatticeError, SharedLattice};
use withe_node::desired;
use withe_node::observation::{LogLine, Observation, SeenUpTo};
use withe_node::records::HostRecord;
use withe_node::requests::{HostAnswer, HostRequest, ask};

use super::rates::{Rates, Samples};
use super::state::LatticeState;
use super::traces::SpanOn;
use crate::overview::Overview;

/// The interval between checks of whether hosts have come, gone, or run something else.
const HOSTS_EVERY: Duration = Duration::from_secs(2);
/// The interval between checks of what is desired, where no host has changed.
const DESIRED_EVERY: Duration = Duration::from_secs(10);
/// How long a host may take to answer: clearly longer than it waits for its workers.
const ANSWER: Duration = LOOKED_AT.saturating_add(Duration::from_secs(2));
/// How long a host is not asked again that does not know the question.
const OLDER: Duration = Duration::from_secs(60);
/// The most hosts that are asked at a time.
const AT_A_TIME: usize = 32;

/// A line, and the host that told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LineOn {
    pub(crate) host: String,
    #[serde(flatten)]
    pub(crate) line: LogLine,
}

/// The result of a look.
pub(crate) struct Looked {
    /// The state, if it is not as it was.
    pub(crate) state: Option<LatticeState>,
    /// The rates.
    pub(crate) rates: Rates,
    /// Whether rates are of two looks at each host.
    pub(crate) is_compared: bool,
    /// Lines that are new, by their time.
    pub(crate) lines: Vec<LineOn>,
    /// Spans that are new.
    pub(crate) spans: Vec<SpanOn>,
}

/// Looks at a lattice.
pub(crate) struct Watcher {
    lattice: SharedLattice,
    hosts: Vec<HostRecord>,
    hosts_read: Option<Instant>,
    desired_read: Option<Instant>,
    state: LatticeState,
    samples: Samples,
    wants: Wants,
    seen: HashMap<String, SeenUpTo>,
    /// Hosts that do not answer: why, and when they are asked again.
    silent: HashMap<String, (String, Instant)>,
}

/// The question to hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// The counts alone, and nothing that hosts would have to record.
    Figures,
    /// Also the last lines and spans. Hosts record spans for those who ask for them.
    All,
}

/// The outcome of asking a host.
struct Asked {
    id: String,
    name: String,
    answer: Result<Box<Observation>, Silence>,
}

/// Why a host did not tell.
struct Silence {
    why: String,
    /// Whether it would not tell a moment later either.
    lasting: bool,
}

impl Watcher {
    /// One that looks each `every`.
    pub(crate) fn new(lattice: SharedLattice, wants: Wants, every: Duration) -> Self {
        Self {
            lattice,
            hosts: Vec::new(),
            hosts_read: None,
            desired_read: None,
            state: LatticeState::default(),
            samples: Samples::every(every),
            wants,
            seen: HashMap::new(),
            silent: HashMap::new(),
        }
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// If the lattice cannot be read. A host that does not answer is part of the result.
    pub(crate) async fn look(&mut self) -> Result<Looked, LatticeError> {
        let mut state = match self.overview().await? {
            Some(found) => LatticeState::of(self.lattice.name(), &found),
            None => self.state.clone(),
        };
        let now = Instant::now();
        let hosts = state.hosts.iter();
        let asked = hosts.filter(|host| {
            let again = self.silent.get(&host.id).map(|(_, again)| *again);
            again.is_none_or(|again| again <= now)
        });
        let asked = asked.map(|host| {
            let seen = match self.wants {
                Wants::Figures => None,
                Wants::All => Some(self.seen.get(&host.id).copied().unwrap_or_default()),
            };
            self.ask(host.id.clone(), host.name.clone(), seen)
        });
        // Borrowed by the futures, and collected before anything is changed.
        let asked: Vec<_> = asked.collect();
        let answers: Vec<Asked> = stream::iter(asked)
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        let (mut lines, mut spans) = (Vec::new(), Vec::new());
        for Asked { id, name, answer } in answers {
            match answer {
                Ok(observation) => {
                    let observation = *observation;
                    self.silent.remove(&id);
                    self.seen.insert(id.clone(), observation.seen);
                    self.samples
                        .add(&id, &name, observation.time, observation.figures);
                    lines.extend(observation.lines.into_iter().map(|mut line| {
                        if let (None, Some(part)) = (&line.application, &line.part) {
                            line.application = state.application_of(part, &name).map(str::to_owned);
                        }
                        let host = name.clone();
                        LineOn { host, line }
                    }));
                    spans.extend(observation.spans.into_iter().map(|span| {
                        let host = name.clone();
                        SpanOn { host, span }
                    }));
                }
                Err(silence) => {
                    let again = match silence.lasting {
                        true => now + OLDER,
                        false => now,
                    };
                    self.silent.insert(id, (silence.why, again));
                }
            }
        }
        lines.sort_by_key(|one| one.line.time);
        let is_there = |id: &str| state.hosts.iter().any(|host| host.id == id);
        self.samples.retain(is_there);
        self.seen.retain(|id, _| is_there(id));
        self.silent.retain(|id, _| is_there(id));
        for host in &mut state.hosts {
            host.silent = self.silent.get(&host.id).map(|(why, _)| why.clone());
        }
        let is_new = state != self.state;
        self.state = state;
        let mut rates = self.samples.rates();
        rates.add_requests(&self.state);
        Ok(Looked {
            state: is_new.then(|| self.state.clone()),
            rates,
            is_compared: self.samples.are_compared(),
            lines,
            spans,
        })
    }

    /// The state, if it has to be looked at again.
    async fn overview(&mut self) -> Result<Option<Overview>, LatticeError> {
        let is_due = |read: Option<Instant>, every| read.is_none_or(|read| read.elapsed() >= every);
        if !is_due(self.hosts_read, HOSTS_EVERY) {
            return Ok(None);
        }
        let hosts = desired::hosts(&*self.lattice).await?;
        self.hosts_read = Some(Instant::now());
        if hosts == self.hosts && !is_due(self.desired_read, DESIRED_EVERY) {
            return Ok(None);
        }
        self.hosts.clone_from(&hosts);
        let found = Overview::with_hosts(&*self.lattice, hosts, None).await?;
        self.desired_read = Some(Instant::now());
        Ok(Some(found))
    }

    fn ask(
        &self,
        id: String,
        name: String,
        seen: Option<SeenUpTo>,
    ) -> impl Future<Output = Asked> + use<> {
        let lattice = self.lattice.clone();
        async move {
            let request = HostRequest::Observe { seen };
            let asked = timeout(ANSWER, ask(&*lattice, &id, &request)).await;
            let answer = match asked {
                Ok(Ok(HostAnswer::Observed(observation))) => Ok(observation),
                Ok(Ok(_)) => Err(Silence {
                    why: "it is of a version that does not tell what it has counted".into(),
                    lasting: true,
                }),
                Ok(Err(error)) => Err(Silence {
                    why: error.to_string(),
                    lasting: false,
                }),
                Err(_) => Err(Silence {
                    why: format!("it did not answer within {} s", ANSWER.as_secs()),
                    lasting: false,
                }),
            };
            Asked { id, name, answer }
        }
    }
}
