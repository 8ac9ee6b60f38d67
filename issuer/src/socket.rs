//! Unix sockets in a directory that is the owner's alone.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

use crate::error::StartError;

/// `sun_path` of Linux without its closing zero (unix(7)).
const MAX_PATH_BYTES: usize = 107;
/// Read and write for the owner: to open a socket is to be given its identity.
const OWNER_ONLY: u32 = 0o600;

/// Makes the directory, or takes one that nobody else may write to.
pub(crate) fn directory(path: &Path) -> Result<(), StartError> {
    let failed = |error| file(path, error);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let found = fs::metadata(path).map_err(failed)?;
    if found.is_dir() && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(StartError::Directory {
            path: path.to_owned(),
        })
    }
}

/// Listens at `path`, for the owner only. A socket that a dead process left there is
/// replaced; one that answers is in use.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, StartError> {
    if path.as_os_str().len() > MAX_PATH_BYTES {
        return Err(StartError::SocketPath {
            path: path.to_owned(),
            limit: MAX_PATH_BYTES,
        });
    }
    try_bind(path).map_err(|error| file(path, error))
}

fn try_bind(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    Ok(listener)
}

pub(crate) fn file(path: &Path, error: io::Error) -> StartError {
    StartError::File {
        path: PathBuf::from(path),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let first = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(StartError::File { .. })));
        drop(first);
        let second = bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
        drop(second);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        fs::write(&path, "mine").unwrap();
        assert!(bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_path_that_no_socket_can_have_is_named() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, StartError::SocketPath { .. }), "{error}");
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            directory(&path),
            Err(StartError::Directory { .. })
        ));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(directory(&path).is_ok());
        let made = parent.path().join("made");
        directory(&made).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700);
    }
}
