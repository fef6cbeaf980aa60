//! The http-client provider.
