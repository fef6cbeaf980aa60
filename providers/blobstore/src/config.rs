//! What can be set, with the keys of wasmCloud v1's providers.

use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

const BACKENDS: [&str; 2] = ["memory", "folder"];
/// Where the folder is if nobody says.
const DEFAULT_ROOT: &str = "data/blobs";
/// How much memory may be taken if nobody says.
const DEFAULT_MEMORY: u64 = 256 << 20;

/// What keeps a link's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The memory of this process; how many bytes of it.
    Memory(u64),
    /// The folder at this path.
    Folder(String),
}

/// What one map says.
#[derive(Clone, Debug, Default)]
struct Given {
    /// One of [`BACKENDS`]; said, or implied by another key.
    backend: Option<&'static str>,
    max_bytes: Option<u64>,
    root: Option<String>,
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    match role {
        ConfigRole::Own | ConfigRole::LinkTarget => read_given(config).1,
        ConfigRole::LinkSource => Settings::new(config).finish(),
    }
}

/// Reads a link's configuration; what it does not say, the provider's `own` does. What is wrong is left at its
/// default.
pub(crate) fn read(own: &ConfigMap, link: &ConfigMap) -> (Backend, Vec<ConfigProblem>) {
    let (own, mut problems) = read_given(own);
    let (link, link_problems) = read_given(link);
    problems.extend(link_problems);
    let backend = match link.backend.or(own.backend) {
        Some("folder") => {
            Backend::Folder((link.root.or(own.root)).unwrap_or_else(|| DEFAULT_ROOT.into()))
        }
        _ => Backend::Memory((link.max_bytes.or(own.max_bytes)).unwrap_or(DEFAULT_MEMORY)),
    };
    (backend, problems)
}

fn read_given(config: &ConfigMap) -> (Given, Vec<ConfigProblem>) {
    let mut s = Settings::new(config);
    let said = s.choice("backend", &BACKENDS);
    let given = Given {
        backend: said,
        max_bytes: s.parse("max_bytes", "a number of bytes"),
        root: s.text("root").map(str::to_owned),
    };
    if given.root.as_deref() == Some("") {
        s.bad_value("root", "the path of a folder");
    }
    let of_backend = [
        ("max_bytes", given.max_bytes.is_some(), "memory"),
        ("root", given.root.is_some(), "folder"),
    ];
    let mut backend = said;
    for (key, is_given, of) in of_backend {
        match backend {
            _ if !is_given => {}
            None => backend = Some(of),
            Some(backend) if backend == of => {}
            Some(other) => {
                let message = match said {
                    Some(said) => format!("`{key}` is for `backend: {of}`, but `backend` says `{said}`"),
                    None => format!("`{key}` is for `backend: {of}`, but other keys are for `{other}`"),
                };
                s.problem(Some(key), message, Some(format!("remove `{key}`, or write `backend: {of}`")));
            }
        }
    }
    let given = Given { backend, ..given };
    (given, s.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    fn backend(own: &[(&str, &str)], link: &[(&str, &str)]) -> Backend {
        let (backend, problems) = read(&map(own), &map(link));
        assert_eq!(problems, []);
        backend
    }

    #[test]
    fn what_is_given_says_which_backend() {
        let folder = |path: &str| Backend::Folder(path.into());
        assert_eq!(backend(&[], &[]), Backend::Memory(DEFAULT_MEMORY));
        assert_eq!(backend(&[("ROOT", "/srv")], &[]), folder("/srv"));
        assert_eq!(backend(&[("root", "a")], &[("root", "b")]), folder("b"));
        assert_eq!(backend(&[("backend", "folder")], &[]), folder(DEFAULT_ROOT));
        assert_eq!(backend(&[("root", "a")], &[("max_bytes", "9")]), Backend::Memory(9));
    }

    #[test]
    fn keys_of_another_backend_are_a_problem() {
        let wrong = [("backend", "memory"), ("root", ""), ("rot", "x")];
        let problems = check(ConfigRole::LinkTarget, &map(&wrong));
        let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`root` is ``, expected the path of a folder",
                "`root` is for `backend: folder`, but `backend` says `memory`",
                "unknown key `rot`",
            ]
        );
    }
}
