//! Reads a small XML document into a tree, within bounds.

use crate::S3Error;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// Deepest nesting of any request of S3's that is read here, and some.
const DEPTH_MAX: usize = 8;
/// Most elements: 10,000 parts with five children each, and some.
const ELEMENTS_MAX: usize = 64 << 10;

pub(crate) const MALFORMED: S3Error = S3Error::new(
    400,
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema",
);

/// An element with its text, or its children.
#[derive(Debug, Default)]
pub(crate) struct Element {
    /// Without a namespace's prefix.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The document's root, which must have this name.
    pub(crate) fn parse(xml: &[u8], bytes_max: usize, root: &str) -> Result<Self, S3Error> {
        if xml.len() > bytes_max {
            return Err(MALFORMED);
        }
        let text = std::str::from_utf8(xml).map_err(|_| MALFORMED)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut tree = Tree::default();
        let mut reader = Reader::from_str(text);
        loop {
            match reader.read_event().map_err(|_| MALFORMED)? {
                Event::Eof => break,
                event => tree.take(event)?,
            }
        }
        let found = tree.root.filter(|_| tree.open.is_empty());
        found.filter(|found| found.name == root).ok_or(MALFORMED)
    }

    /// The text of an element without children.
    pub(crate) fn leaf(self) -> Result<String, S3Error> {
        if self.children.is_empty() {
            Ok(self.text)
        } else {
            Err(MALFORMED)
        }
    }

    /// The children; there must be no text among them.
    pub(crate) fn children(self) -> Result<Vec<Element>, S3Error> {
        if self.text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            Ok(self.children)
        } else {
            Err(MALFORMED)
        }
    }
}

#[derive(Default)]
struct Tree {
    root: Option<Element>,
    /// Elements that are not closed yet, outermost first.
    open: Vec<Element>,
    elements: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>) -> Result<(), S3Error> {
        match event {
            Event::Start(start) => self.start(start.local_name().as_ref()),
            Event::Empty(start) => {
                self.start(start.local_name().as_ref())?;
                self.end()
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(text) => self.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let char = resolve(&reference).ok_or(MALFORMED)?;
                self.text(char.encode_utf8(&mut [0; 4]))
            }
            Event::Decl(declaration) => match declaration.encoding() {
                None => Ok(()),
                Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
                Some(_) => Err(MALFORMED),
            },
            // Entities could be declared, and be larger than the document.
            Event::DocType(_) => Err(MALFORMED),
            Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, name: &str) -> Result<(), S3Error> {
        self.elements += 1;
        let second = self.open.is_empty() && self.root.is_some();
        if second || self.open.len() == DEPTH_MAX || self.elements > ELEMENTS_MAX {
            return Err(MALFORMED);
        }
        self.open.push(Element {
            name: name.to_owned(),
            ..Element::default()
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), S3Error> {
        let element = self.open.pop().ok_or(MALFORMED)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), S3Error> {
        if !text.chars().all(is_legal) {
            return Err(MALFORMED);
        }
        match self.open.last_mut() {
            Some(element) => {
                element.text.push_str(text);
                Ok(())
            }
            None if text.bytes().all(|byte| byte.is_ascii_whitespace()) => Ok(()),
            None => Err(MALFORMED),
        }
    }
}

/// Whether XML can hold the character at all (XML 1.0 §2.2).
pub(super) fn is_legal(char: char) -> bool {
    let control = char < ' ' && !matches!(char, '\t' | '\n' | '\r');
    !control && !matches!(char, '\u{fffe}' | '\u{ffff}')
}

/// XML's five entities, and characters by number.
fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok().flatten();
    }
    match reference.as_ref() {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}
