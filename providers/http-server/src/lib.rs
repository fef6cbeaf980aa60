//! The http-server provider.
