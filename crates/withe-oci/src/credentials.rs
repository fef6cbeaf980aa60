//! Credentials for registries: those that `docker login` left, and those of the helpers that Docker's configuration
//! names.
//!
//! Other tools of containers and of Wasm read Docker's file as well, so a login with one of them counts here. The crate
//! `docker_credential` reads it, too, and waits for a helper for ever; so it is read here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use withe_process::{AskError, AskLimits, ProcessCommand, ProcessLog};

/// The name under which Docker keeps what is for Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The name by which a helper says that it gives a token and no password.
const TOKEN_USER: &str = "<token>";
/// A part of the message of helpers that know nothing of a registry.
const UNKNOWN: &str = "credentials not found";
/// The time and output that a helper may take: a keychain may ask its user.
const HELPER: AskLimits = AskLimits {
    time: Duration::from_secs(60),
    output: 64 << 10,
};
/// The variables that helpers are given: where their keychain is, the screen where it asks, and what those of the clouds go
/// by. Docker gives them all there are.
const PASSED: [&str; 30] = [
    "HOME",
    "USER",
    "PATH",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "GNUPGHOME",
    "GPG_TTY",
    "PASSWORD_STORE_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
    "AZURE_CONFIG_DIR",
];

/// The proof of who one is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token, for which a registry's server of tokens gives others.
    IdentityToken(String),
}

/// Passwords are not shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
        }
    }
}

/// Why credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file is not as Docker writes it.
    #[error("`{}` is not Docker's configuration: {source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The fault.
        #[source]
        source: serde_json::Error,
    },
    /// An entry is not as Docker writes it.
    #[error("the entry of `{registry}` in `{}` is not the base64 of `NAME:PASSWORD`", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The registry.
        registry: String,
    },
    /// The name of a helper is none.
    #[error("`{helper}` in `{}` is not the name of a credential helper", path.display())]
    HelperName {
        /// The file.
        path: PathBuf,
        /// The name.
        helper: String,
    },
    /// A helper is not there.
    #[error("the credential helper `{helper}`, which `{}` names, is not in `PATH`", path.display())]
    NoHelper {
        /// The file.
        path: PathBuf,
        /// The program.
        helper: String,
    },
    /// A helper does not answer.
    #[error("the credential helper `{helper}` does not answer: {source}")]
    Ask {
        /// The program.
        helper: String,
        /// Why not.
        #[source]
        source: AskError,
    },
    /// A helper fails.
    #[error("the credential helper `{helper}` failed: {said}")]
    Failed {
        /// The program.
        helper: String,
        /// The helper's message.
        said: String,
    },
    /// A helper's answer is none.
    #[error("what the credential helper `{helper}` answers is not understood: {source}")]
    Answer {
        /// The program.
        helper: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

/// The folder of Docker's configuration: `DOCKER_CONFIG`, else `.docker` of this user's home.
pub fn docker_folder() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credentials for a registry that the configuration in `folder` has, and where they come from; `None` if it has none. Blocks:
/// a helper is a program.
///
/// # Errors
///
/// If the configuration or a helper that it names is faulty. A missing configuration is no error.
pub fn find(
    folder: &Path,
    registry: &str,
) -> Result<Option<(Credentials, String)>, CredentialsError> {
    let path = folder.join("config.json");
    let text = match fs::read(&path) {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        read => read.map_err(|source| CredentialsError::Read {
            path: path.clone(),
            source,
        })?,
    };
    let config: DockerConfig =
        serde_json::from_slice(&text).map_err(|source| CredentialsError::Form {
            path: path.clone(),
            source,
        })?;
    let names = names_of(registry);
    let helper = (names.iter().find_map(|name| config.cred_helpers.get(name)))
        .or(config.creds_store.as_ref().filter(|name| !name.is_empty()));
    if let Some(helper) = helper {
        for name in &names {
            if let Some(found) = ask_helper(&path, helper, name)? {
                return Ok(Some((found, format!("`docker-credential-{helper}`"))));
            }
        }
    }
    let Some(entry) = names.iter().find_map(|name| config.auths.get(name)) else {
        return Ok(None);
    };
    let found = entry.credentials().map_err(|()| CredentialsError::Entry {
        path: path.clone(),
        registry: registry.into(),
    })?;
    Ok(found.map(|found| (found, format!("`{}`", path.display()))))
}

/// The names under which Docker and others keep what is for a registry.
fn names_of(registry: &str) -> Vec<String> {
    if registry == "docker.io" {
        return [DOCKER_HUB, "index.docker.io", "docker.io"]
            .map(Into::into)
            .into();
    }
    vec![
        registry.into(),
        format!("https://{registry}"),
        format!("http://{registry}"),
        format!("https://{registry}/v1/"),
        format!("https://{registry}/v2/"),
    ]
}

impl Entry {
    /// The credentials of an entry; `None` for an empty one, as `docker logout` and stores leave it.
    fn credentials(&self) -> Result<Option<Credentials>, ()> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        if let Some(auth) = given(&self.auth) {
            let decoded = STANDARD.decode(auth.trim()).map_err(|_| ())?;
            let decoded = String::from_utf8(decoded).map_err(|_| ())?;
            let (user, password) = decoded.split_once(':').ok_or(())?;
            return Ok(Some(Credentials::Password {
                user: user.into(),
                password: password.trim_end_matches('\0').into(),
            }));
        }
        Ok(given(&self.username)
            .zip(given(&self.password))
            .map(|(user, password)| Credentials::Password { user, password }))
    }
}

