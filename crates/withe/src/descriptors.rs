//! How many files and sockets this process may have open.
//!
//! Systems set the soft limit low for programs that use `select`, which this one does not. A host with a thousand
//! connections needs more, and may raise it as far as the hard limit.

/// Raises the limit of open files as far as it goes. Where that fails, the limit is as it was.
pub(crate) fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            limit.current = limit.maximum;
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                tracing::debug!("the limit of open files cannot be raised: {error}");
            }
        }
    }
}
