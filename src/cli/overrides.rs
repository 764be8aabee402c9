//! The options that change a scenario from the command line, for all commands that load one.

use meshsim::scenario::Overrides;
use meshsim::time::Duration;

/// What the command line changes in a scenario.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct OverrideArgs {
    /// Sets any value of the scenario, as in `mesh.timeout=1s` or `faults[0].at=10s`; wins over variants; repeatable
    #[arg(long, value_name = "PATH=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,

    /// Takes only this variant; repeatable
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,

    /// In place of the scenario's `seed`
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// In place of the scenario's `replications`
    #[arg(long, value_name = "N")]
    replications: Option<u32>,

    /// In place of the scenario's `duration`, as in `30s`
    #[arg(long, value_name = "D", value_parser = Duration::parse)]
    duration: Option<Duration>,

    /// Adds replications until half the width of this metric's interval is at most this share of it, as in `p99=2%` for all variants or
    /// `p99(least_request)=2%` for one; repeatable
    #[arg(long, value_name = "METRIC=SHARE", value_parser = precision)]
    precision: Vec<(String, String)>,

    /// Adds replications until the best variant by this metric is found, as in `p99`; needs --indifference
    #[arg(long, value_name = "METRIC")]
    select: Option<String>,

    /// The most replications that --precision and --select may ask for [default: 200]
    #[arg(long, value_name = "N")]
    max_replications: Option<u32>,

    /// A difference up to this share of a figure is none that matters, as in `2%`
    #[arg(long, value_name = "SHARE")]
    indifference: Option<String>,

    /// How intervals are made: `student_t`, or `bootstrap` for skewed figures of few replications
    #[arg(long, value_name = "HOW")]
    interval: Option<String>,

    /// Takes a scenario that is beyond the size limits
    #[arg(long)]
    force: bool,
}

impl OverrideArgs {
    /// The same for the library.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            variants: self.variant.clone(),
            seed: self.seed,
            replications: self.replications,
            duration: self.duration,
            precision: self.precision.clone(),
            select: self.select.clone(),
            max_replications: self.max_replications,
            indifference: self.indifference.clone(),
            interval: self.interval.clone(),
            force: self.force,
        }
    }
}

/// Cuts at the first `=` that is not within quotes: names may hold one.
fn assignment(text: &str) -> Result<(String, String), String> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '=' if !quoted => return Ok((text[..at].to_string(), text[at + 1..].to_string())),
            _ => {}
        }
    }
    Err("write it as PATH=VALUE, such as `mesh.timeout=1s`".to_string())
}

/// Cuts at the last `=`.
fn precision(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((metric, share)) if !metric.trim().is_empty() && !metric.contains('"') => {
            Ok((metric.trim().to_string(), share.trim().to_string()))
        }
        _ => Err("write it as METRIC=SHARE, such as `p99=2%`".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{assignment, precision};

    #[test]
    fn precisions_are_cut_at_the_last_equals_sign() {
        let pair = |metric: &str, share: &str| Ok((metric.to_string(), share.to_string()));
        assert_eq!(precision("p99(d=3) = 2%"), pair("p99(d=3)", "2%"));
        assert!(precision("p99").is_err() && precision("=2%").is_err());
    }

    #[test]
    fn assignments_are_cut_at_the_first_free_equals_sign() {
        let pair = |path: &str, value: &str| Ok((path.to_string(), value.to_string()));
        assert_eq!(assignment("a.b=c=d"), pair("a.b", "c=d"));
        assert_eq!(assignment("variants.\"d=3\".mesh={}"), pair("variants.\"d=3\".mesh", "{}"));
        assert_eq!(assignment("a="), pair("a", ""));
        assert!(assignment("a").is_err());
    }
}
