use std::{
    fs,
    io::{self, Write},
    sync::mpsc,
    time::Duration,
};

use super::*;
use crate::fixture::Kept;

const PATIENCE: Duration = Duration::from_secs(10);

/// Says when it is first written to, and then lets nobody through until it is told.
struct Gated {
    reached: mpsc::Sender<()>,
    opened: mpsc::Receiver<()>,
    kept: Kept,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reached.send(());
        let _ = self.opened.recv();
        self.kept.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails once after half a line, then works.
struct Flaky(Kept, u32);

impl Write for Flaky {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 {
            1 => self.0.write(&bytes[..3]),
            2 => Err(io::ErrorKind::StorageFull.into()),
            _ => self.0.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_record_becomes_one_line_in_order() {
    let kept = Kept::default();
    let recorder = Recorder::start(Sink::stream(kept.clone())).unwrap();
    for n in 0..1_000 {
        recorder.append(&n);
    }
    assert!(recorder.close(PATIENCE));
    let lines: Vec<String> = kept.text().lines().map(str::to_owned).collect();
    let expected: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    assert_eq!(lines, expected);
    assert_eq!(recorder.figures().written, 1_000);
}

#[test]
fn when_too_much_waits_records_are_dropped_and_counted() {
    let (reached, is_reached) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let kept = Kept::default();
    let gated = Gated {
        reached,
        opened,
        kept: kept.clone(),
    };
    // Room for ten lines of two bytes.
    let recorder = Recorder::with_limit(Sink::stream(gated), 20).unwrap();
    recorder.append(&0);
    is_reached.recv_timeout(PATIENCE).unwrap();
    for _ in 0..25 {
        recorder.append(&1);
    }
    assert_eq!(recorder.figures().dropped_full, 15);
    assert!(
        !recorder.close(Duration::ZERO),
        "nobody reads what is written"
    );
    drop(open);
    assert!(recorder.close(PATIENCE));
    assert_eq!(kept.text(), format!("0\n{}", "1\n".repeat(10)));
    assert_eq!(recorder.figures().written, 11);
}

#[test]
fn after_a_failure_lines_are_whole_again() {
    let kept = Kept::default();
    let recorder = Recorder::start(Sink::stream(Flaky(kept.clone(), 0))).unwrap();
    recorder.append(&123_456);
    while recorder.figures().dropped_failed == 0 {
        std::thread::yield_now();
    }
    recorder.append(&7);
    assert!(recorder.close(PATIENCE));
    assert_eq!(kept.text(), "123\n7\n");
    assert_eq!(recorder.figures().dropped_failed, 1);
    assert_eq!(recorder.figures().written, 1);
}

#[test]
fn a_rotated_file_is_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (
        directory.path().join("decisions.jsonl"),
        directory.path().join("decisions.jsonl.1"),
    );
    let recorder = Recorder::start(Sink::file(&path).unwrap()).unwrap();
    recorder.append(&1);
    while recorder.figures().written == 0 {
        std::thread::yield_now();
    }
    fs::rename(&path, &old).unwrap();
    recorder.reopen();
    recorder.append(&2);
    assert!(recorder.close(PATIENCE));
    assert_eq!(fs::read_to_string(old).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(path).unwrap(), "2\n");
}

#[test]
fn what_comes_after_the_end_is_dropped() {
    let kept = Kept::default();
    let recorder = Recorder::start(Sink::stream(kept.clone())).unwrap();
    assert!(recorder.close(PATIENCE));
    recorder.append(&1);
    assert_eq!(kept.text(), "");
    assert_eq!(recorder.figures().dropped_full, 1);
}
