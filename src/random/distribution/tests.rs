//! Distributions against formulas, against `rand_distr`, and against their own bits.

use proptest::prelude::*;
use rand_distr::Distribution as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use serde_json::{Value, json};

use super::*;
use crate::random::Key;

fn no_file(path: &str) -> Result<String, String> {
    Err(format!("no file `{path}`"))
}

fn try_build(config: Value, unit: Unit) -> Result<Distribution, String> {
    let config: DistributionConfig = serde_json::from_value(config).map_err(|error| error.to_string())?;
    config.build(unit, &mut no_file)
}

fn build(config: Value) -> Distribution {
    try_build(config.clone(), Unit::Duration).unwrap_or_else(|problem| panic!("{config}: {problem}"))
}

/// `n` variates, each with a key of its own, as the model draws them.
fn samples(distribution: &Distribution, n: u64) -> Vec<f64> {
    (0..n).map(|id| distribution.sample(&mut Key(11).with(id).draws())).collect()
}

fn close(a: f64, b: f64, relative: f64) {
    assert!((a - b).abs() <= relative * b.abs(), "{a} is not {b}");
}

#[test]
fn samples_have_the_moments_of_the_formulas() {
    let configs = [
        json!("5ms"),
        json!({"constant": "5ms"}),
        json!({"exponential": {"mean": "4ms"}}),
        json!({"lognormal": {"mu": -5.3, "sigma": 0.5}}),
        json!({"lognormal": {"mean": "5ms", "cv": 1.0}}),
        json!({"gamma": {"shape": 0.4, "scale": "5ms"}}),
        json!({"gamma": {"mean": "5ms", "cv": 0.5}}),
        json!({"erlang": {"shape": 3, "mean": "5ms"}}),
        json!({"erlang": {"shape": 40, "mean": "5ms"}}),
        json!({"weibull": {"shape": 0.8, "scale": "5ms"}}),
        json!({"weibull": {"mean": "5ms", "cv": 0.3}}),
        json!({"pareto": {"shape": 6, "scale": "5ms"}}),
        json!({"uniform": {"min": "1ms", "max": "9ms"}}),
        json!({"normal": {"mean": "5ms", "stddev": "1ms"}}),
        json!({"normal": {"mean": "1ms", "stddev": "2ms"}}),
        json!({"normal": {"mean": 0, "stddev": "2ms"}}),
        json!({"bimodal": {"share": "2%", "fast": "3ms", "slow": "200ms"}}),
        json!({"hyperexponential": {"weights": [3, 1], "means": ["1ms", "9ms"]}}),
        json!({"hyperexponential": {"mean": "5ms", "cv": 2}}),
        json!({"mixture": [{"weight": 3, "of": {"exponential": {"mean": "1ms"}}}, {"weight": 1, "of": "20ms"}]}),
        json!({"empirical": {"values": ["1ms", "7ms", "2ms"], "weights": [1, 2, 3]}}),
    ];
    let n = 200_000;
    for config in configs {
        let distribution = build(config.clone());
        let values = samples(&distribution, n);
        assert!(values.iter().all(|&value| value >= 0.0 && value.is_finite()), "{config}");
        let moment = |power: i32| {
            values
                .iter()
                .map(|value| libm::pow(value - distribution.mean(), f64::from(power)))
                .sum::<f64>()
                / n as f64
        };
        let variance = distribution.variance();
        // Five standard errors of each estimate.
        let mean_error = 5.0 * (variance / n as f64).sqrt() + 1e-6;
        assert!(
            moment(1).abs() <= mean_error,
            "mean of {config}: off by {} of {mean_error}",
            moment(1)
        );
        let variance_error = 5.0 * ((moment(4) - variance * variance).max(0.0) / n as f64).sqrt() + 1e-6;
        assert!(
            (moment(2) - variance).abs() <= variance_error,
            "variance of {config}: {} is not {variance}",
            moment(2)
        );
    }
}

