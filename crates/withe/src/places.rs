//! Where this command keeps what it makes for itself.

use std::path::PathBuf;

use withe_files::{FolderError, PrivateFolder};

/// Where compiled components are kept: `WITHE_CACHE_DIR` (set to nothing: nowhere), else the user's
/// folder for caches.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    if let Some(folder) = variable("WITHE_CACHE_DIR") {
        return (!folder.as_os_str().is_empty()).then_some(folder);
    }
    let user = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        // https://specifications.freedesktop.org/basedir-spec: a relative path is to be ignored.
        variable("XDG_CACHE_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    user.map(|folder| folder.join("withe"))
}

/// Where the key is by which compiled components are known to be this user's: not beside them, so that a user who
/// can write there, or restores them from elsewhere, cannot make any.
pub(crate) fn key_dir() -> Option<PathBuf> {
    let variable = |name| {
        let folder = std::env::var_os(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    // systemd makes it for a service with `StateDirectory=`; the first of several.
    let service = std::env::var_os("STATE_DIRECTORY").and_then(|all| {
        let first = std::env::split_paths(&all).next()?;
        first.is_absolute().then_some(first)
    });
    let user = || {
        let folder = if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            let named = variable("XDG_STATE_HOME");
            named.or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        };
        folder.map(|folder| folder.join("withe"))
    };
    service.or_else(user)
}

/// The folder of the sockets of this user's hosts: in `XDG_RUNTIME_DIR`, else in the folder for temporary files.
///
/// # Errors
///
/// If others decide what is in it, as when somebody else has made a folder of that name.
pub(crate) fn sockets() -> Result<PrivateFolder, FolderError> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    if let Some(folder) = runtime.filter(|folder| folder.is_absolute() && folder.is_dir()) {
        match PrivateFolder::open(&folder.join("withe")) {
            // `sudo` may leave root the variable of the user who called it.
            Err(FolderError::Owner { .. }) => {}
            opened => return opened,
        }
    }
    let user = rustix::process::geteuid().as_raw();
    PrivateFolder::open(&std::env::temp_dir().join(format!("withe-{user}")))
}
