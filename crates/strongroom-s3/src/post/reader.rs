//! `multipart/form-data` (RFC 7578) with one file, which is the last part that counts.

use super::{FIELDS_BYTES_MAX, Fields};
use crate::S3Error;
use bytes::{Bytes, BytesMut};
use memchr::memmem;
use std::fmt;

/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

const MALFORMED: S3Error = S3Error::new(
    400,
    "MalformedPOSTRequest",
    "The body of your POST request is not well-formed multipart/form-data.",
);
const TOO_LONG: S3Error = S3Error::new(
    400,
    "MaxPostPreDataLengthExceeded",
    "Your POST request fields preceding the upload file were too large.",
);

const NO_FILE: S3Error = S3Error::new(
    400,
    "InvalidArgument",
    "POST requires exactly one file upload per request.",
);

/// Reads one form.
pub struct Reader {
    /// What ends each part: line end, two dashes, boundary.
    delimiter: Vec<u8>,
    state: State,
    /// Bytes that are not understood yet: before the file at most [`FIELDS_BYTES_MAX`], in it what
    /// may be the beginning of the delimiter.
    held: BytesMut,
    /// Up to where `held` has been searched in vain.
    searched: usize,
    before_file: usize,
    after_file: usize,
    fields: Fields,
}

enum State {
    /// Before the first delimiter.
    Preamble,
    /// Between a delimiter and the end of the part's headers.
    Head,
    /// In a field of this name.
    Field(String),
    File,
    /// After the delimiter that ended the file.
    Tail,
    /// After the file and what ended it; what follows means nothing, and is bounded.
    Done,
    Broken,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader([REDACTED])")
    }
}

impl Reader {
    /// From the request's `content-type`; 412 `PreconditionFailed` (AWS) if it is no form.
    pub fn new(content_type: &[u8]) -> Result<Self, S3Error> {
        let text = std::str::from_utf8(content_type).ok();
        let boundary = text
            .and_then(boundary)
            .ok_or(S3Error::PRECONDITION_FAILED.with(
                "Condition",
                "Bucket POST must be of the enclosure-type multipart/form-data",
            ))?;
        Ok(Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            state: State::Preamble,
            // The first delimiter may begin the body.
            held: BytesMut::from(&b"\r\n"[..]),
            searched: 0,
            before_file: 0,
            after_file: 0,
            fields: Fields::default(),
        })
    }

    /// Takes the next bytes of the body, and appends what they hold of the file. At most
    /// [`FIELDS_BYTES_MAX`] may come before the file, and as many in further pushes after it. 400 `MalformedPOSTRequest`,
    /// `MaxPostPreDataLengthExceeded` or `InvalidArgument`. After an error the reader takes nothing
    /// more.
    pub fn push(&mut self, mut data: Bytes, out: &mut Vec<Bytes>) -> Result<(), S3Error> {
        while !data.is_empty() {
            match self.state {
                State::Done => return self.pass_over(&data),
                State::Broken => return Err(MALFORMED),
                State::File => {
                    self.read_file(std::mem::take(&mut data), out);
                }
                State::Tail => self.read_tail(&std::mem::take(&mut data)),
                _ => {
                    let taken = self.read_fields(&data);
                    if taken.is_err() {
                        self.state = State::Broken;
                    }
                    data = data.split_off(taken?);
                }
            }
        }
        Ok(())
    }

    /// What comes after the file, so that nobody sends without end what no limit of a policy counts.
    fn pass_over(&mut self, data: &Bytes) -> Result<(), S3Error> {
        self.after_file = self.after_file.saturating_add(data.len());
        if self.after_file > FIELDS_BYTES_MAX {
            self.state = State::Broken;
            return Err(MALFORMED);
        }
        Ok(())
    }

    /// The fields, once the file has begun: the policy can be checked before a byte is kept.
    pub fn fields(&self) -> Option<&Fields> {
        matches!(self.state, State::File | State::Tail | State::Done).then_some(&self.fields)
    }

    /// At the body's end: the file was there, and was ended by the boundary.
    pub fn finish(self) -> Result<(), S3Error> {
        match self.state {
            State::Done => Ok(()),
            _ => Err(MALFORMED),
        }
    }

    /// Takes bytes until the file begins, and returns how many.
    fn read_fields(&mut self, data: &Bytes) -> Result<usize, S3Error> {
        let room = FIELDS_BYTES_MAX - self.before_file;
        let taken = &data[..data.len().min(room)];
        self.held.extend_from_slice(taken);
        while self.step()? {
            if matches!(self.state, State::File) {
                // What was taken too much is read again as the file's.
                let left = self.held.len();
                self.held.clear();
                self.searched = 0;
                return Ok(taken.len().saturating_sub(left));
            }
        }
        self.before_file += taken.len();
        if taken.len() < data.len() {
            return Err(TOO_LONG);
        }
        Ok(taken.len())
    }

    /// Understands the next piece of `held`; false if it is not whole.
    fn step(&mut self) -> Result<bool, S3Error> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Preamble => {
                let found = self.take_to_delimiter().is_some();
                self.state = if found { State::Head } else { State::Preamble };
                Ok(found)
            }
            State::Head => {
                if self.held.starts_with(b"--") {
                    // The form ends without a file.
                    return Err(NO_FILE);
                }
                let Some(head) = self.take_to(b"\r\n\r\n") else {
                    self.state = State::Head;
                    return Ok(false);
                };
                let (name, file_name) = part_names(&head)?;
                self.state = if name == "file" {
                    let file_name = file_name.unwrap_or_default();
                    let last = file_name.rsplit(['/', '\\']).next();
                    last.unwrap_or_default()
                        .clone_into(&mut self.fields.file_name);
                    State::File
                } else if self.fields.get(&name).is_some() {
                    let message = format!("The form has the field '{name}' twice.");
                    return Err(S3Error::text(400, "InvalidArgument", message));
                } else {
                    State::Field(name)
                };
                Ok(true)
            }
            State::Field(name) => {
                let Some(value) = self.take_to_delimiter() else {
                    self.state = State::Field(name);
                    return Ok(false);
                };
                let value = String::from_utf8(value.to_vec()).map_err(|_| MALFORMED)?;
                self.fields.fields.push((name, value));
                self.state = State::Head;
                Ok(true)
            }
            state => {
                self.state = state;
                Ok(false)
            }
        }
    }

    fn take_to_delimiter(&mut self) -> Option<BytesMut> {
        let delimiter = std::mem::take(&mut self.delimiter);
        let taken = self.take_to(&delimiter);
        self.delimiter = delimiter;
        taken
    }

    /// Removes `held` up to and with `end`, and returns what was before it.
    fn take_to(&mut self, end: &[u8]) -> Option<BytesMut> {
        let Some(at) = memmem::find(&self.held[self.searched..], end) else {
            self.searched = self.held.len().saturating_sub(end.len() - 1);
            return None;
        };
        let before = self.held.split_to(self.searched + at);
        let _ = self.held.split_to(end.len());
        self.searched = 0;
        Some(before)
    }

    fn read_file(&mut self, data: Bytes, out: &mut Vec<Bytes>) {
        let mut data = if self.held.is_empty() {
            data
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(&data);
            joined.freeze()
        };
        let end = memmem::find(&data, &self.delimiter);
        let kept = end.unwrap_or_else(|| data.len() - beginning_at_end(&data, &self.delimiter));
        let file = data.split_to(kept);
        if end.is_some() {
            self.state = State::Tail;
            self.read_tail(&data[self.delimiter.len()..]);
        } else {
            self.held.extend_from_slice(&data);
        }
        if !file.is_empty() {
            out.push(file);
        }
    }

    /// A delimiter is followed by two dashes or by the end of its line; else it was a part of the
    /// file, and the form's boundary badly chosen.
    fn read_tail(&mut self, data: &[u8]) {
        self.held.extend_from_slice(&data[..data.len().min(2)]);
        if self.held.len() >= 2 {
            let ended = self.held.starts_with(b"--") || self.held.starts_with(b"\r\n");
            self.state = if ended { State::Done } else { State::Broken };
        }
    }
}

