//! A system clock that a test can move while the vault runs, by libfaketime.

use std::fs;
use std::path::{Path, PathBuf};

/// The clock of one vault. The offset takes effect at the vault's next reading.
pub struct FakeClock {
    file: PathBuf,
    library: PathBuf,
}

impl FakeClock {
    /// A clock that shows the present until it is moved. `dir` keeps its state.
    pub fn new(dir: &Path) -> Self {
        let library = find_library().expect(
            "libfaketimeMT.so.1 is not below /usr/lib: install it with `apt-get install faketime`",
        );
        let clock = Self {
            file: dir.join("clock"),
            library,
        };
        clock.shift_s(0);
        clock
    }

    /// Sets the clock this many seconds ahead of the true time, or behind it.
    pub fn shift_s(&self, offset_s: i64) {
        // Renamed into place: a reader that found an empty file would see the true time.
        let unfinished = self.file.with_extension("new");
        fs::write(&unfinished, format!("{offset_s:+}\n")).expect("the clock's file is written");
        fs::rename(&unfinished, &self.file).expect("the clock's file is renamed");
    }

    /// What puts the clock under a process. Monotonic time, which timers use, stays true.
    pub(crate) fn environment(&self) -> [(String, String); 5] {
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        [
            ("LD_PRELOAD".into(), text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE".into(), text(&self.file)),
            ("FAKETIME_NO_CACHE".into(), "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
            ("NO_FAKE_STAT".into(), "1".into()),
        ]
    }
}

fn find_library() -> Option<PathBuf> {
    let architectures = fs::read_dir("/usr/lib").ok()?;
    architectures
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
        .find(|path| path.is_file())
}
