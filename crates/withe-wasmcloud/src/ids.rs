//! The ids by which v1 knows components and providers.

use std::collections::BTreeMap;

/// The ids of an application's parts on a v1 lattice.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    explicit: BTreeMap<(String, String), String>,
}

impl Ids {
    /// Notes that the manifest gives `component` of `application` an id of its own.
    pub fn set(&mut self, application: &str, component: &str, id: &str) {
        self.explicit
            .insert((application.into(), component.into()), id.into());
    }

    /// The id of `component` of `application`: its own, or the one that `wadm` makes of its names.
    pub fn of(&self, application: &str, component: &str) -> String {
        let key = (application.to_owned(), component.to_owned());
        match self.explicit.get(&key) {
            Some(id) => id.clone(),
            None => format!("{}-{}", sanitized(application), sanitized(component)),
        }
    }
}

/// A name as it stands in ids: in lower case, with `_` for all that is no letter or digit.
fn sanitized(name: &str) -> String {
    let one = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.to_lowercase().chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_wadm_makes() {
        let mut ids = Ids::default();
        ids.set("Shop", "cart", "my-cart");
        assert_eq!(ids.of("Shop", "cart"), "my-cart");
        assert_eq!(ids.of("My-Shop", "kv.redis"), "my_shop-kv_redis");
    }
}
