//! Programs whose parent has ended stay below fnox.
//!
//! Whose child a process is says whether a program could be answering for a person ([`super::standing`]). A program that leaves
//! its parent would become nobody's child; on Linux fnox takes it over (prctl(2), `PR_SET_CHILD_SUBREAPER`), and waits for those
//! that end so that their numbers are free again. Those that fnox has started itself are waited for by whoever started them.
//! Elsewhere the system takes them over.

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, PoisonError, mpsc};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};

    use crate::exec::processes;

    /// Pause between two looks. What has ended and was there at two of them is nobody's.
    const PAUSE: Duration = Duration::from_secs(5);

    /// A process by its number, and its start, which tells it apart from a later one.
    type Known = (i32, u64);

    /// Programs that fnox has started and waits for.
    static STARTED: Mutex<BTreeSet<Known>> = Mutex::new(BTreeSet::new());

    /// As long as this lives, orphans are taken over.
    #[derive(Debug)]
    pub(crate) struct Orphans {
        stop: Option<mpsc::Sender<()>>,
        thread: Option<JoinHandle<()>>,
    }

    impl Orphans {
        /// Takes them over from now on, where the system lets it.
        pub(crate) fn take_over() -> Self {
            let mut orphans = Self {
                stop: None,
                thread: None,
            };
            if set_child_subreaper(Some(getpid())).is_err() {
                return orphans;
            }
            let (stop, stopped) = mpsc::channel();
            let work = move || {
                let mut ended = BTreeSet::new();
                while stopped.recv_timeout(PAUSE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    ended = wait_for(&ended);
                }
            };
            let thread = std::thread::Builder::new().name("orphans".to_owned());
            if let Ok(thread) = thread.spawn(work) {
                orphans.thread = Some(thread);
                orphans.stop = Some(stop);
            }
            orphans
        }
    }

    impl Drop for Orphans {
        fn drop(&mut self) {
            let _ = set_child_subreaper(None);
            drop(self.stop.take());
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }

    /// Says that fnox has started this process, and waits for it elsewhere.
    pub(crate) fn is_waited_for(child: u32) {
        let id = i32::try_from(child).unwrap_or_default();
        if let Some(process) = processes::of(id) {
            let mut known = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert((id, process.started));
        }
    }

    /// Waits for those that had ended at an earlier look, and answers which have ended now.
    pub(super) fn wait_for(before: &BTreeSet<Known>) -> BTreeSet<Known> {
        let own = getpid().as_raw_nonzero().get();
        let all = processes::all();
        let mut known = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| all.iter().any(|it| (it.id, it.started) == *known));
        let ended: BTreeSet<Known> = all
            .iter()
            .filter(|process| process.parent == own && process.has_ended)
            .map(|process| (process.id, process.started))
            .filter(|process| !known.contains(process))
            .collect();
        drop(known);
        for (id, _) in ended.intersection(before) {
            let _ = waitpid(Pid::from_raw(*id), WaitOptions::NOHANG);
        }
        ended
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    /// Nothing.
    #[cfg(unix)]
    #[derive(Debug)]
    pub(crate) struct Orphans;

    #[cfg(unix)]
    impl Orphans {
        /// The system takes them over.
        pub(crate) fn take_over() -> Self {
            Self
        }
    }

    /// Nothing to say to anybody.
    pub(crate) fn is_waited_for(_: u32) {}
}

#[cfg(unix)]
pub(crate) use self::system::Orphans;
pub(crate) use self::system::is_waited_for;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::exec::processes;

    fn is_there(id: u32) -> bool {
        processes::of(i32::try_from(id).unwrap()).is_some()
    }

    /// A child that has ended and that nobody has waited for.
    fn ended() -> std::process::Child {
        let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_to_end(&mut Vec::new()).unwrap();
        while !processes::of(i32::try_from(child.id()).unwrap())
            .unwrap()
            .has_ended
        {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn only_what_nobody_waits_for_is_waited_for_and_only_at_the_second_look() {
        let (orphan, mut own) = (ended(), ended());
        is_waited_for(own.id());
        let first = system::wait_for(&BTreeSet::new());
        assert!(is_there(orphan.id()));
        let both = [orphan.id(), own.id()].map(|id| {
            let id = i32::try_from(id).unwrap();
            (id, processes::of(id).unwrap().started)
        });
        assert!(first.contains(&both[0]) && !first.contains(&both[1]));
        // Others of this process's children belong to other tests.
        system::wait_for(&BTreeSet::from(both));
        assert!(!is_there(orphan.id()));
        assert!(own.wait().unwrap().success());
    }
}
