//! Arrival processes against formulas.

use serde_json::{Value, json};

use super::*;

fn try_build(config: Value) -> Result<Arrival, String> {
    let config: ArrivalConfig = serde_json::from_value(config).map_err(|error| error.to_string())?;
    config.check()?;
    config.build(&mut |path| Err(format!("no file `{path}`")))
}

/// Arrivals in each window of `window` nanoseconds, over `windows` windows.
fn counts(config: Value, window: u64, windows: usize) -> Vec<f64> {
    let mut arrival = try_build(config.clone()).unwrap_or_else(|problem| panic!("{config}: {problem}"));
    let mut rng = Rng::new(17);
    let mut counts = vec![0.0; windows];
    let mut now = Time::ZERO;
    while let Some((next, count)) = arrival.next(now, &mut rng) {
        assert!(next >= now, "time goes forward");
        now = next;
        match counts.get_mut((now.0 / window) as usize) {
            Some(cell) => *cell += f64::from(count),
            None => break,
        }
    }
    counts
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (
        mean,
        values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0),
    )
}

#[test]
fn stationary_processes_have_their_rate_and_index_of_dispersion() {
    let gap = json!({"gamma": {"mean": "10ms", "cv": 1.5}});
    for (config, rate, dispersion) in [
        (json!({"poisson": {"rate": "100/s"}}), 100.0, 1.0),
        (json!({"batch": {"rate": "20/s", "size": 5}}), 100.0, 5.0),
        // The index of a renewal process tends to the squared coefficient of variation of its gaps: Cox and Lewis 1966.
        (json!({"erlang": {"shape": 4, "rate": "100/s"}}), 100.0, 0.25),
        (json!({"renewal": {"gap": gap}}), 100.0, 2.25),
        // 1 + 2 s1 s2 (l1 - l2)^2 / ((s1 + s2)^2 (l1 s2 + l2 s1)), with s the rates of leaving: Heffes and Lucantoni 1986.
        (
            json!({"mmpp": {"rates": ["200/s", "50/s"], "mean_stay": ["100ms", "200ms"]}}),
            100.0,
            1.0 + 2.0 * 10.0 * 5.0 * 22_500.0 / (225.0 * (200.0 * 5.0 + 50.0 * 10.0)),
        ),
    ] {
        // Windows much longer than any memory of the process.
        let (windows, seconds) = (2000, 20.0);
        let (mean, variance) = mean_and_variance(&counts(config.clone(), (seconds * 1e9) as u64, windows));
        let expected = rate * seconds;
        let error = 5.0 * (dispersion * expected / windows as f64).sqrt();
        assert!(
            (mean - expected).abs() < error,
            "{config}: {mean} arrivals in a window, not {expected}"
        );
        // A variance of n windows is known to a share of sqrt(2 / n); the index has not quite reached its limit.
        let index = variance / mean;
        assert!(
            (index / dispersion - 1.0).abs() < 5.0 * (2.0 / windows as f64).sqrt() + 0.02,
            "{config}: index {index}, not {dispersion}"
        );
        let built = try_build(config).expect("built before");
        assert!((built.mean_rate(Time(1_000_000_000)) / rate - 1.0).abs() < 1e-9);
    }
}

#[test]
fn mmpp_begins_in_its_steady_state() {
    // Three states with unlike stays: the first window of many runs has the mean rate already.
    let config = json!({"mmpp": {"rates": ["300/s", 0, "60/s"], "mean_stay": ["1s", "2s", "3s"]}});
    let arrival = try_build(config).expect("well-formed");
    let runs = 4000;
    let mut total = 0.0;
    for seed in 0..runs {
        let (mut arrival, mut rng, mut now) = (arrival.clone(), Rng::new(seed), Time::ZERO);
        while let Some((next, _)) = arrival.next(now, &mut rng).filter(|(next, _)| next.0 < 100_000_000) {
            now = next;
            total += 1.0;
        }
    }
    // 80/s for 0.1 s; the rate of a state has a standard deviation of about 107/s.
    let (mean, error) = (
        total / runs as f64,
        5.0 * (10.7_f64 * 10.7 + 8.0).sqrt() / (runs as f64).sqrt(),
    );
    assert!((mean - 8.0).abs() < error, "{mean}");
    assert!((arrival.mean_rate(Time(1)) - 80.0).abs() < 1e-9);
}