fn ask_helper(
    path: &Path,
    helper: &str,
    registry: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    // The name becomes that of a program.
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !helper.chars().all(is_name) {
        return Err(CredentialsError::HelperName {
            path: path.into(),
            helper: helper.into(),
        });
    }
    let helper = format!("docker-credential-{helper}");
    let paths = env::var_os("PATH").unwrap_or_default();
    let program = env::split_paths(&paths)
        .map(|folder| folder.join(&helper))
        .find(|program| program.is_file());
    let Some(program) = program else {
        return Err(CredentialsError::NoHelper {
            path: path.into(),
            helper,
        });
    };
    let command = ProcessCommand::new(program)
        .args(["get"])
        .pass(PASSED)
        .log(ProcessLog::All(helper.clone()));
    let output = withe_process::run(&command, registry.as_bytes().to_vec(), HELPER);
    let output = output.map_err(|source| CredentialsError::Ask {
        helper: helper.clone(),
        source,
    })?;
    if !output.status.success() {
        let all = [output.printed, output.said].concat();
        let said = String::from_utf8_lossy(&all).trim().to_owned();
        return match said.to_lowercase().contains(UNKNOWN) {
            true => Ok(None),
            false => Err(CredentialsError::Failed { helper, said }),
        };
    }
    let answer: Answer = serde_json::from_slice(&output.printed)
        .map_err(|source| CredentialsError::Answer { helper, source })?;
    Ok(match (&*answer.username, &*answer.secret) {
        (_, "") => None,
        (TOKEN_USER, token) => Some(Credentials::IdentityToken(token.into())),
        (user, password) => Some(Credentials::Password {
            user: user.into(),
            password: password.into(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn config(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), text).unwrap();
        folder
    }

    fn password(user: &str, password: &str) -> Credentials {
        Credentials::Password {
            user: user.into(),
            password: password.into(),
        }
    }

    #[test]
    fn entries_are_found_by_any_of_the_names_that_tools_write() {
        let folder = config(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "YTpiOmM="},
                "https://ghcr.io": {"username": "u", "password": "p"},
                "token.example": {"identitytoken": "t"},
                "empty.example": {}
            }}"#,
        );
        let found = |registry: &str| {
            find(folder.path(), registry)
                .unwrap()
                .map(|(found, _)| found)
        };
        assert_eq!(found("docker.io"), Some(password("a", "b:c")));
        assert_eq!(found("ghcr.io"), Some(password("u", "p")));
        assert_eq!(
            found("token.example"),
            Some(Credentials::IdentityToken("t".into()))
        );
        assert_eq!(found("empty.example"), None);
        assert_eq!(found("other.example"), None);
        assert_eq!(find(Path::new("/nowhere"), "ghcr.io").unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file() {
        let said = |text: &str| {
            let folder = config(text);
            find(folder.path(), "ghcr.io").unwrap_err().to_string()
        };
        assert!(said("{").contains("config.json"), "{}", said("{"));
        assert!(said(r#"{"auths": {"ghcr.io": {"auth": "%"}}}"#).contains("base64"));
        assert!(said(r#"{"credsStore": "../x"}"#).contains("not the name"));
        assert!(said(r#"{"credsStore": "no-such-helper"}"#).contains("not in `PATH`"));
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{:?}", password("u", "hidden")), "Password(u)");
    }

    #[test]
    fn a_helper_is_asked_and_may_know_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("helper");
        let script = "#!/bin/sh\nread name\ncase $name in known) echo '{\"ServerURL\":\"known\",\"Username\":\"u\",\"Secret\":\"p\"}';;\n*) echo 'credentials not found in native keychain'; exit 1;; esac\n";
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
        let ask = |name: &str| {
            let command = ProcessCommand::new(&helper)
                .args(["get"])
                .log(ProcessLog::All("helper".into()));
            withe_process::run(&command, format!("{name}\n").into_bytes(), HELPER).unwrap()
        };
        assert!(ask("known").status.success());
        assert!(!ask("other").status.success());
    }
}
