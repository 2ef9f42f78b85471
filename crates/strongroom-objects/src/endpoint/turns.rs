//! How many at a time by name: so that one URL cannot fill the disk with uploads of which only one
//! can win, or take every transfer with downloads of one object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Names in use, and how often.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<String, u32>>>);

/// Holds a name until it is dropped.
pub(crate) struct Turn {
    names: Turns,
    name: String,
}

impl Turns {
    /// Takes the name, unless it is taken `max` times.
    pub(crate) fn take(&self, name: &str, max: u32) -> Option<Turn> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = names.get(name).copied().unwrap_or(0);
        if taken >= max {
            return None;
        }
        names.insert(name.to_owned(), taken + 1);
        Some(Turn {
            names: self.clone(),
            name: name.to_owned(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut names = self.names.0.lock().unwrap_or_else(PoisonError::into_inner);
        match names.get_mut(&self.name) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => {
                names.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_as_often_as_allowed_until_it_is_let_go() {
        let turns = Turns::default();
        let held = turns.take("a", 1);
        assert!(held.is_some());
        assert!(turns.take("a", 1).is_none());
        assert!(turns.take("b", 1).is_some());
        let second = turns.take("a", 2);
        assert!(second.is_some() && turns.take("a", 2).is_none());
        drop(held);
        assert!(turns.take("a", 1).is_none());
        drop(second);
        assert!(turns.take("a", 1).is_some());
        assert!(turns.0.lock().unwrap().len() <= 1);
    }
}
