//! Results and diagnostics as text and as JSON.

pub(crate) mod date;
pub(crate) mod diagnostics;
pub(crate) mod json;
mod lines;
pub(crate) mod table;
pub(crate) mod units;
