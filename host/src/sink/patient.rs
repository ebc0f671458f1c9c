//! A file on a disk that may be full for a while.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

/// Writes as the file within does, but waits for room on a full disk.
///
/// A write that fails has written nothing, so that it can be done again; one that wrote a part says how much, and the rest is another write.
pub(super) struct Patient<W = File> {
    file: W,
    /// How often a write is tried again.
    retries: u32,
    /// Time before the next try after so many failures.
    back_off: fn(u32) -> Duration,
}

impl<W> Patient<W> {
    pub(super) fn new(file: W, retries: u32) -> Self {
        Self { file, retries, back_off }
    }

    pub(super) fn get_ref(&self) -> &W {
        &self.file
    }
}

/// 1, 2, 4 … s, at most a minute, as for reading.
fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6)).min(Duration::from_secs(60))
}

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut failures = 0;
        loop {
            match self.file.write(bytes) {
                Err(error) if is_full(&error) && failures < self.retries => {
                    let wait = (self.back_off)(failures);
                    failures += 1;
                    let wait_ms = wait.as_millis() as u64;
                    tracing::warn!(attempt = failures, wait_ms, "the disk of the output is full, trying again");
                    thread::sleep(wait);
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Whether there may be room later: what else a file answers stays as it is.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at a time, and answers each of `failures` once before that.
    struct Disk {
        bytes: Vec<u8>,
        failures: Vec<ErrorKind>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.failures.pop() {
                return Err(kind.into());
            }
            let taken = bytes.len().min(3);
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(failures: &[ErrorKind], retries: u32) -> (Result<(), ErrorKind>, Vec<u8>) {
        let disk = Disk { bytes: Vec::new(), failures: failures.to_vec() };
        let mut file = Patient { file: disk, retries, back_off: |_| Duration::ZERO };
        let done = file.write_all(b"0123456789").map_err(|error| error.kind());
        (done, file.file.bytes)
    }

    #[test]
    fn a_full_disk_is_waited_for_and_every_byte_is_written_once() {
        assert_eq!(written(&[ErrorKind::StorageFull, ErrorKind::QuotaExceeded], 2), (Ok(()), b"0123456789".to_vec()));
        assert_eq!(written(&[ErrorKind::StorageFull; 3], 2), (Err(ErrorKind::StorageFull), Vec::new()));
        assert_eq!(written(&[ErrorKind::StorageFull], 0), (Err(ErrorKind::StorageFull), Vec::new()));
    }

    #[test]
    fn what_waiting_does_not_mend_is_told_at_once() {
        assert_eq!(written(&[ErrorKind::ReadOnlyFilesystem], 5), (Err(ErrorKind::ReadOnlyFilesystem), Vec::new()));
        assert_eq!(written(&[ErrorKind::FileTooLarge], 5), (Err(ErrorKind::FileTooLarge), Vec::new()));
    }

    #[test]
    fn it_waits_longer_each_time() {
        assert_eq!([0, 1, 2, 5, 6, 40].map(|failures| back_off(failures).as_secs()), [1, 2, 4, 32, 60, 60]);
    }
}
