//! Fuzz targets of the parsers that meet hostile input; `README.md` has the commands.

pub mod targets;
