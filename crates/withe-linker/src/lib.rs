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

mod bind;
mod carried;
mod check;
mod config;
pub mod diagnostic;
mod exporters;
mod fetched;
mod host;
mod ids;
pub mod input;
mod ix;
mod kinds;
mod matching;
mod parts;
mod place;
pub mod plan;
mod problems;
mod requests;
mod resolve;
mod resolved;
pub mod secrets;
mod selector;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wording;
mod work;

/// The code of imports that trap because nothing provides them.
pub const TRAPPING: Code = problems::imports::TRAPPING.code;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use input::Span;
pub use place::MOST_MEMORY;
pub use problems::CODES;

use input::{Inputs, Part};
use plan::Plan;

/// The outcome of linking an application.
#[derive(Clone, Debug)]
pub struct LinkOutcome {
    /// The plan; `None` if there are errors, or a part could not be read (which its reader has
    /// reported).
    pub plan: Option<Plan>,
    /// All problems, in the order of their places in the manifest.
    pub diagnostics: Diagnostics,
}

/// Links an application: finds what every import refers to, checks types and configuration, and
/// decides how each link is bound. Reports everything that is wrong at once.
pub fn link(inputs: &Inputs) -> LinkOutcome {
    let mut diagnostics = Diagnostics::default();
    let resolved = resolve::resolve(inputs, &mut diagnostics);
    let checked = check::check(resolved, &mut diagnostics);
    let placed = place::place(checked, &mut diagnostics);
    let plan = bind::bind(&placed, &mut diagnostics);
    diagnostics.sort();
    let readable = !inputs
        .parts
        .iter()
        .any(|part| matches!(part, Part::Unavailable));
    let plan = (readable && !diagnostics.has_errors()).then_some(plan);
    LinkOutcome { plan, diagnostics }
}