#[test]
fn mean_and_cv_are_what_was_asked_for() {
    for (name, cv) in [
        ("lognormal", 2.0),
        ("gamma", 0.5),
        ("gamma", 3.0),
        ("erlang", 0.5),
        ("weibull", 0.2),
        ("weibull", 4.0),
        ("pareto", 0.4),
        ("uniform", 0.5),
        ("hyperexponential", 1.0),
        ("hyperexponential", 10.0),
        // So far above 0 that truncation is nothing.
        ("normal", 0.05),
    ] {
        let distribution = build(json!({name: {"mean": "5ms", "cv": cv}}));
        close(distribution.mean(), 5e6, 1e-9);
        close(distribution.cv(), cv, 1e-8);
    }
}

#[test]
fn fitted_percentiles_are_reproduced() {
    let n = 100_000;
    for (name, low, high) in [
        ("lognormal", ("p50", 0.5, 5.0), ("p99", 0.99, 60.0)),
        ("lognormal", ("p10", 0.1, 1.0), ("p99.9", 0.999, 300.0)),
        ("weibull", ("p50", 0.5, 5.0), ("p99", 0.99, 60.0)),
        ("gamma", ("p50", 0.5, 5.0), ("p99", 0.99, 60.0)),
        ("gamma", ("p50", 0.5, 5.0), ("p95", 0.95, 6.0)),
        ("pareto", ("p50", 0.5, 5.0), ("p99", 0.99, 60.0)),
        ("uniform", ("p10", 0.1, 2.0), ("p90", 0.9, 9.0)),
        ("normal", ("p50", 0.5, 5.0), ("p99", 0.99, 8.0)),
        // Truncation matters: the mean lies within one standard deviation of 0.
        ("normal", ("p50", 0.5, 5.0), ("p99", 0.99, 16.0)),
        ("exponential", ("p50", 0.5, 5.0), ("p50", 0.5, 5.0)),
    ] {
        let distribution = build(json!({name: {low.0: format!("{}ms", low.2), high.0: format!("{}ms", high.2)}}));
        let values = samples(&distribution, n);
        for (key, share, millis) in [low, high] {
            let below = values.iter().filter(|&&value| value <= millis * 1e6).count() as f64 / n as f64;
            let error = 4.5 * (share * (1.0 - share) / n as f64).sqrt();
            assert!((below - share).abs() < error, "{name} {key}: {below}");
        }
    }
}

/// The two-sample Kolmogorov-Smirnov statistic over its critical value for a significance of 0.001.
fn kolmogorov_smirnov(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        if a[i] <= b[j] {
            i += 1;
        } else {
            j += 1;
        }
        largest = largest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    // c(0.001) = sqrt(-ln(0.0005) / 2): Smirnov 1948.
    let (n, m) = (a.len() as f64, b.len() as f64);
    largest / (1.949 * ((n + m) / (n * m)).sqrt())
}

#[test]
fn samples_are_distributed_as_those_of_rand_distr() {
    fn check<D: rand_distr::Distribution<f64>>(config: Value, yardstick: D) {
        let n = 100_000;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let theirs: Vec<f64> = (0..n).map(|_| yardstick.sample(&mut rng)).collect();
        let ours = samples(&build(config.clone()), n);
        let statistic = kolmogorov_smirnov(ours, theirs);
        assert!(statistic < 1.0, "{config}: {statistic} of the critical value");
    }
    check(
        json!({"exponential": {"mean": "4ms"}}),
        rand_distr::Exp::new(1.0 / 4e6).expect("a rate"),
    );
    let mu = -5.3 + libm::log(1e9);
    check(
        json!({"lognormal": {"mu": -5.3, "sigma": 1.2}}),
        rand_distr::LogNormal::new(mu, 1.2).expect("a sigma"),
    );
    for shape in [0.3, 1.0, 2.5, 30.0] {
        check(
            json!({"gamma": {"shape": shape, "scale": "5ms"}}),
            rand_distr::Gamma::new(shape, 5e6).expect("a shape"),
        );
    }
    for shape in [1, 4, 12, 13, 50] {
        let gamma = rand_distr::Gamma::new(f64::from(shape), 5e6 / f64::from(shape)).expect("a shape");
        check(json!({"erlang": {"shape": shape, "mean": "5ms"}}), gamma);
    }
    check(
        json!({"weibull": {"shape": 0.7, "scale": "5ms"}}),
        rand_distr::Weibull::new(5e6, 0.7).expect("a shape"),
    );
    check(
        json!({"pareto": {"shape": 1.5, "scale": "5ms"}}),
        rand_distr::Pareto::new(5e6, 1.5).expect("a shape"),
    );
    check(
        json!({"normal": {"mean": "50ms", "stddev": "5ms"}}),
        rand_distr::Normal::new(50e6, 5e6).expect("a deviation"),
    );
}

