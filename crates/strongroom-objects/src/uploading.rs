//! Which objects are being uploaded: one upload of a name at a time, so that one URL cannot fill
//! the disk, or take every transfer, with uploads of which only one can win.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The names under way.
#[derive(Clone, Default)]
pub(crate) struct Uploading(Arc<Mutex<HashSet<String>>>);

/// Holds a name until it is dropped.
pub(crate) struct Held {
    names: Uploading,
    name: String,
}

impl Uploading {
    /// Takes the name, unless another upload has it.
    pub(crate) fn hold(&self, name: &str) -> Option<Held> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned()).then(|| Held {
            names: self.clone(),
            name: name.to_owned(),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut names = self.names.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_once_until_it_is_let_go() {
        let uploading = Uploading::default();
        let held = uploading.hold("a");
        assert!(held.is_some());
        assert!(uploading.hold("a").is_none());
        assert!(uploading.hold("b").is_some());
        drop(held);
        assert!(uploading.hold("a").is_some());
    }
}
