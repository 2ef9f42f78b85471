//! Uploads from HTML forms: `multipart/form-data` with a policy (AWS, *Browser-based uploads using
//! POST*).
//!
//! A state machine without I/O, like [`crate::chunked`].

mod policy;
mod reader;
#[cfg(test)]
mod tests;

use crate::S3Error;
pub use policy::{Accepted, verify};
pub use reader::Reader;
use std::fmt;

/// Most bytes of a form before its file (AWS).
pub const FIELDS_BYTES_MAX: usize = 20 << 10;

/// The form's fields before its file, names lower case. A field that comes twice is refused.
///
/// `Debug` says nothing, as one may be a customer key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    fields: Vec<(String, String)>,
    file_name: String,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fields([REDACTED])")
    }
}

impl Fields {
    /// The value of a lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|pair| pair.0 == name);
        found.map(|pair| pair.1.as_str())
    }

    /// All fields, in the order of the form.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The last component of the file's name, empty if the form gives none.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The `key` field with `${filename}` replaced; 400 `InvalidArgument` without one, or an empty
    /// one.
    pub fn key(&self) -> Result<String, S3Error> {
        let key = self.get("key").ok_or_else(|| missing("key"))?;
        let key = key.replace("${filename}", &self.file_name);
        if key.is_empty() {
            let message = "User key must have a length greater than 0.";
            return Err(S3Error::new(400, "InvalidArgument", message));
        }
        Ok(key)
    }
}

fn missing(field: &'static str) -> S3Error {
    let message = format!(
        "Bucket POST must contain a field named '{field}'.  If it is specified, please check the \
         order of the fields."
    );
    S3Error::text(400, "InvalidArgument", message).with("ArgumentName", field)
}