/// The longest beginning of `delimiter`, not all of it, that `data` ends with.
fn beginning_at_end(data: &[u8], delimiter: &[u8]) -> usize {
    let longest = data.len().min(delimiter.len() - 1);
    let beginnings = (1..=longest).rev();
    let mut fitting = beginnings.filter(|bytes| data.ends_with(&delimiter[..*bytes]));
    fitting.next().unwrap_or(0)
}

fn boundary(content_type: &str) -> Option<String> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(rest, "boundary")?;
    let fits = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len());
    let plain = boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (fits && plain && !boundary.ends_with(' ')).then_some(boundary)
}

/// Name, lower case, and file name of a part, from its headers.
fn part_names(head: &[u8]) -> Result<(String, Option<String>), S3Error> {
    let head = std::str::from_utf8(head).map_err(|_| MALFORMED)?;
    // The delimiter's line may end with blanks; it was cut before its line end.
    let mut lines = head.split("\r\n");
    let blanks = lines.next().unwrap_or_default();
    if !blanks.bytes().all(|byte| byte == b' ' || byte == b'\t') {
        return Err(MALFORMED);
    }
    let mut found = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(MALFORMED)?;
        if !name.trim().eq_ignore_ascii_case("content-disposition") {
            continue;
        }
        let (kind, parameters) = value.split_once(';').ok_or(MALFORMED)?;
        if found.is_some() || !kind.trim().eq_ignore_ascii_case("form-data") {
            return Err(MALFORMED);
        }
        let name = parameter(parameters, "name").ok_or(MALFORMED)?;
        found = Some((name.to_ascii_lowercase(), parameter(parameters, "filename")));
    }
    found.ok_or(MALFORMED)
}

/// The value of one of `; name=value` or `; name="value"`, with `\"` in the latter.
fn parameter(mut text: &str, wanted: &str) -> Option<String> {
    loop {
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = if let Some(quoted) = rest.trim_start().strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (value, rest) = rest.split_once(';').unwrap_or((rest, ""));
            (value.trim().to_owned(), rest)
        };
        if name
            .trim_matches([' ', '\t', ';'])
            .eq_ignore_ascii_case(wanted)
        {
            return Some(value);
        }
        text = rest;
    }
}

/// Reads up to the closing quote; returns the rest too. A backslash escapes a quote alone: old
/// browsers send Windows paths as they are.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                value.push('"');
                chars.next();
            }
            _ => value.push(char),
        }
    }
    None
}
