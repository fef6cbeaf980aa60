//! Notes that an exporter takes while it is called, for the importer to ask for.

use std::cell::RefCell;

thread_local!(static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });

/// Notes a line, as [`format!`] makes it.
#[macro_export]
macro_rules! journal {
    ($($line:tt)*) => {
        $crate::journal::add(format!($($line)*))
    };
}

pub use journal;

/// Notes a line.
pub fn add(line: String) {
    LINES.with_borrow_mut(|lines| lines.push(line));
}

/// The notes since this was last called.
pub fn take() -> Vec<String> {
    LINES.take()
}
