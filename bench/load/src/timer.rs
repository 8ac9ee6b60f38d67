//! A timer that is exact to microseconds. The runtime's own is to milliseconds, which is
//! longer than what is measured.

use std::{
    os::fd::{AsFd as _, AsRawFd, RawFd},
    time::Instant,
};

use anyhow::Result;
use nix::{
    errno::Errno,
    sys::{
        time::{TimeSpec, TimeValLike as _},
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};
use tokio::io::unix::AsyncFd;

/// One timer, for one task.
pub(crate) struct Timer(AsyncFd<Fd>);

struct Fd(TimerFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// One that is not set.
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe; this descriptor is the timer's own and stays it"
    )]
    pub(crate) fn new() -> Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Self(AsyncFd::new(Fd(fd))?))
    }

    /// Waits for that moment. Dropped before, it is not set any more by the time it is
    /// used again.
    pub(crate) async fn until(&self, moment: Instant) -> Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        // Zero would disarm it.
        let nanos = i64::try_from(left.as_nanos())?.max(1);
        let once = Expiration::OneShot(TimeSpec::nanoseconds(nanos));
        let fd = self.0.get_ref();
        fd.0.set(once, TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.0.readable().await?;
            // Set anew, it forgets what it had counted.
            match fd.0.wait() {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_never_comes_early() {
        let timer = Timer::new().unwrap();
        let start = Instant::now();
        // One that is given up does not end the next one.
        let long = timer.until(start + Duration::from_secs(3_600));
        let given_up = tokio::time::timeout(Duration::ZERO, long).await;
        assert!(given_up.is_err(), "an hour in no time");
        for milliseconds in [5, 7, 3] {
            let moment = start + Duration::from_millis(milliseconds);
            timer.until(moment).await.unwrap();
            assert!(Instant::now() >= moment);
        }
    }
}