#[test]
fn a_truncated_normal_is_a_normal_without_its_negatives() {
    let normal = rand_distr::Normal::new(2e6, 3e6).expect("a deviation");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
    let theirs: Vec<f64> = (0..100_000)
        .map(|_| normal.sample(&mut rng))
        .filter(|&value| value >= 0.0)
        .collect();
    let ours = samples(&build(json!({"normal": {"mean": "2ms", "stddev": "3ms"}})), 100_000);
    assert!(kolmogorov_smirnov(ours, theirs) < 1.0);
}

#[test]
fn a_larger_parameter_draws_larger_values() {
    for (small, large) in [
        (json!("5ms"), json!("6ms")),
        (
            json!({"exponential": {"mean": "5ms"}}),
            json!({"exponential": {"mean": "6ms"}}),
        ),
        (
            json!({"lognormal": {"mean": "5ms", "cv": 1}}),
            json!({"lognormal": {"mean": "6ms", "cv": 1}}),
        ),
        (
            json!({"weibull": {"mean": "5ms", "cv": 1}}),
            json!({"weibull": {"mean": "6ms", "cv": 1}}),
        ),
        (
            json!({"pareto": {"mean": "5ms", "cv": 1}}),
            json!({"pareto": {"mean": "6ms", "cv": 1}}),
        ),
        (
            json!({"gamma": {"mean": "5ms", "cv": 2}}),
            json!({"gamma": {"mean": "6ms", "cv": 2}}),
        ),
        (
            json!({"normal": {"mean": "5ms", "cv": 1}}),
            json!({"normal": {"mean": "6ms", "cv": 1}}),
        ),
    ] {
        let (small, large) = (samples(&build(small), 1000), samples(&build(large), 1000));
        assert!(small.iter().zip(&large).all(|(small, large)| small < large));
    }
}

#[test]
fn first_draws_are_the_same_everywhere() {
    // Recorded from this implementation, so that a change of any bit on any platform shows; what they should be is checked by
    // the tests above.
    let draw = |config: Value| build(config).sample(&mut Key(42).draws()).to_bits();
    let drawn = [
        draw(json!({"exponential": {"mean": "4ms"}})),
        draw(json!({"lognormal": {"p50": "5ms", "p99": "60ms"}})),
        draw(json!({"gamma": {"p50": "5ms", "p99": "60ms"}})),
        draw(json!({"gamma": {"mean": "5ms", "cv": 0.5}})),
        draw(json!({"erlang": {"shape": 4, "mean": "5ms"}})),
        draw(json!({"weibull": {"mean": "5ms", "cv": 2}})),
        draw(json!({"pareto": {"shape": 1.5, "scale": "5ms"}})),
        draw(json!({"uniform": {"min": "1ms", "max": "9ms"}})),
        draw(json!({"normal": {"mean": "5ms", "stddev": "3ms"}})),
        draw(json!({"hyperexponential": {"mean": "5ms", "cv": 2}})),
    ];
    let recorded: [u64; 10] = [
        0x4147_0EC2_0DFE_7A4D,
        0x4162_BD83_19E5_0954,
        0x4161_3D12_E38B_3E24,
        0x4157_EAE2_7453_8BE7,
        0x4149_AC53_414F_A573,
        0x413A_2F01_4AD2_4706,
        0x415F_9041_392B_3FB2,
        0x415B_D169_3012_E26F,
        0x415C_9291_F14A_9BF2,
        0x4133_75B6_9530_5C8F,
    ];
    assert_eq!(drawn, recorded, "{drawn:#x?}");
}

#[test]
fn sizes_are_in_bytes() {
    let draw = |config| try_build(config, Unit::Size).map(|distribution| distribution.mean());
    assert_eq!(draw(json!(512)), Ok(512.0));
    assert_eq!(draw(json!("10KiB")), Ok(10240.0));
    assert_eq!(draw(json!({"exponential": {"mean": "1kB"}})), Ok(1000.0));
    assert!(draw(json!("5ms")).expect_err("a duration").contains("expected a size"));
    assert!(
        try_build(json!(512), Unit::Duration)
            .expect_err("no unit")
            .contains("`512ms`")
    );
}

