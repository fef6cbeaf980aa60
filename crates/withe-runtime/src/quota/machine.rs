//! The memory that this process may have: the machine's, or that of its control groups, if that is less.
//!
//! A process is in a group of a hierarchy, and each group above that bounds it, too: a service's group is in that of all
//! services, and a container's in what started it. A container sees its own group at the top, whatever name the group has
//! outside, so names that are not there are passed over.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Where Linux shows control groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// The memory that this process may have, in bytes, as it was when it was first asked for. `None` where nothing is known of it.
pub fn available_memory() -> Option<u64> {
    // The command's defaults ask twenty times before its first line runs.
    static AVAILABLE: OnceLock<Option<u64>> = OnceLock::new();
    *AVAILABLE.get_or_init(read_available_memory)
}

fn read_available_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total_of_meminfo);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = limit_of_groups(&groups, Path::new(GROUPS));
    machine.into_iter().chain(groups).min()
}

/// `MemTotal`, which `/proc/meminfo` gives in KiB.
fn total_of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least bound of the groups that `/proc/self/cgroup` names, each in a line `number:controllers:path`; version 2 has
/// no controllers there.
fn limit_of_groups(text: &str, root: &Path) -> Option<u64> {
    let limits = text.lines().filter_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        let (top, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = top.join(path.trim_start_matches('/'));
        let all = group
            .ancestors()
            .take_while(|group| group.starts_with(&top));
        // A group without a bound says `max`, or a number beyond all memory.
        let limit = |group: &Path| -> Option<u64> {
            fs::read_to_string(group.join(file))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        all.filter_map(limit).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let text = "MemTotal:       16303428 kB\nMemFree:          123 kB\n";
        assert_eq!(total_of_meminfo(text), Some(16_303_428 * 1024));
        assert_eq!(total_of_meminfo("MemFree: 1 kB\n"), None);
        assert_eq!(total_of_meminfo("MemTotal: many kB\n"), None);
    }

    #[test]
    fn the_least_bound_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("system/memory.max", "2000\n");
        put("system/withe.service/memory.max", "max\n");
        put("memory/memory.limit_in_bytes", "9223372036854771712\n");
        put("memory/box/memory.limit_in_bytes", "1000\n");
        for (text, limit) in [
            ("0::/system/withe.service\n", Some(2000)),
            ("0::/\n", None),
            ("4:cpu,memory:/box\n0::/system\n", Some(1000)),
            // As a container sees it, whose group has another name outside.
            ("4:memory:/docker/abc\n", Some(9_223_372_036_854_771_712)),
            ("3:cpu:/box\nno line\n", None),
        ] {
            assert_eq!(limit_of_groups(text, root.path()), limit, "{text}");
        }
    }
}
