//! The host: carries out plans.
