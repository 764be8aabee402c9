//! Pictures as PNG: letters of our own, so that they are the same everywhere, and smooth edges by drawing them twice as large.

use std::sync::Once;

use plotters::style::{FontStyle, register_font};

/// Roboto, Apache License 2.0: `vendor/README.md`.
const REGULAR: &[u8] = include_bytes!("../vendor/roboto/Roboto-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../vendor/roboto/Roboto-Bold.ttf");

/// The height of Roboto's lines over its size.
pub const LINE_HEIGHT: f64 = 2_400.0 / 2_048.0;

/// Pixels that one pixel of the file is the mean of, each way.
const SHRINK: u32 = 2;

/// Tells plotters of our letters; without them it has none.
pub fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
            assert!(
                register_font("sans-serif", style, bytes).is_ok(),
                "the fonts are part of the program"
            );
        }
    });
}

/// The file of a picture in 24-bit pixels, half as wide and high.
pub fn png(pixels: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    let (wide, high) = (width / SHRINK, height / SHRINK);
    let small = shrunk(pixels, width as usize, (wide as usize, high as usize));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, wide, high);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Charts are mostly flat: whole lines repeat.
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.set_compression(png::Compression::Default);
    // 180 dots an inch, so that it prints as large as it is shown.
    let dots_a_metre = 7_087;
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: dots_a_metre,
        yppu: dots_a_metre,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header().expect("writing into memory");
    writer.write_image_data(&small).expect("as many pixels as the header says");
    writer.finish().expect("writing into memory");
    bytes
}

/// Each pixel the mean of [`SHRINK`] by [`SHRINK`].
fn shrunk(pixels: &[u8], width: usize, (wide, high): (usize, usize)) -> Vec<u8> {
    const N: usize = SHRINK as usize;
    let mut small = Vec::with_capacity(wide * high * 3);
    let mut sums = vec![0_u16; wide * 3];
    for lines in pixels.chunks_exact(width * 3 * N) {
        sums.fill(0);
        for line in lines.chunks_exact(width * 3) {
            for (sum, group) in sums.chunks_exact_mut(3).zip(line.chunks_exact(3 * N)) {
                for pixel in group.chunks_exact(3) {
                    for (sum, &channel) in sum.iter_mut().zip(pixel) {
                        *sum += u16::from(channel);
                    }
                }
            }
        }
        const AREA: u16 = (N * N) as u16;
        small.extend(sums.iter().map(|sum| ((sum + AREA / 2) / AREA) as u8));
    }
    small
}
