//! A surface to draw on: plotters' SVG and pixels, in quarters of a pixel, in colours that adapt to light and dark.
//!
//! plotters places shapes on whole units, so a unit is a quarter of a pixel here. Colours are written as attributes, and a
//! style sheet says for each of them what it is on a dark ground: viewers without style sheets show the light picture.

use std::fmt::Write;

use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::chart::bitmap;

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
pub const fn series(index: usize) -> Tone {
    SERIES[index % SERIES.len()]
}

/// The colours of all series on a light and on a dark ground.
pub fn series_tones() -> Vec<[String; 2]> {
    SERIES.iter().map(|tone| [hex(tone.light), hex(tone.dark)]).collect()
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
    surface: Surface<'a>,
}

enum Surface<'a> {
    Svg(DrawingArea<SVGBackend<'a>, Shift>),
    Bitmap(DrawingArea<BitMapBackend<'a>, Shift>),
}

/// A picture in both formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// As SVG.
    pub svg: String,
    /// As PNG, in the light colours.
    pub png: Vec<u8>,
}

/// Draws a picture of [`WIDTH`] by `height` pixels that shows what `title` says.
pub fn picture(height: f64, title: &str, draw: impl Fn(&Canvas<'_>)) -> Picture {
    picture_of_width(WIDTH, height, title, draw)
}

/// Draws a picture of `width` by `height` pixels that shows what `title` says.
pub fn picture_of_width(width: f64, height: f64, title: &str, draw: impl Fn(&Canvas<'_>)) -> Picture {
    let size = (units(width) as u32, units(height) as u32);
    let mut svg = String::new();
    let show = |surface: Surface<'_>| {
        let canvas = Canvas { surface };
        canvas.rectangle((0.0, 0.0), (width, height), PAPER, 1.0);
        draw(&canvas);
        canvas.present();
    };
    show(Surface::Svg(SVGBackend::with_string(&mut svg, size).into_drawing_area()));
    let mut pixels = vec![0; size.0 as usize * size.1 as usize * 3];
    bitmap::register_fonts();
    show(Surface::Bitmap(
        BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area(),
    ));
    Picture {
        svg: finish(&svg, (width, height), title),
        png: bitmap::png(&pixels, size),
    }
}

/// Puts size, title and style where plotters wrote the size in units.
fn finish(svg: &str, (width, height): (f64, f64), title: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let (wide, high) = (units(width), units(height));
    let title = escape(title);
    let dark = THEME.dark_rules("svg");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {wide} {high}\" role=\"img\" \
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
    fn show<E>(&self, element: &E)
    where
        for<'a> E: Drawable<SVGBackend<'a>> + Drawable<BitMapBackend<'a>>,
        for<'b> &'b E: PointCollection<'b, (i32, i32)>,
    {
        match &self.surface {
            Surface::Svg(area) => drawn(area.draw(element)),
            Surface::Bitmap(area) => drawn(area.draw(element)),
        }
    }

    fn present(&self) {
        match &self.surface {
            Surface::Svg(area) => drawn(area.present()),
            Surface::Bitmap(area) => drawn(area.present()),
        }
    }

    /// A line through `points`.
    pub fn line(&self, points: &[(f64, f64)], tone: Tone, width: f64, opacity: f64) {
        let style = color(tone, opacity).stroke_width(units(width) as u32);
        self.show(&PathElement::new(points.iter().copied().map(at).collect::<Vec<_>>(), style));
    }

    /// A filled rectangle.
    pub fn rectangle(&self, from: (f64, f64), to: (f64, f64), tone: Tone, opacity: f64) {
        self.show(&Rectangle::new([at(from), at(to)], color(tone, opacity).filled()));
    }

    /// A filled area with this outline.
    pub fn area(&self, outline: &[(f64, f64)], tone: Tone, opacity: f64) {
        let outline = outline.iter().copied().map(at).collect::<Vec<_>>();
        self.show(&Polygon::new(outline, color(tone, opacity).filled()));
    }

    /// A dot.
    pub fn dot(&self, centre: (f64, f64), radius: f64, tone: Tone) {
        self.show(&Circle::new(at(centre), units(radius), color(tone, 1.0).filled()));
    }

    /// The shape that tells series apart where colours do not: see [`shape`].
    pub fn marker(&self, (x, y): (f64, f64), index: usize, radius: f64, tone: Tone) {
        match shape(index, radius) {
            None => self.dot((x, y), radius, tone),
            Some(outline) => {
                let outline: Vec<(f64, f64)> = outline.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
                self.area(&outline, tone, 1.0);
            }
        }
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
        // plotters divides sizes by 1.24 on their way into SVG; in pictures they are the height of a line.
        let factor = match self.surface {
            Surface::Svg(_) => 1.24,
            Surface::Bitmap(_) => bitmap::LINE_HEIGHT,
        };
        let font = FontDesc::new(FontFamily::SansSerif, size * UNITS * factor, style).color(&color(tone, 1.0));
        let style = font.pos(Pos::new(horizontal, VPos::Center));
        // Escaped by plotters.
        self.show(&Text::new(text.to_string(), at(place), style));
    }
}

/// The outline of the marker of the series at `index` around its centre; `None` is a circle.
fn shape(index: usize, radius: f64) -> Option<Vec<(f64, f64)>> {
    let r = radius;
    Some(match index % 6 {
        0 => return None,
        1 => vec![(-r, -r), (r, -r), (r, r), (-r, r)],
        2 => vec![(0.0, -1.3 * r), (1.25 * r, r), (-1.25 * r, r)],
        3 => vec![(0.0, -1.4 * r), (1.4 * r, 0.0), (0.0, 1.4 * r), (-1.4 * r, 0.0)],
        4 => vec![(0.0, 1.3 * r), (1.25 * r, -r), (-1.25 * r, -r)],
        _ => {
            let (n, w) = (0.45 * r, 1.35 * r);
            vec![
                (-n, -w),
                (n, -w),
                (n, -n),
                (w, -n),
                (w, n),
                (n, n),
                (n, w),
                (-n, w),
                (-n, n),
                (-w, n),
                (-w, -n),
                (-n, -n),
            ]
        }
    })
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
