//! The rights that the configuration of a NATS server gives its users, by what they are in a lattice.
//!
//! Rights keep members from putting what others put, and signatures keep hosts from acting on it. Each works without the
//! other: rights also keep strangers from removing entries, and signatures also hold where all are one user.

use crate::names;

/// The subject by which a client asks what JetStream is to its account.
const ACCOUNT: &str = "$JS.API.INFO";

/// The roles that have rights of their own, as parts of the names of inboxes.
const HOST: &str = "host";
const DEPLOYER: &str = "deployer";
const VIEWER: &str = "viewer";

/// The subjects that a user of a NATS server may publish and subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsRights {
    /// The subjects that it may publish to.
    pub publish: Vec<String>,
    /// The subjects that it may subscribe to.
    pub subscribe: Vec<String>,
}

impl NatsRights {
    /// The rights of a host, which makes the buckets, decides where applications run, and answers calls.
    pub fn of_host(lattice: &str) -> Self {
        let all = format!("withe.{lattice}.>");
        let mut publish = vec![
            all.clone(),
            ACCOUNT.to_owned(),
            entries(lattice, "deployments"),
            entries(lattice, "once"),
            format!("$KV.{}.>", names::leases_bucket(lattice)),
            format!("$KV.{}.>", names::values_bucket(lattice)),
        ];
        // A host answers all roles.
        publish.extend([HOST, DEPLOYER, VIEWER].map(|role| answers(lattice, role)));
        for stream in streams(lattice) {
            publish.extend(looking(&stream));
            publish.extend(["CREATE", "UPDATE"].map(|what| api("STREAM", what, &stream)));
        }
        publish.extend(removing(lattice));
        Self {
            publish,
            subscribe: vec![all, answers(lattice, HOST)],
        }
    }

    /// The rights of a deployer, which puts applications, their bytes and secrets.
    pub fn of_deployer(lattice: &str) -> Self {
        let Self {
            mut publish,
            subscribe,
        } = Self::looking_as(lattice, DEPLOYER);
        publish.extend([
            entries(lattice, "apps"),
            entries(lattice, "secrets"),
            format!("$KV.{}.>", names::values_bucket(lattice)),
            format!("$O.{}.>", names::blobs_bucket(lattice)),
        ]);
        publish.extend(removing(lattice));
        publish.push(api(
            "STREAM",
            "PURGE",
            &format!("OBJ_{}", names::blobs_bucket(lattice)),
        ));
        Self { publish, subscribe }
    }

    /// The rights of a viewer, which looks at what is there, listens to events and measures ways.
    pub fn of_viewer(lattice: &str) -> Self {
        Self::looking_as(lattice, VIEWER)
    }

    fn looking_as(lattice: &str, role: &str) -> Self {
        let mut publish = vec![names::request(lattice, ">"), ACCOUNT.to_owned()];
        publish.extend(streams(lattice).iter().flat_map(|stream| looking(stream)));
        Self {
            publish,
            subscribe: vec![
                format!("{}>", names::message_prefix(lattice)),
                answers(lattice, role),
            ],
        }
    }
}

/// The answers to members of a role, which others may not read.
fn answers(lattice: &str, role: &str) -> String {
    format!("{}.>", names::inbox(lattice, role))
}

/// The entries with a prefix.
fn entries(lattice: &str, prefix: &str) -> String {
    format!("$KV.{}.{prefix}.>", names::entries_bucket(lattice))
}

/// The streams that keep what the lattice has.
fn streams(lattice: &str) -> [String; 4] {
    [
        format!("KV_{}", names::entries_bucket(lattice)),
        format!("KV_{}", names::leases_bucket(lattice)),
        format!("KV_{}", names::values_bucket(lattice)),
        format!("OBJ_{}", names::blobs_bucket(lattice)),
    ]
}

/// The subjects to which a reader of a stream publishes. A consumer can be made and asked for, and one of somebody
/// else's cannot be removed.
fn looking(stream: &str) -> Vec<String> {
    vec![
        api("STREAM", "INFO", stream),
        api("STREAM", "MSG.GET", stream),
        api("DIRECT", "GET", stream),
        api("DIRECT", "GET", &format!("{stream}.>")),
        api("CONSUMER", "CREATE", stream),
        api("CONSUMER", "CREATE", &format!("{stream}.>")),
        api("CONSUMER", "INFO", &format!("{stream}.>")),
        format!("$JS.FC.{stream}.>"),
    ]
}

/// The subjects that are published to when the pieces of a value are removed, which was replaced.
fn removing(lattice: &str) -> [String; 1] {
    let stream = format!("KV_{}", names::values_bucket(lattice));
    [api("STREAM", "PURGE", &stream)]
}

fn api(what: &str, verb: &str, stream: &str) -> String {
    format!("$JS.API.{what}.{verb}.{stream}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_put_what_others_put() {
        let of = |rights: NatsRights, subject: &str| rights.publish.iter().any(|s| s == subject);
        let [apps, secrets, deployments, once, leases] = [
            "$KV.withe_l.apps.>",
            "$KV.withe_l.secrets.>",
            "$KV.withe_l.deployments.>",
            "$KV.withe_l.once.>",
            "$KV.withe-leases_l.>",
        ];
        for (rights, may) in [
            (NatsRights::of_host("l"), [false, false, true, true, true]),
            (
                NatsRights::of_deployer("l"),
                [true, true, false, false, false],
            ),
            (NatsRights::of_viewer("l"), [false; 5]),
        ] {
            let found = [apps, secrets, deployments, once, leases]
                .map(|subject| of(rights.clone(), subject));
            assert_eq!(found, may);
            assert!(rights.publish.iter().all(|subject| subject != ">"));
        }
    }
}
