//! Keeps the memory of the process, where keys are, from other programs of the same user.

use std::io;

/// Has the system write no memory of this process to a disk, and let no other process of the same
/// user look into it: neither with a debugger nor at the environment in `/proc`. Windows has nothing
/// of the kind.
///
/// # Errors
/// When the system forbids it.
pub(super) fn close_memory() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, none)?;
    }
    // A limit of 0 does not keep a crash reporter from being called; this does (source: core(5)).
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
