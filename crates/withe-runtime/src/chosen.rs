//! Which of several links each member of a unit chose, by `wasmcloud:bus/lattice`.

/// The name that a link has unless the manifest gives another.
const DEFAULT: &str = "default";

/// Which link each member of a unit chose for an interface.
#[derive(Default)]
pub(crate) struct LatticeNames {
    chosen: Vec<Choice>,
}

struct Choice {
    member: usize,
    interface: String,
    name: String,
}

impl LatticeNames {
    /// The name of the link that `member` chose for `interface` (`namespace:package/interface`).
    pub(crate) fn chosen(&self, member: usize, interface: &str) -> &str {
        self.chosen
            .iter()
            .find(|c| c.member == member && c.interface == interface)
            .map_or(DEFAULT, |c| c.name.as_str())
    }

    pub(crate) fn choose(&mut self, member: usize, interface: String, name: &str) {
        match self
            .chosen
            .iter_mut()
            .find(|c| c.member == member && c.interface == interface)
        {
            Some(choice) => choice.name = name.to_owned(),
            None => self.chosen.push(Choice {
                member,
                interface,
                name: name.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_the_members_own() {
        let mut names = LatticeNames::default();
        names.choose(0, "wasi:keyvalue/store".into(), "cold");
        names.choose(0, "wasi:keyvalue/store".into(), "cache");
        assert_eq!(names.chosen(0, "wasi:keyvalue/store"), "cache");
        assert_eq!(names.chosen(0, "wasi:keyvalue/atomics"), DEFAULT);
        assert_eq!(names.chosen(1, "wasi:keyvalue/store"), DEFAULT);
    }
}
