//! Fixtures, and real servers for tests to talk to.
//!
//! Servers are started by the tests that need them, on free ports, with folders of their own, and
//! end with them. A server that is not installed fails the test with what to install: a test that
//! is passed over proves nothing.

pub mod certificates;
pub mod cosign;
pub mod keyvalue;
pub mod mosquitto;
pub mod nats;
pub mod port;
pub mod postgres;
pub mod redis;
pub mod registry;
pub mod seaweedfs;
pub mod wait;
