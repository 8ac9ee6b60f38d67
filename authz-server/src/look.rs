//! A thread that looks whether files changed: when the system says so, and every now
//! and then besides, because the system does not say everything (a link swapped on
//! another file system, a watch limit reached, a directory replaced).

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Looker {
    wake: mpsc::SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
    /// Its callback holds a sender too; dropped with this.
    _watcher: Option<RecommendedWatcher>,
}

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) enum Watched {
    /// Everything below a directory.
    Tree(PathBuf),
    /// One file. One that is replaced is another file, so it is its directory that is
    /// watched.
    File(PathBuf),
}

#[derive(Clone, Copy, Debug)]
enum Wake {
    Changed,
    Stop,
}

impl Looker {
    /// Calls `look` whenever something of `watched` changed, and each `poll` besides.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(
        name: &str,
        poll: Duration,
        watched: &[Watched],
        mut look: impl FnMut() + Send + 'static,
    ) -> std::io::Result<Self> {
        // One pending wake is as good as many.
        let (wake, woken) = mpsc::sync_channel(1);
        let watcher = watch(watched, wake.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                loop {
                    match woken.recv_timeout(poll) {
                        Ok(Wake::Changed) | Err(mpsc::RecvTimeoutError::Timeout) => look(),
                        Ok(Wake::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    }
                }
            })?;
        Ok(Self {
            wake,
            thread: Some(thread),
            _watcher: watcher,
        })
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        // Waits for a pending wake to be taken; the thread is there to take it.
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Without a watcher, polling alone finds every change, later. The system has few of
/// them for each user (128 by default on Linux), and proxies need some as well.
fn watch(watched: &[Watched], wake: mpsc::SyncSender<Wake>) -> Option<RecommendedWatcher> {
    if watched.is_empty() {
        return None;
    }
    let told = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_change(event.kind)) {
            let _ = wake.try_send(Wake::Changed);
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        for one in watched {
            match one {
                Watched::Tree(directory) => watcher.watch(directory, RecursiveMode::Recursive)?,
                Watched::File(file) => {
                    watcher.watch(&directory_of(file), RecursiveMode::NonRecursive)?;
                }
            }
        }
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| tracing::warn!(%error, "files are polled, not watched"))
        .ok()
}

fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Reading a file is an event as well, and this reads them.
const fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => matches!(kind, AccessKind::Close(AccessMode::Write)),
        _ => true,
    }
}
