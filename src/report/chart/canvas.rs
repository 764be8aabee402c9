//! A surface to draw on: plotters' SVG, in quarters of a pixel, in colours that adapt to light and dark.
//!
//! plotters places shapes on whole units, so a unit is a quarter of a pixel here. Colours are written as attributes, and a
//! style sheet says for each of them what it is on a dark ground: viewers without style sheets show the light picture.

use std::fmt::Write;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units in a pixel.
const UNITS: f64 = 4.0;

/// Pixels that a chart is wide.
pub const WIDTH: f64 = 880.0;

/// A colour on a light and on a dark ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tone {
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
}

const fn tone(light: u32, dark: u32) -> Tone {
    const fn rgb(code: u32) -> (u8, u8, u8) {
        ((code >> 16) as u8, (code >> 8) as u8, code as u8)
    }
    Tone {
        light: rgb(light),
        dark: rgb(dark),
    }
}

/// What is behind everything.
pub const PAPER: Tone = tone(0xFF_FF_FE, 0x15_18_1E);
/// Text and axes.
pub const INK: Tone = tone(0x1F_24_30, 0xE8_EA_EE);
/// Text that stands back.
pub const MUTED: Tone = tone(0x5B_64_72, 0xA6_AF_BB);
/// Grid lines.
pub const GRID: Tone = tone(0xE4_E7_EC, 0x2E_35_40);
/// The time of a fault.
pub const FAULT: Tone = tone(0xF9_E3_DC, 0x45_2A_26);
/// The name of a fault.
pub const FAULT_INK: Tone = tone(0x9C_3A_14, 0xFF_B0_94);
/// What the measures leave out.
pub const WARMUP: Tone = tone(0xF1_F3_F6, 0x20_25_2D);

/// Series: the colours of Okabe and Ito, which people with any colour vision tell apart, a little darkened where they
/// would be faint on white, and lightened on a dark ground.
const SERIES: [Tone; 8] = [
    tone(0x00_72_B2, 0x4D_AE_F0),
    tone(0xD5_5E_00, 0xFF_8F_4A),
    tone(0x00_9E_73, 0x2F_CF_A0),
    tone(0xB8_55_8E, 0xE8_9A_C7),
    tone(0xC9_8A_00, 0xF2_BE_4A),
    tone(0x3F_A7_DE, 0x9A_D8_FF),
    tone(0x7A_5C_3E, 0xC9_A6_84),
    tone(0x6B_72_80, 0xB4_BC_C8),
];

/// The colour of the series at `index`.
pub fn series(index: usize) -> Tone {
    SERIES[index % SERIES.len()]
}

/// How a theme names its style rules.
pub struct Theme;

/// The rules for colours.
pub const THEME: Theme = Theme;

impl Theme {
    /// The rules that turn the colours of charts below `selector` into those on a dark ground.
    pub fn dark_rules(&self, selector: &str) -> String {
        let mut rules = String::new();
        for tone in [PAPER, INK, MUTED, GRID, FAULT, FAULT_INK, WARMUP].iter().chain(&SERIES) {
            let (light, dark) = (hex(tone.light), hex(tone.dark));
            let _ = write!(
                rules,
                "{selector} [fill=\"{light}\"]{{fill:{dark}}}{selector} [stroke=\"{light}\"]{{stroke:{dark}}}"
            );
        }
        rules
    }
}

fn hex((red, green, blue): (u8, u8, u8)) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Which part of a text is at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// It is centred there.
    Middle,
    /// It ends there.
    End,
}

/// How heavy a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Normal.
    Plain,
    /// Bold.
    Strong,
}

/// The surface. Places are in pixels from the top left.
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a picture of [`WIDTH`] by `height` pixels that shows what `title` says.
pub fn picture(height: f64, title: &str, draw: impl FnOnce(&Canvas<'_>)) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (units(WIDTH) as u32, units(height) as u32)).into_drawing_area();
        let canvas = Canvas { area };
        canvas.rectangle((0.0, 0.0), (WIDTH, height), PAPER, 1.0);
        draw(&canvas);
        drawn(canvas.area.present());
    }
    finish(&svg, height, title)
}

/// Puts size, title and style where plotters wrote the size in units.
fn finish(svg: &str, height: f64, title: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let (wide, high) = (units(WIDTH), units(height));
    let title = escape(title);
    let dark = THEME.dark_rules("svg");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {wide} {high}\" role=\"img\" \
         aria-label=\"{title}\">\n<title>{title}</title>\n<style>@media (prefers-color-scheme:dark){{{dark}}}</style>{body}"
    )
}

/// `text` as the content of an element or an attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

fn at((x, y): (f64, f64)) -> (i32, i32) {
    (units(x), units(y))
}

/// What plotters says of drawing into a string.
fn drawn<E: std::fmt::Debug>(result: Result<(), E>) {
    result.expect("drawing into memory");
}

impl Canvas<'_> {
    /// A line through `points`.
    pub fn line(&self, points: &[(f64, f64)], tone: Tone, width: f64, opacity: f64) {
        let style = color(tone, opacity).stroke_width(units(width) as u32);
        let path = PathElement::new(points.iter().copied().map(at).collect::<Vec<_>>(), style);
        drawn(self.area.draw(&path));
    }

    /// A filled rectangle.
    pub fn rectangle(&self, from: (f64, f64), to: (f64, f64), tone: Tone, opacity: f64) {
        drawn(
            self.area
                .draw(&Rectangle::new([at(from), at(to)], color(tone, opacity).filled())),
        );
    }

    /// A filled area with this outline.
    pub fn area(&self, outline: &[(f64, f64)], tone: Tone, opacity: f64) {
        let outline = outline.iter().copied().map(at).collect::<Vec<_>>();
        drawn(self.area.draw(&Polygon::new(outline, color(tone, opacity).filled())));
    }

    /// A dot.
    pub fn dot(&self, centre: (f64, f64), radius: f64, tone: Tone) {
        drawn(
            self.area
                .draw(&Circle::new(at(centre), units(radius), color(tone, 1.0).filled())),
        );
    }

    /// One line of text, vertically centred at its place.
    pub fn text(&self, place: (f64, f64), text: &str, size: f64, tone: Tone, anchor: Anchor, weight: Weight) {
        let style = match weight {
            Weight::Plain => FontStyle::Normal,
            Weight::Strong => FontStyle::Bold,
        };
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // plotters divides sizes by 1.24 on their way into SVG.
        let font = FontDesc::new(FontFamily::SansSerif, size * UNITS * 1.24, style).color(&color(tone, 1.0));
        // Escaped by plotters.
        drawn(self.area.draw(&Text::new(
            text.to_string(),
            at(place),
            font.pos(Pos::new(horizontal, VPos::Center)),
        )));
    }
}

fn color(
    Tone {
        light: (red, green, blue),
        ..
    }: Tone,
    opacity: f64,
) -> RGBAColor {
    RGBColor(red, green, blue).mix(opacity)
}

/// About how many pixels a text is wide: sans-serif faces take 0.56 of their size a letter on average.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.56
}
