//! Results and diagnostics as text and as JSON.

pub(crate) mod diagnostics;
pub(crate) mod json;
mod position;
pub(crate) mod table;
pub(crate) mod units;
