//! A file for a report. It is replaced completely, or not at all.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile};

/// A file that a report can go to.
#[derive(Debug)]
pub struct OutputFile {
    /// As the user wrote it.
    given: PathBuf,
    place: Destination,
}

#[derive(Debug)]
enum Destination {
    /// A regular file, which may not exist yet. It is replaced in one step.
    Regular(PathBuf),
    /// A pipe or a device, which cannot be replaced.
    Special,
}

/// Equal if both paths lead to the same regular file.
impl PartialEq for OutputFile {
    fn eq(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Destination::Regular(this), Destination::Regular(other)) => this == other,
            (Destination::Regular(_) | Destination::Special, _) => false,
        }
    }
}

impl OutputFile {
    /// Checks that the file can be written, without changing its content.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn find(given: &Path) -> io::Result<Self> {
        let place = match fs::metadata(given) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if there.is_file() => {
                // Replacing a file needs no write permission on it, but a read-only file must be respected.
                OpenOptions::new().write(true).open(given)?;
                Destination::Regular(fs::canonicalize(given)?)
            }
            // Opening a pipe would block until it has a reader.
            Ok(_) => Destination::Special,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = given.file_name().ok_or(error)?;
                Destination::Regular(fs::canonicalize(folder(given))?.join(name))
            }
            Err(error) => return Err(error),
        };
        if let Destination::Regular(path) = &place {
            beside(path)?;
        }
        Ok(Self {
            given: given.to_owned(),
            place,
        })
    }

    /// As the user wrote it.
    pub fn given(&self) -> &Path {
        &self.given
    }

    /// Replaces the content of the file.
    ///
    /// # Errors
    ///
    /// Why it could not be written. A regular file then keeps its content.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        match &self.place {
            Destination::Special => OpenOptions::new()
                .write(true)
                .open(&self.given)?
                .write_all(text),
            Destination::Regular(path) => {
                let mut new = beside(path)?;
                new.write_all(text)?;
                new.as_file().sync_all()?;
                new.persist(path)?;
                Ok(())
            }
        }
    }
}

/// The folder of a path. For a bare name, the current folder.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A temporary file in the same folder, with the permissions of the final file. It is removed when dropped.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".svc-reach-");
    // Temporary files are private by default, but the umask decides about a report. On other systems the folder does.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let new = builder.tempfile_in(folder(path))?;
    if let Ok(there) = fs::metadata(path) {
        new.as_file().set_permissions(there.permissions())?;
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::OutputFile;
    use std::fs;

    #[test]
    fn a_file_is_replaced_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let link = folder.path().join("link");
        fs::write(&path, "a long report of an earlier run").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&path, &link).unwrap();
        #[cfg(not(unix))]
        fs::hard_link(&path, &link).unwrap();
        let file = OutputFile::find(&link).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "a long report of an earlier run",
            "find changes nothing"
        );
        file.write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
        #[cfg(unix)]
        assert!(link.is_symlink() && fs::read_to_string(&path).unwrap() == "new");
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2, "nothing temporary is left");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept_and_new_files_follow_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let path = folder.path().join(name);
            OutputFile::find(&path).unwrap().write(b"x").unwrap();
            fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        let usual = fs::File::create(folder.path().join("usual")).unwrap();
        let usual = usual.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("new"), usual);
        let old = folder.path().join("old");
        fs::write(&old, "").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o606)).unwrap();
        assert_eq!(mode("old"), 0o606);
    }

    #[test]
    fn find_rejects_paths_that_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report");
        fs::write(&report, "").unwrap();
        for path in [
            folder.path().to_owned(),
            folder.path().join("absent/report"),
            report.join("report"),
        ] {
            assert!(OutputFile::find(&path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_failed_write_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = OutputFile::find(&folder.path().join("report")).unwrap();
        folder.close().unwrap();
        assert!(file.write(b"x").is_err());
    }

    #[test]
    fn two_paths_to_one_file_are_equal() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let file = |path: &str| OutputFile::find(&folder.path().join(path)).unwrap();
        assert_eq!(file("inside/../report"), file("report"));
        assert_ne!(file("inside/report"), file("report"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_written_to_and_not_replaced() {
        use std::{io::Read, os::fd::AsRawFd};
        let (mut reader, writer) = std::io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        OutputFile::find(path.as_ref())
            .unwrap()
            .write(b"report")
            .unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "report");
    }
}
