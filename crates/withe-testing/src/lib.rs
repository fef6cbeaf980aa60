//! Fixtures and real servers for tests.