#[test]
fn files_hold_values_and_weights() {
    let config: DistributionConfig = serde_json::from_value(json!({"empirical": {"file": "times.csv"}})).expect("well-formed");
    let read = |text: &str| config.build(Unit::Duration, &mut |_| Ok(text.to_string()));
    let distribution = read("# seconds, weight\n0.001, 1\n\n5ms, 3\n").expect("well-formed");
    assert_eq!(distribution.mean(), 4e6);
    for (text, problem) in [
        ("", "at least one value"),
        ("0.001\nfast\n", "`times.csv`: line 2"),
        ("0.001, heavy\n", "not a weight: `heavy`"),
        ("-1\n", "cannot be negative"),
        ("1, -1\n", "a weight must be from 0"),
        ("1, 0\n", "more than 0"),
    ] {
        let message = read(text).expect_err(text);
        assert!(message.contains(problem), "{message}");
    }
    assert_eq!(config.check(Unit::Duration), Ok(()));
    assert_eq!(
        config.build(Unit::Duration, &mut no_file),
        Err("no file `times.csv`".to_string())
    );
}

#[test]
fn what_no_distribution_fits_is_refused_with_a_remedy() {
    for (config, problem) in [
        (
            json!({"lognormal": {"p50": "60ms", "p99": "5ms"}}),
            "`p50` must be less than `p99`",
        ),
        (json!({"lognormal": {"p50": "5ms", "p99": "5ms"}}), "write the value alone"),
        (json!({"lognormal": {"p50": "5ms"}}), "two percentiles such as"),
        (
            json!({"lognormal": {"p50": "5ms", "p90": "6ms", "p99": "7ms"}}),
            "two percentiles such as",
        ),
        (
            json!({"lognormal": {"p50": "5ms", "p99": "60ms", "mean": "9ms"}}),
            "takes either",
        ),
        (json!({"lognormal": {}}), "takes either"),
        (json!({"lognormal": {"mean": "5ms", "cv": -1}}), "`cv` must be from 0"),
        (json!({"lognormal": {"mu": 1e308, "sigma": 1}}), "`mu` must be from"),
        (json!({"lognormal": {"p0": "5ms", "p99": "60ms"}}), "unknown field `p0`"),
        (json!({"lognormal": {"p50": 0, "p99": "60ms"}}), "`p50` must be more than 0"),
        (json!({"exponential": {"mean": "0s"}}), "`mean` must be more than 0"),
        (json!({"exponential": {"mean": "1KiB"}}), "expected a duration"),
        (json!({"exponential": {"mean": 5}}), "needs a unit"),
        (json!({"exponential": {"mean": "-5ms"}}), "cannot be negative"),
        (
            json!({"exponential": {"maen": "5ms"}}),
            "unknown field `maen`, expected `mean`",
        ),
        (
            json!({"exponentail": {"mean": "5ms"}}),
            "unknown variant `exponentail`, expected one of",
        ),
        (
            json!({"exponential": {"mean": "5ms"}, "constant": "5ms"}),
            "`constant` is a second one",
        ),
        (json!({"gamma": {"p50": "5ms", "p99": "5.00001ms"}}), "no gamma distribution"),
        (json!({"gamma": {"shape": -2, "scale": "5ms"}}), "`shape` must be from"),
        (json!({"weibull": {"p50": "1ns", "p51": "1h"}}), "try `lognormal`"),
        (json!({"normal": {"p50": "5ms", "p99": "60ms"}}), "try `lognormal`"),
        (json!({"uniform": {"p50": "5ms", "p90": "60ms"}}), "begin below 0"),
        (json!({"uniform": {"min": "5ms", "max": "5ms"}}), "less than `max`"),
        (json!({"uniform": {"mean": "5ms", "cv": 1}}), "`cv` must be from 0 to 0.577"),
        (json!({"erlang": {"mean": "5ms", "cv": 0.6}}), "use `gamma`"),
        (json!({"erlang": {"mean": "5ms", "shape": 0}}), "at least 1"),
        (json!({"erlang": {"shape": 2}}), "takes `mean`"),
        (
            json!({"bimodal": {"share": "120%", "fast": "3ms", "slow": "4ms"}}),
            "from 0% to 100%",
        ),
        (json!({"bimodal": {"share": "2%", "fast": "3ms"}}), "missing field `slow`"),
        (
            json!({"bimodal": {"share": "2%", "fast": "5ms", "slow": "4ms"}}),
            "must not be more",
        ),
        (
            json!({"hyperexponential": {"weights": [1], "means": ["1ms", "2ms"]}}),
            "1 weights for 2 means",
        ),
        (json!({"hyperexponential": {"weights": [], "means": []}}), "more than 0"),
        (json!({"hyperexponential": {"mean": "5ms", "cv": 0.5}}), "`cv` must be from 1"),
        (json!({"mixture": []}), "at least one part"),
        (
            json!({"mixture": [{"weight": 1, "of": {"exponential": {}}}]}),
            "`exponential` takes either",
        ),
        (json!({"empirical": {"values": []}}), "at least one value"),
        (
            json!({"empirical": {"values": ["5ms"], "weights": [1, 2]}}),
            "2 weights for 1 values",
        ),
        (json!({"empirical": {"values": ["5ms"], "file": "x"}}), "takes either"),
        (json!(null), "expected a duration such as"),
        (json!(["5ms"]), "expected a duration such as"),
        (json!({}), "expected"),
        (json!({"pareto": {"shape": 0, "scale": "5ms"}}), "`shape` must be from"),
    ] {
        match try_build(config.clone(), Unit::Duration) {
            Ok(distribution) => panic!("{config} became {distribution:?}"),
            Err(message) => assert!(message.contains(problem), "{config}: {message}"),
        }
    }
}

