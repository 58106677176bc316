//! Whoever reads what is written, as far as the system tells that they have left.

/// Whether nobody reads an output any more, such as head that has seen enough. A file has no reader who could leave.
#[cfg(unix)]
pub fn has_left(output: &impl std::os::fd::AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // That it ended is told unasked (poll(2)).
    let mut polled = [PollFd::new(output, PollFlags::empty())];
    let now = Timespec::default();
    poll(&mut polled, Some(&now)).is_ok_and(|ended| ended > 0)
}

/// Here only writing tells.
#[cfg(not(unix))]
pub const fn has_left<T>(_output: &T) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::has_left;
    use std::io::{Write, pipe};

    #[test]
    fn who_reads_a_pipe_is_seen_to_leave() {
        let (reader, mut writer) = pipe().unwrap();
        assert!(!has_left(&writer));
        writer.write_all(b"unread").unwrap();
        assert!(!has_left(&writer), "it may read on");
        drop(reader);
        assert!(has_left(&writer));
    }

    #[test]
    fn nobody_leaves_a_file() {
        assert!(!has_left(&tempfile::tempfile().unwrap()));
    }
}
