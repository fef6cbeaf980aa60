//! Every bucket, stream and subject that is used on NATS.
//!
//! All of them hold the lattice's name, which is one word, so that lattices on one server share nothing
//! and a server's permissions can tell them apart. A member of lattice `L` needs:
//!
//! | what | publish | subscribe |
//! |---|---|---|
//! | messages, requests, calls | `withe.L.>` | `withe.L.>` |
//! | answers | `_INBOX.>`, or what others have in its place | `_INBOX.>`, or an inbox of its own ([`inbox`]) |
//! | state | `$KV.withe_L.>`, `$KV.withe-leases_L.>`, `$KV.withe-values_L.>`, `$O.withe-blobs_L.>`, `$JS.API.>`, `$JS.FC.>` | |
//!
//! wasmCloud v1 uses, for the same lattice, the buckets and subjects that the functions in [`v1`] name.

// A bucket's purpose comes before the lattice's name, and has a `-` where another lattice's entries would have a `_`:
// so no name of a lattice makes its buckets another's.

/// The key-value bucket of entries.
pub fn entries_bucket(lattice: &str) -> String {
    format!("withe_{lattice}")
}

/// The key-value bucket of leases.
pub fn leases_bucket(lattice: &str) -> String {
    format!("withe-leases_{lattice}")
}

/// The key-value bucket of the pieces of values that are too large for a message.
pub fn values_bucket(lattice: &str) -> String {
    format!("withe-values_{lattice}")
}

/// The object store of blobs.
pub fn blobs_bucket(lattice: &str) -> String {
    format!("withe-blobs_{lattice}")
}

/// The subject on which messages to `subject` are published.
pub fn message(lattice: &str, subject: &str) -> String {
    format!("{}{subject}", message_prefix(lattice))
}

/// The prefix of the subject of a message.
pub fn message_prefix(lattice: &str) -> String {
    format!("withe.{lattice}.message.")
}

/// The subject on which requests to `subject` are published.
pub fn request(lattice: &str, subject: &str) -> String {
    format!("withe.{lattice}.request.{subject}")
}

/// The subject on which a host receives the frames of its callers, by connection.
pub fn calls(lattice: &str, host: &str) -> String {
    format!("withe.{lattice}.calls.{host}")
}

/// The beginning of the subjects on which members of a role get answers, where a server's permissions keep those of each
/// role from the others.
pub fn inbox(lattice: &str, role: &str) -> String {
    format!("_INBOX_{lattice}_{role}")
}

/// The names that wasmCloud v1 uses. Withe never puts anything of its own there.
pub mod v1 {
    /// The key-value bucket of component specifications, links and configuration.
    pub fn data_bucket(lattice: &str) -> String {
        format!("LATTICEDATA_{lattice}")
    }

    /// The key-value bucket of configuration.
    pub fn config_bucket(lattice: &str) -> String {
        format!("CONFIGDATA_{lattice}")
    }

    /// The subjects of the control interface.
    pub fn control(lattice: &str) -> String {
        format!("wasmbus.ctl.v1.{lattice}")
    }

    /// The subjects of events.
    pub fn events(lattice: &str) -> String {
        format!("wasmbus.evt.{lattice}")
    }

    /// The subjects of a running provider: its links, its health, its shutdown.
    pub fn provider(lattice: &str, provider: &str) -> String {
        format!("wasmbus.rpc.{lattice}.{provider}")
    }

    /// The subject on which calls of a function of a component or provider are published.
    pub fn invocation(lattice: &str, target: &str, instance: &str, function: &str) -> String {
        format!("{lattice}.{target}.wrpc.0.0.1.{instance}.{function}")
    }
}
