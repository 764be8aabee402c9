//! Which shard this process is to run: as the user says, or as an array job's environment does.

/// What is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// The shard, from 0; `None`: all.
    pub index: Option<u32>,
    /// How many shards there are; `None`: as many as the plan makes.
    pub shards: Option<u32>,
}

/// Variables that hold an index from 0: Kubernetes' Indexed Job, AWS Batch, Google Cloud Batch.
const FROM_ZERO: [&str; 3] = ["JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "BATCH_TASK_INDEX"];

/// Finds the shard. `shard` is `I/N` or `I`, `shards` what `--shards` says; an argument wins over the environment.
///
/// # Errors
/// Says what does not fit together.
pub fn find(shard: Option<&str>, shards: Option<u32>, environment: impl Fn(&str) -> Option<String>) -> Result<Which, String> {
    if let Some(text) = shard {
        let wrong = || format!("`{text}` is no shard: write `--shard I/N`, such as 0/12 for the first of twelve");
        let (index, count) = match text.split_once('/') {
            Some((index, count)) => (index, Some(count.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let index = index.parse().map_err(|_| wrong())?;
        return match (count, shards) {
            (Some(0), _) => Err(wrong()),
            (Some(count), Some(shards)) if count != shards => {
                Err(format!("--shard {text} and --shards {shards} contradict each other"))
            }
            (Some(count), _) if index >= count => Err(format!("there is no shard {index} of {count}: they are counted from 0")),
            _ => Ok(Which {
                index: Some(index),
                shards: count.or(shards),
            }),
        };
    }
    let number = |name: &str| -> Result<Option<u32>, String> {
        let Some(text) = environment(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number = text.parse().map_err(|_| format!("{name}={text} is no number"))?;
        Ok(Some(number))
    };
    if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
        return slurm(id, shards, number);
    }
    for name in FROM_ZERO {
        if let Some(index) = number(name)? {
            let shards = match name {
                "BATCH_TASK_INDEX" => shards.or(number("BATCH_TASK_COUNT")?),
                _ => shards,
            };
            return Ok(Which {
                index: Some(index),
                shards,
            });
        }
    }
    Ok(Which { index: None, shards })
}

/// A Slurm array may begin anywhere: `--array=1-12` has the shards 0 to 11 as `--array=0-11` has. That is told only of an array that
/// covers the whole sweep without a gap; of any other, such as `--array=3,7-9` that runs some shards again, the numbers are the shards'.
fn slurm(id: u32, shards: Option<u32>, number: impl Fn(&str) -> Result<Option<u32>, String>) -> Result<Which, String> {
    let bounds = (
        number("SLURM_ARRAY_TASK_MIN")?,
        number("SLURM_ARRAY_TASK_MAX")?,
        number("SLURM_ARRAY_TASK_COUNT")?,
    );
    if let (Some(min), Some(max), Some(count)) = bounds
        && max.checked_sub(min).and_then(|span| span.checked_add(1)) == Some(count)
        && shards.is_none_or(|shards| shards == count)
        && id >= min
    {
        return Ok(Which {
            index: Some(id - min),
            shards: Some(count),
        });
    }
    match shards {
        Some(_) => Ok(Which { index: Some(id), shards }),
        None if bounds.2.is_some() => Err(
            "this Slurm array has gaps, so it does not tell how many shards there are\n  help: say it with `--shards N`"
                .to_string(),
        ),
        None => Ok(Which {
            index: Some(id),
            shards: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shard: Option<&str>, shards: Option<u32>, environment: &[(&str, &str)]) -> Result<(Option<u32>, Option<u32>), String> {
        let get = |name: &str| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.to_string())
        };
        find(shard, shards, get).map(|which| (which.index, which.shards))
    }

    #[test]
    fn arguments_win() {
        let inside = [("JOB_COMPLETION_INDEX", "9")];
        assert_eq!(of(Some("3/12"), None, &inside), Ok((Some(3), Some(12))));
        assert_eq!(of(Some("3"), Some(12), &inside), Ok((Some(3), Some(12))));
        assert_eq!(of(None, Some(4), &[]), Ok((None, Some(4))));
        for wrong in ["12/12", "a/3", "3/", "-1/3", "0/0"] {
            assert!(of(Some(wrong), None, &[]).is_err(), "{wrong}");
        }
        assert!(of(Some("3/12"), Some(4), &[]).is_err());
    }

    #[test]
    fn every_engine_has_its_variable() {
        assert_eq!(of(None, Some(12), &[("JOB_COMPLETION_INDEX", "9")]), Ok((Some(9), Some(12))));
        assert_eq!(
            of(None, Some(12), &[("AWS_BATCH_JOB_ARRAY_INDEX", "9")]),
            Ok((Some(9), Some(12)))
        );
        let google = [("BATCH_TASK_INDEX", "9"), ("BATCH_TASK_COUNT", "12")];
        assert_eq!(of(None, None, &google), Ok((Some(9), Some(12))));
        assert!(of(None, None, &[("JOB_COMPLETION_INDEX", "nine")]).is_err());
    }

    #[test]
    fn slurm_arrays_begin_where_they_like() {
        let array = |id: &'static str, min: &'static str, max: &'static str, count: &'static str| {
            [
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_MAX", max),
                ("SLURM_ARRAY_TASK_COUNT", count),
            ]
        };
        // A whole array, from 0 and from 1.
        assert_eq!(of(None, None, &array("3", "0", "11", "12")), Ok((Some(3), Some(12))));
        assert_eq!(of(None, Some(12), &array("12", "1", "12", "12")), Ok((Some(11), Some(12))));
        // Some shards again: 3,7-9 and 3-6 of twelve.
        assert_eq!(of(None, Some(12), &array("8", "3", "9", "4")), Ok((Some(8), Some(12))));
        assert_eq!(of(None, Some(12), &array("4", "3", "6", "4")), Ok((Some(4), Some(12))));
        assert!(of(None, None, &array("8", "3", "9", "4")).is_err());
    }
}
