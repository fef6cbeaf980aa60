//! Backends that links share: a connection, a pool of them, a file.
//!
//! Links come and go, and many of one provider lead to the same server. Each configuration has one backend, for as long as any link
//! has it. Held weakly, a backend goes with its last link; counting links here was rejected, for a count is wrong after the first panic.

use std::sync::{Arc, Weak};

/// The backends of a provider, by the configuration that they were opened with. There are few, so they are compared one by one, and a
/// configuration needs no hash.
#[derive(Debug)]
pub struct SharedBackends<K, B: ?Sized>(Vec<(K, Weak<B>)>);

impl<K, B: ?Sized> Default for SharedBackends<K, B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq + Clone, B: ?Sized> SharedBackends<K, B> {
    /// The backend of a configuration: the one that another link has, or the one that `open` makes.
    ///
    /// Opening is exclusive, as this needs the whole of the provider's backends: two links that are made at once do not open one
    /// backend twice.
    ///
    /// # Errors
    ///
    /// The errors of `open`, which is awaited only if no link has the backend.
    pub async fn get_or_open<E>(
        &mut self,
        config: &K,
        open: impl Future<Output = Result<Arc<B>, E>>,
    ) -> Result<Arc<B>, E> {
        self.0.retain(|(_, backend)| backend.strong_count() > 0);
        let mut known = self.0.iter();
        let known = known.find(|(known, _)| known == config);
        if let Some(backend) = known.and_then(|(_, backend)| backend.upgrade()) {
            return Ok(backend);
        }
        let backend = open.await?;
        self.0.push((config.clone(), Arc::downgrade(&backend)));
        Ok(backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_backend_is_shared_as_long_as_a_link_has_it() {
        let mut backends = SharedBackends::<&str, str>::default();
        let open = |name: &str| {
            let backend = Arc::<str>::from(name);
            async move { Ok::<_, ()>(backend) }
        };
        let one = backends.get_or_open(&"a", open("first")).await.unwrap();
        let same = backends.get_or_open(&"a", open("second")).await.unwrap();
        let other = backends.get_or_open(&"b", open("third")).await.unwrap();
        assert!(Arc::ptr_eq(&one, &same));
        assert_eq!((&*one, &*other), ("first", "third"));
        let failed = backends.get_or_open(&"c", async { Err(7) }).await;
        assert_eq!(failed.unwrap_err(), 7);
        drop((one, same));
        let again = backends.get_or_open(&"a", open("fourth")).await.unwrap();
        assert_eq!(&*again, "fourth");
        assert_eq!(backends.0.len(), 2);
    }
}
