//! The name that a misspelt one was probably meant to be.

/// More candidates than this are not looked at: an error must not cost more than the rest of the load.
const CANDIDATES_MAX: usize = 2000;
/// Longer names are not compared: the distance costs the product of the lengths.
const LENGTH_MAX: usize = 64;

/// The candidate that is most like `name`, if one is near enough: a third of its letters may differ, or the last part of a path agrees.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.is_empty() || name.len() > LENGTH_MAX {
        return None;
    }
    let written = fold(name);
    let candidates = candidates.into_iter().take(CANDIDATES_MAX);
    let scored = candidates
        .filter(|candidate| candidate.len() <= LENGTH_MAX)
        .map(|candidate| (distance(&written, &fold(candidate)), candidate));
    let best = scored.min()?;
    // Of a name with one letter anything else is as near as anything.
    let allowed = match written.chars().count() {
        1 => 0,
        letters => letters.max(3) / 3,
    };
    (best.0 <= allowed).then_some(best.1)
}

/// Case and the kind of separator are no difference that anyone means.
fn fold(name: &str) -> String {
    name.to_lowercase().replace(['-', ' ', '.'], "_")
}

fn distance(written: &str, candidate: &str) -> usize {
    let last = candidate.rsplit('/').next().unwrap_or(candidate);
    if written != candidate && (written == last || written.rsplit('/').next() == Some(last)) {
        return 1;
    }
    let whole = strsim::osa_distance(written, candidate);
    if last.len() == candidate.len() {
        return whole;
    }
    // `least_requst` is nearer to `envoy/least_request` than its letters say.
    whole.min(strsim::osa_distance(written, last) + 1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn misspelt_names_find_what_was_meant() {
        let policies = [
            "envoy/round_robin",
            "envoy/least_request",
            "linkerd/peak_ewma",
            "research/jsq",
        ];
        for (written, meant) in [
            ("envoy/least_requst", Some("envoy/least_request")),
            ("least_request", Some("envoy/least_request")),
            ("Least-Request", Some("envoy/least_request")),
            ("linkerd/least_request", Some("envoy/least_request")),
            ("peak_ewm", Some("linkerd/peak_ewma")),
            ("maglev", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, policies), meant, "{written}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), policies), None);
    }
}
