//! The privileges that this process gives up before it does anything, so that no process which it starts has them either.
//!
//! Processes of providers and workers inherit all of this. Setting it in each child between `fork` and `exec` would need
//! code that is not safe; a program in between would be one more to be found on every machine.

/// Gives up what no process of Withe needs. Privileges that the system does not let it drop stay, as on other systems.
pub(crate) fn drop_unneeded() {
    // Secrets are in memory, and core dumps are files.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    let none = rustix::process::Rlimit {
        current: Some(0),
        ..limit
    };
    _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    // Whatever the one who started this process had open, such as a socket or a file of secrets, is not for its children. All
    // that is opened from now on is closed in them anyway.
    close_fds::set_fds_cloexec(3, &[]);
    // No program that is started may gain rights by the bits and capabilities of its file.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        _ = rustix::thread::set_no_new_privs(true);
    }
}
