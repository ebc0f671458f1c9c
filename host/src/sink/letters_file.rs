//! The file that dead letters of many runs are appended to.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::workspace::{cannot, sync_dir};
use crate::crash;
use crate::error::{Error, Result};

/// Letters on their way to the end of a file, whose lock is held all the while.
pub(super) struct Appending {
    /// The file's length before them.
    before: u64,
    /// Bytes of the letters that stand in the file before that.
    have: u64,
    /// Whether the file's last line was open.
    open_line: bool,
    /// Where it is noted that they are being appended.
    note: Option<PathBuf>,
    /// The file's length before and after, where all of them are in it.
    pub(super) done: Option<(u64, u64)>,
}

impl Appending {
    /// Starts at the end of the file.
    pub(super) fn new(file: &mut File, path: &Path) -> Result<Self> {
        let (before, open_line) = end(file).map_err(|error| cannot("read", path, error))?;
        Ok(Self { before, have: 0, open_line, note: None, done: None })
    }

    /// As `new`, of a run that can be resumed: a crash in the middle is noticed by a note that stands at `note` from the start on.
    pub(super) fn of_kept(note: &Path, file: &mut File, path: &Path, staged: &[PathBuf]) -> Result<Self> {
        let mut now = Self { note: Some(note.to_owned()), ..Self::new(file, path)? };
        let Some(noted) = Self::read_note(note)?.filter(|noted| noted.before <= now.before) else {
            now.write_note(note)?;
            return Ok(now);
        };
        let start = noted.before + u64::from(noted.open_line);
        let Same { bytes, whole_lines, all } = same(file, start, staged, noted.have).map_err(|error| cannot("read", path, error))?;
        if all {
            now.done = Some((noted.before, start + bytes));
        } else if start + bytes >= now.before {
            // Nobody has written behind what the crash has torn.
            file.set_len(noted.before).map_err(|error| cannot("cut", path, error))?;
            return Ok(Self { note: now.note, ..noted });
        } else {
            now.have = noted.have + whole_lines;
            now.write_note(note)?;
        }
        Ok(now)
    }

    fn read_note(note: &Path) -> Result<Option<Self>> {
        if !note.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(note).map_err(|error| cannot("read", note, error))?;
        let numbers: Vec<u64> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [before, open_line, have] = numbers[..] else { return Err(Error::outside(format!("`{}` does not read", note.display()))) };
        Ok(Some(Self { before, have, open_line: open_line == 1, note: None, done: None }))
    }

    fn write_note(&self, note: &Path) -> Result<()> {
        let text = format!("{} {} {}", self.before, u8::from(self.open_line), self.have);
        let fresh = note.with_extension("new");
        File::create(&fresh)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&fresh, note))
            .map_err(|error| cannot("write", note, error))?;
        sync_dir(note.parent().unwrap_or(Path::new(".")))
    }

    /// Appends the staged letters; answers the file's length before and after.
    ///
    /// # Errors
    /// Outside; then the file is as it was.
    pub(super) fn append(&mut self, file: &mut File, path: &Path, staged: &[PathBuf]) -> Result<(u64, u64)> {
        let mut write = || {
            file.seek(SeekFrom::End(0))?;
            if self.open_line {
                // A line that a crash has torn stays alone.
                file.write_all(b"\n")?;
            }
            let mut letters = chain(staged)?;
            io::copy(&mut letters.by_ref().take(self.have), &mut io::sink())?;
            crash::at("letters.noted");
            // In two pieces, so that a crash between them can be tried.
            io::copy(&mut letters.by_ref().take(100), file)?;
            crash::at("letters.torn");
            io::copy(&mut letters, file)?;
            file.sync_all()?;
            crash::at("letters.appended");
            file.stream_position()
        };
        match write() {
            Ok(after) => Ok((self.before, after)),
            Err(error) => {
                let _ = file.set_len(self.before);
                Err(cannot("write dead letters to", path, error))
            }
        }
    }
}

/// A file's length, and whether its last line is open.
fn end(file: &mut File) -> io::Result<(u64, bool)> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok((0, false));
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok((length, last != *b"\n"))
}

/// The files one after the other.
fn chain(paths: &[PathBuf]) -> io::Result<Box<dyn Read>> {
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for path in paths {
        all = Box::new(all.chain(File::open(path)?));
    }
    Ok(all)
}

/// What of the letters stands in a file.
struct Same {
    /// Bytes that are the same.
    bytes: u64,
    /// Those of them up to the end of the last whole line.
    whole_lines: u64,
    /// Whether these are all.
    all: bool,
}

/// Compares the letters, those aside that are known to stand before, with what stands in a file from an offset on.
fn same(file: &mut File, start: u64, staged: &[PathBuf], have: u64) -> io::Result<Same> {
    file.seek(SeekFrom::Start(start))?;
    let mut there = BufReader::new(file);
    let mut letters = chain(staged)?;
    io::copy(&mut letters.by_ref().take(have), &mut io::sink())?;
    let mut letters = BufReader::new(letters);
    let mut same = Same { bytes: 0, whole_lines: 0, all: false };
    loop {
        let (one, other) = (letters.fill_buf()?, there.fill_buf()?);
        if one.is_empty() {
            same.all = true;
            return Ok(same);
        }
        let length = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        if let Some(end) = memchr::memrchr(b'\n', &one[..length]) {
            same.whole_lines = same.bytes + end as u64 + 1;
        }
        same.bytes += length as u64;
        if length == 0 {
            return Ok(same);
        }
        letters.consume(length);
        there.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits letters as a resumed run does, where the file was left as `there` by a crash.
    fn appended(there: &str, note: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("letters"), there).unwrap();
        fs::write(at("staged-0"), "{1}\n{22}\n").unwrap();
        fs::write(at("staged-1"), "{333}\n").unwrap();
        if let Some(note) = note {
            fs::write(at("appended"), note).unwrap();
        }
        let staged = [at("staged-0"), at("staged-1")];
        for _ in 0..2 {
            let mut file = File::options().read(true).append(true).open(at("letters")).unwrap();
            let mut appending = Appending::of_kept(&at("appended"), &mut file, &at("letters"), &staged).unwrap();
            if appending.done.is_none() {
                appending.append(&mut file, &at("letters"), &staged).unwrap();
            }
        }
        fs::read_to_string(at("letters")).unwrap()
    }

    #[test]
    fn letters_are_in_their_file_once_wherever_a_crash_fell() {
        let all = "{old}\n{1}\n{22}\n{333}\n";
        assert_eq!(appended("{old}\n", None), all);
        for cut in 6..=all.len() {
            assert_eq!(appended(&all[..cut], Some("6 0 0")), all, "cut at {cut}");
        }
        assert_eq!(appended("{to", None), "{to\n{1}\n{22}\n{333}\n");
        assert_eq!(appended("{to\n{1}\n{", Some("3 1 0")), "{to\n{1}\n{22}\n{333}\n");
    }

    #[test]
    fn letters_of_others_behind_a_torn_one_stay() {
        assert_eq!(appended("{1}\n{2\n{other}\n", Some("0 0 0")), "{1}\n{2\n{other}\n{22}\n{333}\n");
        assert_eq!(appended("{1}\n{22}\n{333}\n{other}\n", Some("0 0 0")), "{1}\n{22}\n{333}\n{other}\n");
    }
}
