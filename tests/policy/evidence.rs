//! What shows that a policy is the real one: checks that say what they found, for `docs/fidelity.md`.

/// One check of one policy.
pub struct Evidence {
    /// `family/name`.
    pub policy: &'static str,
    /// What it is held against, in a few words: the same that the policy's `CHECKED` says, where several are joined by `; `.
    pub against: &'static str,
    /// Does it: panics where the policy differs, else says how much was compared and how closely.
    pub check: fn() -> String,
}
