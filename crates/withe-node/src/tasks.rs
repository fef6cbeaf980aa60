//! The tasks of a host on a lattice that keep what it knows, and what is known of it, as it is.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use withe_lattice::{Change, Entry, Expect, LEASE, LatticeError, Watch};
use withe_trust::Role;

use crate::apps::Application;
use crate::clock::millis;
use crate::events::{Event, Told};
use crate::hosts::Hosts;
use crate::records::{self, DEPLOYMENTS, EVENTS, HOSTS, HostRecord, key, read, write};
use crate::table::{DesiredTable, Wanted};
use crate::this_host::ThisHost;
use crate::vouching::Unvouched;

/// Keeps this host's lease, with what it tells of itself.
pub(crate) async fn announce(this: Arc<ThisHost>, stop: CancellationToken) {
    let mut changed = this.changed.subscribe();
    let mut ticks = interval(LEASE / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A large lease that is put again as it was need not be sent again.
    let mut last: Option<(Bytes, Bytes)> = None;
    loop {
        let number = *changed.borrow_and_update();
        let value = write(&*this.lock());
        let own = key(HOSTS, &this.id);
        match value {
            Ok(value) => {
                let sealed = match last {
                    Some((same, sealed)) if same == value => sealed,
                    _ => this.seal(&own, &value),
                };
                last = Some((value, sealed.clone()));
                match this.lattice.put_lease(&own, sealed, Expect::Any).await {
                    Ok(_) => _ = this.told.send_replace(number),
                    Err(error) => tracing::debug!("the host's lease: {error}"),
                }
            }
            Err(error) => tracing::error!("the host's lease: {error}"),
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = changed.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Takes note of what hosts tell.
pub(crate) async fn hear_hosts(this: Arc<ThisHost>, mut watch: Watch, stop: CancellationToken) {
    let mut hosts = Hosts::new();
    let mut synced = false;
    loop {
        let change = tokio::select! {
            change = watch.recv() => change,
            () = stop.cancelled() => return,
        };
        let Some(change) = change else { return };
        match change {
            Change::Put(entry) => {
                if let Some(record) = heard(&this, &entry) {
                    let record = Arc::new(record);
                    let before = hosts.insert(record.id.clone(), record.clone());
                    // The lease was only renewed.
                    if synced && before.as_ref() == Some(&record) {
                        continue;
                    }
                    this.gone().tells(&record, Instant::now());
                } else if this.vouching.has_ended(&entry) {
                    gone(&this, &mut hosts, &entry.key);
                }
            }
            Change::Gone { key } | Change::Lost { key } => gone(&this, &mut hosts, &key),
            Change::Synced => synced = true,
        }
        if synced {
            this.peers.set(hosts.clone());
        }
    }
}

/// Takes note that a host is there no more.
fn gone(this: &ThisHost, hosts: &mut Hosts, key: &str) {
    let id = records::name_of(HOSTS, key);
    if let Some(record) = hosts.remove(&id) {
        let name = record.name.clone();
        this.gone().is_gone(record, Instant::now());
        this.tell(Event::HostGone { name, id });
    }
}

/// The host of an entry, if nobody else has put it.
fn heard(this: &ThisHost, entry: &Entry) -> Option<HostRecord> {
    let mut record = None;
    let mut is_own = || {
        let Some(read) = read::<HostRecord>(entry) else {
            return Ok(());
        };
        // Its key is what others call it by, and its id begins the fingerprint that they expect when they do.
        let is_sound = !this.vouching.is_on() || read.fingerprint.starts_with(&read.id);
        if key(HOSTS, &read.id) != entry.key || !is_sound {
            return Err(Unvouched::OtherId(read.id));
        }
        record = Some(read);
        Ok(())
    };
    let checked = match this.vouching.is_on() {
        true => this.vouching.check_if(entry, Role::Host, is_own).map(drop),
        false => is_own(),
    };
    if let Err(why) = checked {
        this.ignore_record(&entry.key, &why);
        return None;
    }
    record
}

/// Takes note of what is desired and decided.
pub(crate) async fn hear(
    this: Arc<ThisHost>,
    table: watch::Sender<Arc<DesiredTable>>,
    mut apps: Watch,
    mut deployments: Watch,
    stop: CancellationToken,
) {
    let (mut apps_synced, mut deployments_synced) = (false, false);
    loop {
        tokio::select! {
            change = apps.recv() => {
                let Some(change) = change else { return };
                apps_synced |= change == Change::Synced;
                if let Ok(signer) = this.vouched(&change, Role::Deployer) {
                    let deployer = signer.map(|signer| signer.name);
                    table.send_modify(|table| Arc::make_mut(table).application(change, deployer));
                }
            }
            change = deployments.recv() => {
                let Some(change) = change else { return };
                deployments_synced |= change == Change::Synced;
                let is_wanted = match &change {
                    Change::Gone { key } => {
                        let name = records::name_of(DEPLOYMENTS, key);
                        table.borrow().desired.contains_key(&name)
                    }
                    Change::Put(_) | Change::Lost { .. } | Change::Synced => true,
                };
                // The controller removes the deployment of an application that is gone.
                if is_wanted && this.vouched(&change, Role::Host).is_err() {
                    table.send_modify(|table| Arc::make_mut(table).unvouched_deployment(&change));
                    continue;
                }
                table.send_modify(|table| {
                    if let Err(forged) = Arc::make_mut(table).deployment(change) {
                        this.ignore(&forged.application, forged.to_string());
                    }
                });
            }
            () = stop.cancelled() => return,
        }
        if apps_synced && deployments_synced && !table.borrow().synced {
            table.send_modify(|table| Arc::make_mut(table).synced = true);
        }
    }
}

/// Has a task for each application.
pub(crate) async fn run(
    this: Arc<ThisHost>,
    mut table: watch::Receiver<Arc<DesiredTable>>,
    stop: CancellationToken,
) {
    let mut running: HashMap<String, watch::Sender<Wanted>> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let now = table.borrow_and_update().clone();
        if now.synced {
            running.retain(|_, wanted| wanted.receiver_count() > 0);
            let names = now.desired.keys().chain(running.keys()).cloned();
            let names: Vec<_> = names.collect();
            for name in names {
                let wanted = now.wanted(&name);
                match running.get(&name) {
                    Some(sender) => {
                        sender.send_if_modified(|before| before.replace_if_other(wanted));
                    }
                    None if wanted.desired.is_some() => {
                        let (sender, receiver) = watch::channel(wanted);
                        let application = Application::new(name.clone(), this.clone());
                        tasks.spawn(application.run(receiver, stop.clone()));
                        running.insert(name, sender);
                    }
                    None => {}
                }
            }
        }
        tokio::select! {
            changed = table.changed() => if changed.is_err() { break },
            Some(_) = tasks.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Publishes events to listeners.
pub(crate) async fn tell(
    this: Arc<ThisHost>,
    mut events: mpsc::Receiver<Event>,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = stop.cancelled() => return,
        };
        let Some(event) = event else { return };
        let told = Told {
            time: millis(),
            host: this.name.clone(),
            host_id: this.id.clone(),
            event,
        };
        let told = match write(&told) {
            Ok(told) => this.lattice.publish(&key(EVENTS, &this.id), told).await,
            Err(error) => Err(LatticeError::invalid(error)),
        };
        if let Err(error) = told {
            tracing::debug!("an event was not told: {error}");
        }
    }
}
