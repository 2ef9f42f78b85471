//! Direct I/O: large transfers past the page cache.
//!
//! Copying into the page cache and finding pages for it costs about as much CPU as everything
//! else that happens to a value on its way to the disk. A file system that cannot do without
//! (tmpfs, some FUSE) answers EINVAL, to the switch or only to the transfer; then the file goes
//! through the page cache from there on.

use crate::buffers::ALIGNMENT;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// Files and ranges from this size on go past the page cache; smaller ones are likely to be read
/// soon and again.
pub(crate) const TRANSFER_BYTES_MIN: u64 = 1 << 20;
/// A shorter end goes through the page cache whole, which costs less than to wait for the disk
/// twice.
const END_BYTES_MIN: usize = 256 * 1024;

/// Asks for direct I/O, which then needs aligned memory, offsets and lengths. Without effect
/// where there is none.
pub(crate) fn enter(file: &File) {
    if let Err(error) = switch(file, true) {
        tracing::debug!(%error, "no direct I/O here");
    }
}

/// Writes an aligned block.
pub(crate) fn write(file: &File, block: &[u8], offset: u64) -> io::Result<()> {
    match file.write_all_at(block, offset) {
        // The block is written anew, whatever of it was written before.
        Err(error) if refused(file, &error)? => file.write_all_at(block, offset),
        done => done,
    }
}

/// Writes what of a file is behind its last block, in aligned memory. What does not fill a page
/// goes through the page cache, and so does all that is written later.
pub(crate) fn write_end(file: &File, end: &[u8], offset: u64) -> io::Result<()> {
    let mut aligned = end.len() - end.len() % ALIGNMENT;
    if aligned < END_BYTES_MIN || offset + (end.len() as u64) < TRANSFER_BYTES_MIN {
        aligned = 0;
    } else {
        enter(file);
        write(file, &end[..aligned], offset)?;
    }
    switch(file, false)?;
    file.write_all_at(&end[aligned..], offset + aligned as u64)
}

/// Reads `count` bytes from `offset` on, neither aligned, and some around them; tells where in
/// the aligned `buffer` they begin.
pub(crate) fn read(file: &File, buffer: &mut [u8], offset: u64, count: usize) -> io::Result<usize> {
    let from = offset - offset % ALIGNMENT as u64;
    let skipped = usize::try_from(offset - from).map_err(io::Error::other)?;
    let wanted = skipped + count;
    let room = &mut buffer[..wanted.next_multiple_of(ALIGNMENT)];
    let mut done = 0;
    while done < wanted {
        match file.read_at(&mut room[done..], from + done as u64) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if refused(file, &error)? => {}
            Err(error) => return Err(error),
        }
    }
    Ok(skipped)
}

/// Whether `error` came of direct I/O; then it is switched off.
fn refused(file: &File, error: &io::Error) -> io::Result<bool> {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Unsupported => switch(file, false),
        _ => Ok(false),
    }
}

/// Whether that changed anything.
#[cfg(target_os = "linux")]
fn switch(file: &File, on: bool) -> io::Result<bool> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let before = fcntl_getfl(file)?;
    let mut flags = before;
    flags.set(OFlags::DIRECT, on);
    if flags != before {
        fcntl_setfl(file, flags)?;
    }
    Ok(flags != before)
}

#[cfg(not(target_os = "linux"))]
fn switch(_: &File, _: bool) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::Pool;

    fn file() -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 3 * ALIGNMENT], 0).unwrap();
        enter(&file);
        file
    }

    #[test]
    fn what_direct_io_refuses_is_written_and_read_through_the_page_cache() {
        let file = file();
        write(&file, &[2; 10], 5).unwrap();
        enter(&file);
        let mut buffer = Pool::new(2 * ALIGNMENT, 1).take();
        assert_eq!(read(&file, &mut buffer[1..], 4, 12).unwrap(), 4);
        assert_eq!(buffer[5..17], [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn an_end_is_written_whole_whatever_its_length() {
        for offset in [0, TRANSFER_BYTES_MIN] {
            for length in [0, 1, END_BYTES_MIN - 1, END_BYTES_MIN, END_BYTES_MIN + 4097] {
                let file = tempfile::tempfile().unwrap();
                enter(&file);
                let mut end = Pool::new(length, 1).take();
                end.fill(9);
                write_end(&file, &end, offset).unwrap();
                let mut read = vec![0; length];
                file.read_exact_at(&mut read, offset).unwrap();
                assert!(read.iter().all(|byte| *byte == 9));
                let all = if length == 0 {
                    0
                } else {
                    offset + length as u64
                };
                assert_eq!(file.metadata().unwrap().len(), all);
            }
        }
    }

    #[test]
    fn a_read_crosses_blocks_and_stops_at_the_end_of_the_file() {
        let file = file();
        switch(&file, false).unwrap();
        file.write_all_at(b"end", 3 * ALIGNMENT as u64).unwrap();
        enter(&file);
        let mut buffer = Pool::new(4 * ALIGNMENT, 1).take();
        let offset = 2 * ALIGNMENT as u64 - 1;
        let count = ALIGNMENT + 4;
        let at = read(&file, &mut buffer, offset, count).unwrap();
        assert_eq!(buffer[at + count - 4..at + count], *b"\x01end");
        let past = read(&file, &mut buffer, offset, count + 1).unwrap_err();
        assert_eq!(past.kind(), ErrorKind::UnexpectedEof);
    }
}
