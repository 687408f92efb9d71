//! Programs that end together, as a process group does elsewhere.

use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_SET_QUOTA, PROCESS_TERMINATE};

/// A job: what is put into it, and everything that those programs start from then on, ends with [`Job::end`].
#[derive(Debug)]
pub struct Job(OwnedHandle);

impl Job {
    /// An empty job. Dropping it ends nobody.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        // SAFETY: neither attributes nor a name are given.
        let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, and nobody else closes the handle.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(handle) }))
    }

    /// An empty job whose programs end when it is dropped, also because this process was killed.
    ///
    /// # Errors
    /// What the system says.
    pub fn that_ends_with_this_process() -> io::Result<Self> {
        let job = Self::new()?;
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = u32::try_from(size_of_val(&limits)).unwrap_or(0);
        let limits = (&raw const limits).cast();
        // SAFETY: `limits` points to `size` bytes of the structure that this class asks for.
        let set = unsafe {
            SetInformationJobObject(
                job.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                limits,
                size,
            )
        };
        if set == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(job)
    }

    /// Puts a process into the job. What it has started before stays outside.
    ///
    /// A number means the same process as long as somebody has a handle of it, as [`std::process::Child`] does.
    ///
    /// # Errors
    /// What the system says; among others if the process has ended.
    pub fn take(&self, process: u32) -> io::Result<()> {
        // SAFETY: the call has no conditions.
        let handle = unsafe { OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, 0, process) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, and nobody else closes the handle.
        let process = unsafe { OwnedHandle::from_raw_handle(handle) };
        // SAFETY: both handles are open.
        let taken =
            unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process.as_raw_handle()) };
        if taken == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Ends every process of the job at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn end(&self) -> io::Result<()> {
        // SAFETY: the handle is open.
        if unsafe { TerminateJobObject(self.0.as_raw_handle(), 1) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_is_in_a_job_ends_with_it() {
        let mut child = Command::new("cmd.exe")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let job = Job::new().unwrap();
        job.take(child.id()).unwrap();
        job.end().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
}
