//! Detects that the reader of an output is gone.

/// Whether the reader of a pipe has closed it, as head does after its last line. Always false for a file.
#[cfg(unix)]
pub fn has_left(output: &impl std::os::fd::AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // poll(2) reports a closed pipe even if no event is requested.
    let mut polled = [PollFd::new(output, PollFlags::empty())];
    let now = Timespec::default();
    poll(&mut polled, Some(&now)).is_ok_and(|ended| ended > 0)
}

/// On this platform, only a failed write shows it.
#[cfg(not(unix))]
pub const fn has_left<T>(_output: &T) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::has_left;
    use std::io::{Write, pipe};

    #[test]
    fn a_closed_pipe_is_noticed() {
        let (reader, mut writer) = pipe().unwrap();
        assert!(!has_left(&writer));
        writer.write_all(b"unread").unwrap();
        assert!(!has_left(&writer), "the reader can still read");
        drop(reader);
        assert!(has_left(&writer));
    }

    #[test]
    fn a_file_has_no_reader() {
        assert!(!has_left(&tempfile::tempfile().unwrap()));
    }
}
