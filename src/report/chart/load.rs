//! Load per endpoint: each endpoint's share of its service's requests, against an even share, by variant.
//!
//! A strip per service and variant; a cell per endpoint, in their order. Readable for three endpoints and for a hundred:
//! where there are more than fit, neighbours share a cell, which shows the one furthest from the even share.

use crate::report::chart::canvas::{Anchor, Canvas, GRID, INK, MUTED, Picture, Tone, WIDTH, Weight, picture, series, text_width};
use crate::report::chart::compare::shortened;
use crate::report::chart::timeline::{head, head_height};
use crate::report::format;
use crate::report::summary::{ServiceSummary, Summary};

/// Strips of a picture; the services with the least even load have them.
const STRIPS_MAX: usize = 48;
/// Cells of a picture.
const CELLS_MAX: usize = 3_000;
const STRIP: f64 = 20.0;
const SERVICE: f64 = 30.0;
const LEFT: f64 = 196.0;
const RIGHT: f64 = WIDTH - 100.0;

/// The chart; `None` where no service has two endpoints with requests.
pub fn draw(summary: &Summary) -> Option<(String, Picture)> {
    let mut services = services(summary);
    let strips = summary.variants.len();
    let shown = (STRIPS_MAX / strips.max(1)).max(1);
    let all = services.len();
    if all == 0 {
        return None;
    }
    if all > shown {
        services.sort_by(|a, b| imbalance(summary, b).total_cmp(&imbalance(summary, a)));
        services.truncate(shown);
    }
    let cells = (CELLS_MAX / (services.len() * strips)).max(8);
    let title = "Load per endpoint".to_string();
    let words = if all > shown {
        format!("requests of each endpoint against an even share; the {shown} of {all} services with the least even load")
    } else {
        "requests of each endpoint against an even share of its service".to_string()
    };
    let top = head_height(&[]) + 22.0;
    let height = top + services.len() as f64 * (SERVICE + strips as f64 * STRIP) + 16.0;
    let svg = picture(height, &title, |canvas| {
        head(canvas, &title, &words, &[]);
        scale(canvas, top - 24.0);
        let mut y = top;
        for &service in &services {
            canvas.text((24.0, y + 16.0), service, 13.0, INK, Anchor::Start, Weight::Strong);
            y += SERVICE;
            for variant in &summary.variants {
                if let Some(figures) = variant.services.get(service) {
                    canvas.text(
                        (34.0, y + STRIP / 2.0),
                        &shortened(&variant.name, 150.0),
                        11.0,
                        MUTED,
                        Anchor::Start,
                        Weight::Plain,
                    );
                    strip(canvas, y, figures, cells);
                }
                y += STRIP;
            }
        }
    });
    Some((title, svg))
}

/// The services that have a load to spread, in their order.
fn services(summary: &Summary) -> Vec<&str> {
    let Some(first) = summary.variants.first() else {
        return Vec::new();
    };
    let spread = |service: &ServiceSummary| service.endpoints.len() > 1 && service.requests_total.value.unwrap_or(0.0) > 0.0;
    first
        .services
        .iter()
        .filter(|(_, service)| spread(service))
        .map(|(name, _)| name)
        .collect()
}

/// The services that have a load to spread, those with the least even one first.
pub fn services_by_imbalance(summary: &Summary) -> Vec<&str> {
    let mut services = services(summary);
    services.sort_by(|a, b| imbalance(summary, b).total_cmp(&imbalance(summary, a)));
    services
}

fn imbalance(summary: &Summary, service: &str) -> f64 {
    let of_variants = summary
        .variants
        .iter()
        .filter_map(|variant| variant.services.get(service)?.load_max_ratio.value);
    of_variants.fold(0.0, f64::max)
}

fn strip(canvas: &Canvas<'_>, y: f64, service: &ServiceSummary, cells_max: usize) {
    let requests: Vec<f64> = service
        .endpoints
        .iter()
        .map(|(_, e)| e.requests_total.value.unwrap_or(0.0))
        .collect();
    let even = requests.iter().sum::<f64>() / requests.len().max(1) as f64;
    if even <= 0.0 {
        canvas.text(
            (LEFT, y + STRIP / 2.0),
            "no requests",
            11.0,
            MUTED,
            Anchor::Start,
            Weight::Plain,
        );
        return;
    }
    let per_cell = requests.len().div_ceil(cells_max);
    let loads: Vec<f64> = requests.chunks(per_cell).map(|cell| furthest(cell, even)).collect();
    let width = (RIGHT - LEFT) / loads.len() as f64;
    let gap = if width > 6.0 { 1.0 } else { 0.0 };
    canvas.rectangle((LEFT, y + 1.0), (RIGHT, y + STRIP - 2.0), GRID, 0.55);
    for (cell, &load) in loads.iter().enumerate() {
        // Whole pixels leave no seams.
        let edge = |cell: usize| (LEFT + width * cell as f64).round();
        let (from, to) = (edge(cell), edge(cell + 1) - gap);
        let (tone, opacity) = shade(load);
        if opacity > 0.02 {
            canvas.rectangle((from, y + 1.0), (to, y + STRIP - 2.0), tone, opacity);
        }
        let label = format!("{load:.2}×");
        if width > text_width(&label, 10.0) + 8.0 {
            canvas.text(
                ((from + to) / 2.0, y + STRIP / 2.0),
                &label,
                10.0,
                INK,
                Anchor::Middle,
                Weight::Plain,
            );
        }
    }
    let most = format!(
        "max {}×",
        service
            .load_max_ratio
            .value
            .map_or_else(String::new, |most| format::digits(most, 3))
    );
    canvas.text(
        (RIGHT + 10.0, y + STRIP / 2.0),
        &most,
        11.0,
        MUTED,
        Anchor::Start,
        Weight::Plain,
    );
}

/// Of neighbours in one cell, the load that is furthest from the even share.
fn furthest(requests: &[f64], even: f64) -> f64 {
    let loads = requests.iter().map(|requests| requests / even);
    loads.fold(1.0, |far, load| {
        if (load - 1.0_f64).abs() > (far - 1.0_f64).abs() {
            load
        } else {
            far
        }
    })
}

/// Blue below the even share, red above; full at nothing and at twice the share.
pub fn shade(load: f64) -> (Tone, f64) {
    let tone = if load < 1.0 { series(0) } else { series(1) };
    (tone, ((load - 1.0).abs()).min(1.0) * 0.85)
}

/// What the shades mean.
pub fn scale(canvas: &Canvas<'_>, y: f64) {
    const STEPS: usize = 21;
    let (left, width) = (LEFT, 9.0);
    for step in 0..STEPS {
        let load = 2.0 * step as f64 / (STEPS - 1) as f64;
        let (tone, opacity) = shade(load);
        let from = left + width * step as f64;
        canvas.rectangle((from, y), (from + width, y + 9.0), GRID, 0.55);
        canvas.rectangle((from, y), (from + width, y + 9.0), tone, opacity);
    }
    let right = left + width * STEPS as f64;
    canvas.text((left - 8.0, y + 5.0), "idle", 11.0, MUTED, Anchor::End, Weight::Plain);
    canvas.text(
        ((left + right) / 2.0, y + 18.0),
        "even share",
        11.0,
        MUTED,
        Anchor::Middle,
        Weight::Plain,
    );
    canvas.text(
        (right + 8.0, y + 5.0),
        "twice the even share, or more",
        11.0,
        MUTED,
        Anchor::Start,
        Weight::Plain,
    );
}
