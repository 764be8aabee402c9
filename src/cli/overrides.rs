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

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn assignments_are_cut_at_the_first_free_equals_sign() {
        let pair = |path: &str, value: &str| Ok((path.to_string(), value.to_string()));
        assert_eq!(assignment("a.b=c=d"), pair("a.b", "c=d"));
        assert_eq!(assignment("variants.\"d=3\".mesh={}"), pair("variants.\"d=3\".mesh", "{}"));
        assert_eq!(assignment("a="), pair("a", ""));
        assert!(assignment("a").is_err());
    }
}
