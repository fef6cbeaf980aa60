//! Where what components print goes, where it does not go into the log.
//!
//! A host of many logs it: its log is one stream of events, in which each line says whose it is. A person who runs one
//! application on a terminal wants the components' bare output. The host says which by handing over a function, or
//! none.

use std::fmt;
use std::sync::Arc;

use crate::spec::Identity;

/// A stream that a component prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardStream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Something that a component has printed.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    /// The component's name.
    pub component: &'a str,
    /// Where it was printed.
    pub stream: StandardStream,
    /// The output: a line without its end, whose control characters are escaped; or else bytes as they came.
    pub bytes: &'a [u8],
}

/// Takes what components print.
#[derive(Clone)]
pub struct GuestOutput {
    take: Arc<dyn Fn(Printed<'_>) + Send + Sync>,
    by_line: bool,
}

impl GuestOutput {
    /// Has `take` have what is printed, as it comes: for one component, whose streams these are.
    pub fn as_printed(take: impl Fn(Printed<'_>) + Send + Sync + 'static) -> Self {
        Self {
            take: Arc::new(take),
            by_line: false,
        }
    }

    /// Has `take` have what is printed line by line, so that lines of several components stay whole and none can pass
    /// for another's. Lines beyond a component's share of the log are dropped, as they are from that.
    pub fn by_line(take: impl Fn(Printed<'_>) + Send + Sync + 'static) -> Self {
        Self {
            take: Arc::new(take),
            by_line: true,
        }
    }

    pub(crate) fn is_by_line(&self) -> bool {
        self.by_line
    }

    pub(crate) fn take(&self, who: &Identity, stream: StandardStream, bytes: &[u8]) {
        (self.take)(Printed {
            component: &who.component,
            stream,
            bytes,
        });
    }
}

impl fmt::Debug for GuestOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestOutput")
            .field("by_line", &self.by_line)
            .finish_non_exhaustive()
    }
}
