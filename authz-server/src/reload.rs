//! One thread that looks whether files changed: when the system says so, and once a
//! second, because the system does not say everything (a link swapped on another
//! file system, a watch limit reached, a directory replaced).

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};

use crate::{
    bundle::{BundleFiles, Bundles},
    clock,
    health::Health,
    store::PolicyStore,
};

/// Between two looks without any word from the system.
const POLL: Duration = Duration::from_secs(1);
/// How long something new must be the same before it is taken: longer than a write
/// takes, shorter than anybody waits for.
const QUIET: Duration = Duration::from_millis(40);

/// What is kept up to date.
#[derive(Debug)]
pub struct Reloaded {
    /// The policies.
    pub policies: PolicyStore,
    /// The trust bundles in files.
    pub bundle_files: BundleFiles,
    /// All trust bundles, which time changes as well.
    pub bundles: Arc<Bundles>,
    /// Who is told of every look.
    pub health: Arc<Health>,
}

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Reloader {
    wake: mpsc::SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
    /// Its callback holds a sender too; dropped with this.
    _watcher: Option<RecommendedWatcher>,
}

#[derive(Clone, Copy, Debug)]
enum Wake {
    Changed,
    Stop,
}

impl Reloader {
    /// Watches `directory`, and the files of the bundles, for `reloaded`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(directory: &Path, reloaded: Reloaded) -> std::io::Result<Self> {
        // One pending wake is as good as many.
        let (wake, woken) = mpsc::sync_channel(1);
        let watcher = watch(directory, &reloaded.bundle_files, wake.clone());
        let thread = std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || run(reloaded, &woken))?;
        Ok(Self {
            wake,
            thread: Some(thread),
            _watcher: watcher,
        })
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        // Waits for a pending wake to be taken; the thread is there to take it.
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(mut reloaded: Reloaded, woken: &mpsc::Receiver<Wake>) {
    loop {
        match woken.recv_timeout(POLL) {
            Ok(Wake::Changed) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(Wake::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let now = clock::now();
        let Reloaded {
            policies,
            bundle_files,
            bundles,
            health,
        } = &mut reloaded;
        policies.rescan(QUIET, now);
        bundle_files.rescan(QUIET, now);
        bundles.look_ahead(now);
        health.scanned(now);
    }
}

/// Without a watcher, polling alone finds every change, a second later.
fn watch(
    directory: &Path,
    bundles: &BundleFiles,
    wake: mpsc::SyncSender<Wake>,
) -> Option<RecommendedWatcher> {
    let told = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_change(event.kind)) {
            let _ = wake.try_send(Wake::Changed);
        }
    };
    let watched = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::Recursive)?;
        // A file that is replaced is another file; its directory stays.
        for parent in bundles.paths().filter_map(parent) {
            watcher.watch(&parent, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    watched
        .inspect_err(|error| tracing::warn!(%error, "files are polled, not watched"))
        .ok()
}

fn parent(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    })
}

/// Reading a file is an event as well, and this reads them.
const fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => matches!(kind, AccessKind::Close(AccessMode::Write)),
        _ => true,
    }
}
