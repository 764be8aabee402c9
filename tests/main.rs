//! All integration tests, as one binary: they link once.

mod tidy;