/// Any number of magnitudes, zero and negative ones among them.
fn any_number() -> impl Strategy<Value = f64> {
    let log_uniform = (-12.0..20.0_f64).prop_map(|power| libm::pow(10.0, power));
    prop_oneof![8 => log_uniform, 1 => Just(0.0), 1 => -1e3..0.0_f64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_can_be_built_can_be_drawn_from(
        name in prop::sample::select(vec!["exponential", "lognormal", "gamma", "erlang", "weibull", "pareto", "uniform", "normal", "hyperexponential"]),
        keys in prop::sample::select(vec![
            ["mean", "cv"], ["shape", "scale"], ["mu", "sigma"], ["min", "max"], ["mean", "stddev"], ["mean", "shape"],
            ["p50", "p99"], ["p0.001", "p99.999"], ["p50", "p50.01"], ["p99", "p99.9"], ["p1", "p2"],
        ]),
        values in [any_number(), any_number()],
    ) {
        let is_quantity = |key: &str| key.starts_with('p') || ["mean", "scale", "min", "max", "stddev"].contains(&key);
        let value = |key: &str, value: f64| match is_quantity(key) {
            true => json!(format!("{value}ns")),
            false if name == "erlang" => json!(value as u32),
            false => json!(value),
        };
        let config = json!({name: {keys[0]: value(keys[0], values[0]), keys[1]: value(keys[1], values[1])}});
        if let Ok(distribution) = try_build(config.clone(), Unit::Duration) {
            let (mean, variance) = (distribution.mean(), distribution.variance());
            prop_assert!(mean >= 0.0 && variance >= 0.0, "{config}: mean {mean}, variance {variance}");
            for value in samples(&distribution, 200) {
                prop_assert!(value >= 0.0 && value.is_finite(), "{config}: {value}");
            }
        }
    }
}

#[test]
fn the_schema_names_every_distribution_and_its_percentiles() {
    let schema = schemars::schema_for!(DistributionConfig).to_value();
    let variants = schema["$defs"]["Named"]["oneOf"].as_array().expect("a list of variants");
    assert_eq!(variants.len(), 13);
    let lognormal = &schema["$defs"]["Lognormal"];
    assert_eq!(lognormal["additionalProperties"], json!(false));
    assert!(lognormal["patternProperties"].get(r"^p[0-9]{1,2}(\.[0-9]+)?$").is_some());
    assert!(lognormal["properties"].get("sigma").is_some());
}
