//! Draws slices of the embedded patient beside the truth: `slices DIR` writes `slices-axial.png`, `slices-coronal.png` and
//! `slices-sagittal.png`. Seen as radiologists do: axial from the feet, coronal from the front, sagittal from the left.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use phantom::{Body, PhantomOptions};

/// Millimetres a pixel.
const PIXEL_MM: f64 = 0.9;
/// The window of soft tissue: least and greatest HU.
const WINDOW: [f32; 2] = [-160.0, 240.0];
/// How strong the truth's colours lie over the scan.
const OPACITY: f32 = 0.55;

/// Pixels by rows.
struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: slices DIR")?);
    std::fs::create_dir_all(&dir)?;
    let body = phantom::body(&PhantomOptions::default(), &|_| ())?;
    // LPS mm: right, down, and a point of each plane.
    let axial = |z: f64| ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, z]);
    let coronal = |y: f64| ([1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, y, 0.0]);
    let sagittal = |x: f64| ([0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [x, 0.0, 0.0]);
    for (name, cuts) in [
        ("axial", vec![axial(352.0), axial(205.0), axial(165.0)]),
        ("coronal", vec![coronal(-28.0), coronal(28.0)]),
        ("sagittal", vec![sagittal(0.0), sagittal(-58.0)]),
    ] {
        let pictures = cuts.iter().map(|(right, down, at)| cut(&body, *right, *down, *at)).collect::<Vec<_>>();
        write(&dir.join(format!("slices-{name}.png")), &pictures)?;
    }
    Ok(())
}

/// The scan, and the scan under the truth, side by side.
fn cut(body: &Body, right: [f64; 3], down: [f64; 3], at: [f64; 3]) -> Picture {
    let geometry = body.labels.geometry();
    let (size, spacing) = (geometry.size(), geometry.spacing());
    let origin = (geometry.lps_from_index() * space::Point::ZERO).to_array();
    let index = |point: [f64; 3]| -> Option<usize> {
        let [i, j, k] = [0, 1, 2].map(|a| ((point[a] - origin[a]) / spacing[a]).round());
        let inside = [i, j, k].iter().zip(size).all(|(n, size)| (0.0..size as f64).contains(n));
        inside.then_some(i as usize + size[0] * (j as usize + size[1] * k as usize))
    };
    let far = [0, 1, 2].map(|a| origin[a] + (size[a] - 1) as f64 * spacing[a]);
    // Along an axis of the patient, from its low or its high end.
    let span = |way: [f64; 3]| {
        let a = way.iter().position(|w| *w != 0.0).unwrap_or(0);
        let (from, count) = (if way[a] > 0.0 { origin[a] } else { far[a] }, ((far[a] - origin[a]) / PIXEL_MM) as usize);
        (a, from, way[a] * PIXEL_MM, count)
    };
    let ((across, left, step, width), (along, top, fall, height)) = (span(right), span(down));
    let mut pixels = Vec::with_capacity(2 * width * height);
    for y in 0..height {
        let row: Vec<(f32, Option<[u8; 3]>)> = (0..width)
            .map(|x| {
                let mut point = at;
                point[across] = left + step * x as f64;
                point[along] = top + fall * y as f64;
                let Some(n) = index(point) else { return (0.0, None) };
                let hu = f32::from(body.hounsfield.data()[n]);
                let gray = ((hu - WINDOW[0]) / (WINDOW[1] - WINDOW[0])).clamp(0.0, 1.0) * 255.0;
                (gray, body.labels.segments.get(&body.labels.voxels.data()[n]).map(|s| s.color))
            })
            .collect();
        pixels.extend(row.iter().map(|(gray, _)| [*gray as u8; 3]));
        pixels.extend(row.iter().map(|(gray, color)| match color {
            Some(color) => color.map(|c| (gray + (f32::from(c) - gray) * OPACITY) as u8),
            None => [*gray as u8; 3],
        }));
    }
    Picture { width: 2 * width, pixels }
}

/// Writes pictures of one width below each other.
fn write(path: &std::path::Path, pictures: &[Picture]) -> Result<(), Box<dyn Error>> {
    let width = pictures.first().map_or(0, |p| p.width);
    let bytes: Vec<u8> = pictures.iter().flat_map(|p| p.pixels.iter().flatten().copied()).collect();
    let height = bytes.len() / (3 * width.max(1));
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&bytes)?;
    Ok(())
}
