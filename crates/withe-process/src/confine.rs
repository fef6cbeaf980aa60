//! Processes that reach no more of the machine than they need.
//!
//! A parent cannot confine its child: between `fork` and `exec` only code that is not safe can run, and a confinement
//! cannot be undone. So the process confines itself. A program in between is started, which takes away from itself what
//! the one that was meant is not to have, and becomes that: the process, its standard streams and its number stay the
//! same. `withe confine` is that program, and calls [`confine_and_become`].
//!
//! * **Files** (Landlock, from Linux 5.13): read below the folders that programs are installed in, and in what is named;
//!   written only where that is named. Files of the user, and the memory and environment of other processes, are out of
//!   reach. No signal reaches a process outside (Linux 6.12).
//! * **System calls** (seccomp): those that administer the machine, look into other processes or make namespaces fail.
//! * **Privileges**: of those that root has, the ones that have to do with files, users and ports stay. With others it could
//!   look into processes outside all the same.
//! * **Memory** (`RLIMIT_DATA`), if a limit is given.
//!
//! The network is not restricted: reaching it is what providers are for. A user of its own and a control group were
//! rejected as a default, since both need privileges or a service manager that hands them down; where these are there,
//! they hold beside this.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// The part of the machine that a process may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Files, and folders with all below them, that it may read and execute, besides those of the system.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may also change.
    pub write: Vec<PathBuf>,
    /// The memory that it may have, in bytes.
    pub memory: Option<u64>,
    /// Whether it is not to run where the system cannot confine it.
    pub required: bool,
}

/// The program in between, with its arguments, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined {
    /// A program that reads what [`Confined::arguments`] makes, and calls [`confine_and_become`].
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
    /// The part of the machine that the other program may reach.
    pub confinement: Confinement,
}

impl Confined {
    /// All arguments of the program in between that is to become `program` with `args`.
    pub(crate) fn arguments(&self, program: &std::path::Path, args: &[OsString]) -> Vec<OsString> {
        let Confinement {
            read,
            write,
            memory,
            required,
        } = &self.confinement;
        let mut all: Vec<OsString> = self.args.iter().map(Into::into).collect();
        for (option, paths) in [("--read", read), ("--write", write)] {
            for path in paths {
                all.extend([option.into(), path.into()]);
            }
        }
        if let Some(memory) = memory {
            all.extend(["--memory".into(), memory.to_string().into()]);
        }
        if *required {
            all.push("--required".into());
        }
        all.extend(["--".into(), program.into()]);
        all.extend(args.iter().cloned());
        all
    }
}