#[test]
fn changing_rates_follow_their_integral() {
    // Expected arrivals in each of ten windows of 10 s, from the integral of the rate.
    let sine = |at: f64| 100.0 * at - 60.0 * 50.0 / std::f64::consts::TAU * (libm::cos(std::f64::consts::TAU * at / 50.0) - 1.0);
    let ramp = |at: f64| {
        if at < 60.0 {
            200.0 * at - 150.0 * at * at / 120.0
        } else {
            7500.0 + 50.0 * (at - 60.0)
        }
    };
    let steps = |at: f64| 100.0 * (at.clamp(5.0, 20.0) - 5.0) + 300.0 * (at.clamp(45.0, 100.0) - 45.0);
    type Integral<'a> = &'a dyn Fn(f64) -> f64;
    let cases: [(Value, Integral<'_>); 4] = [
        (
            json!({"diurnal": {"mean": "100/s", "amplitude": "60/s", "period": "50s"}}),
            &sine,
        ),
        (
            json!({"diurnal": {"mean": "100/s", "amplitude": "60%", "period": "50s"}}),
            &sine,
        ),
        (json!({"ramp": {"from": "200/s", "to": "50/s", "over": "1m"}}), &ramp),
        (
            json!({"steps": [{"at": "5s", "rate": "100/s"}, {"at": "20s", "rate": 0}, {"at": "45s", "rate": "300/s"}]}),
            &steps,
        ),
    ];
    for (config, integral) in cases {
        for (window, count) in (0..).zip(counts(config.clone(), 10_000_000_000, 10)) {
            let (from, to) = (f64::from(window) * 10.0, f64::from(window + 1) * 10.0);
            let expected = integral(to) - integral(from);
            assert!(
                (count - expected).abs() <= 4.5 * expected.sqrt(),
                "{config}, window {window}: {count}, not {expected}"
            );
            let mean_rate = try_build(config.clone())
                .expect("built before")
                .mean_rate(Time((to * 1e9) as u64));
            assert!((mean_rate - integral(to) / to).abs() < 1e-6, "{config}: {mean_rate}");
        }
    }
}

#[test]
fn a_ramp_down_to_nothing_ends() {
    let counts = counts(json!({"ramp": {"from": "100/s", "to": 0, "over": "10s"}}), 1_000_000_000, 20);
    assert!((counts.iter().sum::<f64>() - 500.0).abs() < 4.5 * 500.0_f64.sqrt());
    assert_eq!(counts[10..].iter().sum::<f64>(), 0.0);
}

#[test]
fn constant_arrivals_do_not_drift() {
    let mut arrival = try_build(json!({"constant": {"rate": "3/s"}})).expect("well-formed");
    let mut rng = Rng::new(1);
    for i in 1..=3_000_000_u64 {
        let (at, count) = arrival.next(Time::ZERO, &mut rng).expect("endless");
        // i / 3 seconds, to the nearest nanosecond; a third is never half way.
        assert_eq!((at.0, count), ((i * 1_000_000_000 + 1) / 3, 1));
    }
}

#[test]
fn replay_reads_columns_and_counts_equal_times() {
    let read = |config: Value, text: &str| {
        let config: ArrivalConfig = serde_json::from_value(config).expect("well-formed");
        config.build(&mut |_| Ok(text.to_string()))
    };
    let table = "id,start,size\n1, 2.5, 9\n2, 1s, 9\n3, 2.5, 9\n";
    for column in [json!("start"), json!(2)] {
        let mut arrival = read(json!({"replay": {"file": "a.csv", "column": column}}), table).expect("well-formed");
        let mut rng = Rng::new(1);
        assert_eq!(arrival.mean_rate(Time(2_000_000_000)), 0.5);
        assert_eq!(arrival.next(Time::ZERO, &mut rng), Some((Time(1_000_000_000), 1)));
        assert_eq!(arrival.next(Time::ZERO, &mut rng), Some((Time(2_500_000_000), 2)));
        assert_eq!(arrival.next(Time::ZERO, &mut rng), None);
    }
    for (column, text, problem) in [
        (json!("begin"), table, "there is no column `begin`"),
        (json!(4), table, "has no column 4"),
        (json!(1), "0.5\n-1\n", "line 2: `-1` is not a time"),
        (json!(1), "0.5\nlater\n", "line 2: not a duration"),
        (json!(1), "start\n", "there are no times"),
        (json!(1), "", "there are no times"),
    ] {
        let message = read(json!({"replay": {"file": "a.csv", "column": column}}), text).expect_err(problem);
        assert!(message.contains(problem) && message.contains("`a.csv`"), "{message}");
    }
}

#[test]
fn what_is_no_process_is_refused_with_a_remedy() {
    for (config, problem) in [
        (json!({"poisson": {"rate": 0}}), "a rate must be more than 0"),
        (json!({"poisson": {"rate": "-5/s"}}), "cannot be negative"),
        (json!({"poisson": {"rate": 1e308}}), "more than one per nanosecond"),
        (json!({"poisson": {"rate": "many"}}), "not a rate"),
        (json!({"poisson": {}}), "missing field `rate`"),
        (json!({"poisson": {"rate": 1, "burst": 2}}), "unknown field `burst`"),
        (json!({"constant": {"rate": "0/m"}}), "a rate must be more than 0"),
        (json!({"renewal": {"gap": 0}}), "at least 1ns"),
        (json!({"renewal": {"gap": {"exponential": {}}}}), "`gap`: `exponential` takes"),
        (json!({"erlang": {"shape": 0, "rate": 1}}), "`shape` must be at least 1"),
        (json!({"batch": {"rate": 1, "size": 0}}), "`size` must be at least 1"),
        (json!({"mmpp": {"rates": [], "mean_stay": "1s"}}), "at least one rate"),
        (json!({"mmpp": {"rates": [0, 0], "mean_stay": "1s"}}), "nothing is ever sent"),
        (json!({"mmpp": {"rates": [1, 2], "mean_stay": ["1s"]}}), "2 rates for 1 times"),
        (json!({"mmpp": {"rates": [1, 2], "mean_stay": "0s"}}), "must be more than 0"),
        (json!({"mmpp": {"rates": ["1/h", 0], "mean_stay": "1ns"}}), "too short"),
        (json!({"steps": []}), "nothing is ever sent"),
        (
            json!({"steps": [{"at": "5s", "rate": 1}, {"at": "5s", "rate": 2}]}),
            "in the order of time",
        ),
        (json!({"ramp": {"from": 0, "to": 0, "over": "1s"}}), "nothing is ever sent"),
        (json!({"ramp": {"from": 0, "to": 1, "over": 0}}), "use `steps`"),
        (
            json!({"diurnal": {"mean": 1, "amplitude": "2/s", "period": "1d"}}),
            "must not be more than `mean`",
        ),
        (
            json!({"diurnal": {"mean": 1, "amplitude": 2, "period": "1d"}}),
            "`2/s` or `2%`",
        ),
        (
            json!({"diurnal": {"mean": 1, "amplitude": "50%", "period": 0}}),
            "`period` must be more than 0",
        ),
        (json!({"replay": {"file": "missing.csv"}}), "no file `missing.csv`"),
        (json!({"closed": {"users": 0, "think": "1s"}}), "`users` must be at least 1"),
        (
            json!({"closed": {"users": 1, "think": 5}}),
            "`think`: a duration needs a unit",
        ),
        (json!({"possion": {"rate": 1}}), "unknown variant `possion`"),
    ] {
        match try_build(config.clone()) {
            Ok(arrival) => panic!("{config} became {arrival:?}"),
            Err(message) => assert!(message.contains(problem), "{config}: {message}"),
        }
    }
}

#[test]
fn first_arrivals_are_the_same_everywhere() {
    // Recorded from this implementation, so that a change of any bit on any platform shows.
    let third = |config: Value| {
        let (mut arrival, mut rng, mut now) = (try_build(config).expect("well-formed"), Rng::new(42), Time::ZERO);
        for _ in 0..3 {
            now = arrival.next(now, &mut rng).expect("more").0;
        }
        now.0
    };
    let drawn = [
        third(json!({"poisson": {"rate": "500/s"}})),
        third(json!({"erlang": {"shape": 3, "rate": "500/s"}})),
        third(json!({"mmpp": {"rates": ["500/s", "5/s"], "mean_stay": "1s"}})),
        third(json!({"ramp": {"from": 0, "to": "500/s", "over": "1s"}})),
        third(json!({"diurnal": {"mean": "500/s", "amplitude": "90%", "period": "1s"}})),
    ];
    assert_eq!(drawn, [6_062_086, 4_371_409, 469_968_728, 110_109_816, 7_692_804]);
}
