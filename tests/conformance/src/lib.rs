//! Helpers that the guests of all cases share.

pub mod gate;
pub mod journal;

use std::fmt::{Debug, Display};

/// The actions and observations of an importer, a line each. Its text is what a case expects.
#[derive(Default)]
pub struct Transcript(String);

impl Transcript {
    /// Notes the outcome of something.
    pub fn note(&mut self, what: impl Display, outcome: impl Debug) {
        self.line(format_args!("{what}: {outcome:?}"));
    }

    /// Notes a line as it is.
    pub fn line(&mut self, line: impl Display) {
        self.0 += &format!("{line}\n");
    }

    /// All of it.
    pub fn text(self) -> String {
        self.0
    }
}