/// Why a process did not become the program that it was to become.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The system does not know how to confine a process to some files.
    #[error(
        "this system cannot confine programs (Landlock, which Linux has from 5.13 on where it is enabled); \
         `--confine-programs=auto` runs them anyway"
    )]
    Unknown,
    /// Landlock failed.
    #[cfg(target_os = "linux")]
    #[error("confining the program to some files failed: {0}")]
    Files(#[from] landlock::RulesetError),
    /// Seccomp failed.
    #[cfg(target_os = "linux")]
    #[error("taking system calls from the program failed: {0}")]
    Calls(#[from] seccompiler::Error),
    /// Privileges could not be given up.
    #[error("taking privileges from the program failed: {0}")]
    Capabilities(#[source] io::Error),
    /// The memory could not be bounded.
    #[error("bounding the program's memory failed: {0}")]
    Memory(#[source] io::Error),
    /// The program cannot be started.
    #[error("`{}` cannot be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Confines this process, which must have one thread, and has it become `program` with `args`. Returns only if that fails.
pub fn confine_and_become(
    confinement: &Confinement,
    program: PathBuf,
    args: &[OsString],
) -> ConfineError {
    if let Err(why) = confine(confinement, &program) {
        return why;
    }
    let source = Command::new(&program).args(args).exec();
    ConfineError::Start { program, source }
}

fn confine(confinement: &Confinement, program: &std::path::Path) -> Result<(), ConfineError> {
    if let Some(memory) = confinement.memory {
        let limit = rustix::process::Rlimit {
            current: Some(memory),
            maximum: Some(memory),
        };
        rustix::process::setrlimit(rustix::process::Resource::Data, limit)
            .map_err(|e| ConfineError::Memory(e.into()))?;
    }
    #[cfg(target_os = "linux")]
    {
        let taken = [
            linux::capabilities().map_err(ConfineError::Capabilities),
            linux::files(confinement, program),
            linux::calls(),
        ];
        taken
            .into_iter()
            .try_for_each(|taken| settle(taken, confinement.required))
    }
    #[cfg(not(target_os = "linux"))]
    {
        _ = program;
        match confinement.required {
            true => Err(ConfineError::Unknown),
            false => Ok(()),
        }
    }
}

/// Whether a program is started from which something could not be taken: unless it must be, that is only said, on the
/// standard error of the program, which is its log.
#[cfg(target_os = "linux")]
fn settle(taken: Result<(), ConfineError>, required: bool) -> Result<(), ConfineError> {
    match taken {
        Err(why) if !required => {
            eprintln!("WARN {why}; `--confine-programs=required` would not start it");
            Ok(())
        }
        taken => taken,
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::io;
    use std::path::{Path, PathBuf};

    use landlock::{
        ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
        RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
    };
    use rustix::thread::{CapabilitySet, CapabilitySets};
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    use super::{ConfineError, Confinement};

    /// The newest version of Landlock that is made use of; of an older one, whatever that can do.
    const NEWEST: ABI = ABI::V6;

    /// Where systems have programs, their libraries, and what these read.
    const SYSTEM: [&str; 15] = [
        "/bin",
        "/etc",
        "/gnu",
        "/lib",
        "/lib32",
        "/lib64",
        "/nix",
        "/opt",
        "/proc",
        "/run/resolvconf",
        "/run/systemd/resolve",
        "/sbin",
        "/snap",
        "/sys",
        "/usr",
    ];
    /// Devices that hold nothing of anybody's.
    const DEVICES: [&str; 6] = [
        "/dev/full",
        "/dev/null",
        "/dev/random",
        "/dev/tty",
        "/dev/urandom",
        "/dev/zero",
    ];
    /// Variables that name files and folders, separated by colons, which programs read.
    const NAMED: [&str; 3] = ["LD_LIBRARY_PATH", "SSL_CERT_DIR", "SSL_CERT_FILE"];

    /// The privileges that a program of root keeps.
    const KEPT: CapabilitySet = CapabilitySet::CHOWN
        .union(CapabilitySet::DAC_OVERRIDE)
        .union(CapabilitySet::FOWNER)
        .union(CapabilitySet::FSETID)
        .union(CapabilitySet::KILL)
        .union(CapabilitySet::NET_BIND_SERVICE)
        .union(CapabilitySet::SETGID)
        .union(CapabilitySet::SETUID);

    pub(super) fn capabilities() -> io::Result<()> {
        let own = rustix::thread::capabilities(None)?;
        // Without this, a program of root would have all of them again.
        if own.effective.contains(CapabilitySet::SETPCAP) {
            for lost in CapabilitySet::all().difference(KEPT).iter() {
                // The system may not know it.
                _ = rustix::thread::remove_capability_from_bounding_set(lost);
            }
        }
        let kept = CapabilitySets {
            effective: own.effective & KEPT,
            permitted: own.permitted & KEPT,
            inheritable: own.inheritable & KEPT,
        };
        Ok(rustix::thread::set_capabilities(None, kept)?)
    }

    pub(super) fn files(confinement: &Confinement, program: &Path) -> Result<(), ConfineError> {
        let named = NAMED.iter().filter_map(std::env::var_os);
        let named: Vec<PathBuf> = named
            .flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>())
            .filter(|path| path.is_absolute())
            .collect();
        let read = SYSTEM.iter().map(PathBuf::from);
        let read = read.chain(named).chain(confinement.read.iter().cloned());
        let read = read.chain([program.to_owned()]);
        let write = DEVICES.iter().map(PathBuf::from);
        let write = write.chain(confinement.write.iter().cloned());
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            // Paths that are not there are passed over.
            .add_rules(path_beneath_rules(read, AccessFs::from_read(NEWEST)))?
            .add_rules(path_beneath_rules(write, AccessFs::from_all(NEWEST)))?
            .restrict_self()?;
        match status.ruleset {
            RulesetStatus::NotEnforced if confinement.required => Err(ConfineError::Unknown),
            _ => Ok(()),
        }
    }

    pub(super) fn calls() -> Result<(), ConfineError> {
        // Seccomp is not for every machine; where the filter cannot be written there is none.
        let Ok(machine) = std::env::consts::ARCH.try_into() else {
            return Ok(());
        };
        let refused: BTreeMap<_, _> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
        let denied = u32::try_from(libc::EPERM).unwrap_or(1);
        let filter = SeccompFilter::new(
            refused,
            SeccompAction::Allow,
            SeccompAction::Errno(denied),
            machine,
        );
        let filter: BpfProgram = filter
            .and_then(TryInto::try_into)
            .map_err(seccompiler::Error::Backend)?;
        Ok(seccompiler::apply_filter(&filter)?)
    }

    /// Calls that administer the machine, look into other processes or make namespaces, and those behind which the kernel had
    /// many faults.
    const REFUSED: &[i64] = &[
        libc::SYS_acct,
        libc::SYS_add_key,
        libc::SYS_bpf,
        libc::SYS_clock_adjtime,
        libc::SYS_clock_settime,
        libc::SYS_delete_module,
        libc::SYS_fanotify_init,
        libc::SYS_finit_module,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fsopen,
        libc::SYS_fspick,
        libc::SYS_init_module,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_io_uring_setup,
        libc::SYS_kcmp,
        libc::SYS_kexec_file_load,
        libc::SYS_kexec_load,
        libc::SYS_keyctl,
        libc::SYS_lookup_dcookie,
        libc::SYS_mount,
        libc::SYS_mount_setattr,
        libc::SYS_move_mount,
        libc::SYS_open_by_handle_at,
        libc::SYS_open_tree,
        libc::SYS_perf_event_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pivot_root,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_quotactl,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_setdomainname,
        libc::SYS_sethostname,
        libc::SYS_setns,
        libc::SYS_settimeofday,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_syslog,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_userfaultfd,
        libc::SYS_vhangup,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_ioperm,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_iopl,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_modify_ldt,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_system_that_refuses_a_part_of_it_keeps_only_those_from_starting_that_must_be_confined() {
        let refused = || {
            let source = io::ErrorKind::PermissionDenied.into();
            Err(ConfineError::Capabilities(source))
        };
        assert!(settle(refused(), false).is_ok());
        assert!(settle(refused(), true).is_err());
        assert!(settle(Ok(()), true).is_ok());
    }

    #[test]
    fn the_program_in_between_is_told_everything() {
        let confined = Confined {
            program: "/bin/withe".into(),
            args: vec!["confine".into()],
            confinement: Confinement {
                read: vec!["/a".into()],
                write: vec!["/b".into(), "/c".into()],
                memory: Some(7),
                required: true,
            },
        };
        let args = confined.arguments("/bin/provider".as_ref(), &["--read".into()]);
        let args: Vec<_> = args.iter().filter_map(|arg| arg.to_str()).collect();
        let told =
            "confine --read /a --write /b --write /c --memory 7 --required -- /bin/provider --read";
        assert_eq!(args.join(" "), told);
    }
}
