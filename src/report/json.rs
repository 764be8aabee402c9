//! `summary.json`: the summary as it is.

use crate::report::Summary;

/// The document, indented, with a line feed at its end.
pub fn summary(summary: &Summary) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(summary).expect("a summary has only text for keys, and no file behind it");
    bytes.push(b'\n');
    bytes
}

/// Reads the document back.
///
/// # Errors
/// Says what `bytes` lacks of being a summary that this version knows.
pub fn read(bytes: &[u8]) -> Result<Summary, String> {
    let summary: Summary = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if summary.schema != crate::report::summary::SCHEMA {
        return Err(format!(
            "its schema is `{}`, not `{}`",
            summary.schema,
            crate::report::summary::SCHEMA
        ));
    }
    Ok(summary)
}
