//! Do the times fit into the run?

use super::given;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::values::Warmup;

pub(super) fn warmup(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let (Some(&duration), Some((Warmup::Fixed(warmup), span))) = (document.duration.get(), given(&document.warmup)) else {
        return;
    };
    if *warmup >= duration {
        diagnostics.warmup_too_long(span, warmup, duration);
    }
}
