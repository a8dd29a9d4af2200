//! The memory that this process may use.

use std::fs;
use std::path::{Path, PathBuf};

use sysinfo::System;

/// Bytes of memory of the machine, or of the smallest control group around this process if that is less.
pub fn available() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    group_limit(Path::new("/sys/fs/cgroup"), &groups).unwrap_or(u64::MAX).min(system.total_memory())
}

/// The smallest limit of the control groups that `/proc/self/cgroup` names, and of their parents. In a container these
/// names may lie outside the mounted hierarchy, so the root is always included.
fn group_limit(root: &Path, groups: &str) -> Option<u64> {
    let folders = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        // Version 2 has one hierarchy without controllers in its line, version 1 one folder per controller.
        let (folder, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        Some((folder, path.trim_start_matches('/').to_owned(), file))
    });
    let limits = folders.flat_map(|(folder, path, file)| {
        let inside = PathBuf::from(path);
        let around: Vec<PathBuf> = inside.ancestors().map(|part| folder.join(part).join(file)).collect();
        around.into_iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok())
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_group_decides() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("system.slice/memory.max", "4294967296\n");
        write("system.slice/lacuna.service/memory.max", "max\n");
        write("user.slice/memory.max", "1000\n");
        write("memory/docker/memory.limit_in_bytes", "2000\n");
        for (groups, expected) in [
            ("0::/system.slice/lacuna.service\n", Some(4_294_967_296)),
            ("0::/user.slice\n", Some(1000)),
            ("0::/\n", None),
            ("12:memory:/docker\n11:cpu:/x\n", Some(2000)),
            ("5:cpu,memory:/docker/unknown\n", Some(2000)),
            ("nonsense", None),
        ] {
            assert_eq!(group_limit(root.path(), groups), expected, "{groups}");
        }
    }

    #[test]
    fn this_process_has_memory() {
        assert!(available() > 1 << 20);
    }
}
