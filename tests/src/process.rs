//! A child process that cannot outlive the test that started it.
//!
//! Each child leads a process group of its own, which ends when its [`Process`] is
//! dropped, also by a panic. A small watcher in the group ends it as well when this
//! process is killed and cannot drop anything.

use std::{
    fs::{self, File},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::{
        signal::{Signal, kill, killpg},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

/// Between two looks at something that is about to be ready.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How much of a log a failure shows.
const TAIL_LINES: usize = 20;
/// Starts the program in place of this shell, so that the child's id is the
/// program's; the watcher reads a pipe that only closes with its parent.
const WATCHED: &str = r#"exec 3<&0 </dev/null
(read -r _ <&3; kill -9 0) &
exec "$@" 3<&-"#;

/// A running program, its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints goes to `log`, after what is there already.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, program: &Path, args: &[String], log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = Command::new("/bin/sh")
            .args(["-c", WATCHED, name])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start `{}`", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Sends a signal to the program itself.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid()?, signal)?)
    }

    /// Stops it where it stands and waits until every thread of it has: the signal
    /// alone returns while some of them still answer. `SIGCONT` lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        waitpid(self.pid()?, Some(WaitPidFlag::WUNTRACED))?;
        Ok(())
    }

    /// Ends it at once and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        if let Ok(group) = self.pid() {
            // Gone already is as good.
            let _ = killpg(group, Signal::SIGKILL);
        }
        self.child.wait()?;
        Ok(())
    }

    /// Waits for it to end by itself; the exit code, or 128 and the signal.
    ///
    /// # Errors
    /// When it has not ended after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<i32> {
        let name = self.name.clone();
        let status = eventually(limit, &format!("{name} to end"), async || {
            Ok(self.child.try_wait()?)
        })
        .await?;
        Ok(status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// Fails, with the log, if the program has ended.
    ///
    /// # Errors
    /// When it has.
    pub fn alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended: {status}\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// Everything it printed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |e| e.to_string(),
            |b| String::from_utf8_lossy(&b).into_owned(),
        )
    }

    /// The end of what it printed, headed by its name.
    #[must_use]
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        let tail = lines.get(from..).unwrap_or_default().join("\n");
        format!("--- {} ({})\n{tail}", self.name, self.log.display())
    }

    /// The program's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.id())?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Looks until there is something, for at most `limit`.
///
/// # Errors
/// When `look` fails, or there is nothing in time; `what` names it.
pub async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} for {what}");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
