//! How far it is, on a terminal.

use std::{fs, io::Read, path::Path};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the bytes of all logs. It is drawn on standard error, if that is a terminal,
/// and nowhere else.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `logs`; without a length if one of them is no file.
    pub(crate) fn start(logs: &[impl AsRef<Path>]) -> Self {
        let sizes = logs.iter().map(|path| {
            let metadata = fs::metadata(path.as_ref()).ok()?;
            metadata.is_file().then_some(metadata.len())
        });
        let total: Option<u64> = sizes.sum();
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{percent:>3} % [{wide_bar}] {bytes} of {total_bytes}, {eta} to go",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        // Fails for a template that is none, and these two are.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// `log` with every byte that is read of it counted.
    pub(crate) fn reading(&self, log: Box<dyn Read + Send>) -> impl Read + Send + 'static {
        self.0.wrap_read(log)
    }

    /// Takes the bar away.
    pub(crate) fn done(self) {
        self.0.finish_and_clear();
    }
}
