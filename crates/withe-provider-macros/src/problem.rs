//! Problems that keep Rust from being generated, for the provider's author to read.

use std::cell::RefCell;

/// All that is wrong, in the order in which it was found.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<String>>);

impl Problems {
    /// Adds a problem, unless it was said before.
    pub(crate) fn add(&self, text: String) {
        let mut texts = self.0.borrow_mut();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(crate) fn into_texts(self) -> Vec<String> {
        self.0.into_inner()
    }
}

impl From<String> for Problems {
    fn from(text: String) -> Self {
        Self(RefCell::new(vec![text]))
    }
}
