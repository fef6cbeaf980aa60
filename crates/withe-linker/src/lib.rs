//! The linker: what an application declares and what its parts are, to a link plan and every
//! diagnostic.
//!
//! ```text
//! input::Application ─┐
//!                     ├─ resolve ─ check ─ place ─ bind ─→ plan::Plan
//! input::Part …      ─┘      (every pass adds to the diagnostics)
//! ```
//!
//! Pure: no files, clock, network or async. Same inputs, same plan, byte for byte. The plan is
//! data; the host only carries it out.

pub mod diagnostic;
pub mod input;
pub mod plan;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use input::Span;
