//! Writes XML answers.

use super::reader::is_legal;

/// The namespace of S3's answers.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Appends elements to a document. Names are the program's own and are not escaped; text is.
///
/// What XML 1.0 cannot hold becomes U+FFFD; a listing with `encoding-type=url` encodes its keys
/// before.
pub struct Writer(String);

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A document with its declaration alone.
    pub fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// Opens the outermost element, in S3's namespace.
    pub fn root(&mut self, name: &str) {
        for part in ["<", name, " xmlns=\"", NAMESPACE, "\">"] {
            self.0.push_str(part);
        }
    }

    /// Opens an element.
    pub fn open(&mut self, name: &str) {
        for part in ["<", name, ">"] {
            self.0.push_str(part);
        }
    }

    /// Closes it.
    pub fn close(&mut self, name: &str) {
        for part in ["</", name, ">"] {
            self.0.push_str(part);
        }
    }

    /// An element that holds text alone.
    pub fn element(&mut self, name: &str, text: &str) {
        self.open(name);
        self.text(text);
        self.close(name);
    }

    fn text(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // A parser would read a bare one as a line feed.
                '\r' => self.0.push_str("&#13;"),
                char if is_legal(char) => self.0.push(char),
                _ => self.0.push('\u{fffd}'),
            }
        }
    }

    /// The document.
    pub fn finish(self) -> String {
        self.0
    }
}
