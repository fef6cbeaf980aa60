//! wasmCloud v1 on the lattice: its parts and Withe's call each other, and its providers run under a Withe
//! host.
//!
//! * [`V1Wire`]: `wrpc.0.0.1` over a NATS connection, both sides of it.
//! * [`V1Target`]: something with an id on a v1 lattice, as the target of links.
//! * [`serve_component`]: a component of Withe, reachable by its id on a v1 lattice.
//! * [`V1Process`]: a v1 provider's executable, run and supervised; [`Executable`]: from its archive.
//! * [`ControlInterface`]: what v1's tools ask of a host.
//! * [`SecretsBackend`]: a v1 server that keeps secrets, asked for them.
//!
//! `values` translates between the two sides' streams, `interfaces` between the interfaces that v1 renames
//! on the wire.

mod caller;
mod component_jwt;
mod control_interface;
mod ids;
mod interfaces;
mod jwt;
mod provider;
mod secrets;
mod served;
mod target;
mod trace;
mod values;
mod wire;

pub use component_jwt::{ComponentJwtError, component_jwt};
pub use control_interface::{ControlInterface, HostState, Inquiry, LinkState, PartState};
pub use ids::Ids;
pub use interfaces::watcher::is_watcher;
pub use jwt::ClaimsError;
pub use provider::{
    ArchiveError, ArchiveFault, Claims, Executable, ProcessConfig, Supervision, V1Process,
};
pub use secrets::{
    BackendError, HostJwt, HostJwtError, Secret, SecretQuestion, SecretsBackend, TopicError,
};
pub use served::{Exports, ServedComponent, serve_component};
pub use target::{TargetConfig, V1Target};
pub use values::{CannotCarry, Uncarried, can_carry};
pub use wire::{Limits, V1Wire};
