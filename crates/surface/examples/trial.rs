#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::print_stdout)]
use std::time::Instant;
use surface::*;
use volume::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n: Vec<usize> = a[2].split('x').map(|s| s.parse().unwrap()).collect();
    let d = std::fs::read(&a[1]).unwrap();
    let g = ImageGeometry::new([n[0], n[1], n[2]], [1.5; 3], space::Point::ZERO, glam::DMat3::IDENTITY).unwrap();
    let v8 = Volume::new(g, d.clone()).unwrap();
    let v16 = v8.map(|&x| x as u16);
    for passes in [0, 16] {
        for r in 0..6 {
            let t = Instant::now();
            let s = label_surface(&v8, &Smoothing { passes, ..Default::default() }).unwrap();
            let t8 = t.elapsed().as_secs_f64();
            let nt = s.triangles.len();
            drop(s);
            let t = Instant::now();
            let s = label_surface(&v16, &Smoothing { passes, ..Default::default() }).unwrap();
            println!(
                "passes {passes} run {r}: u8 {t8:.4} u16 {:.4} s, {nt} triangles {} vertices",
                t.elapsed().as_secs_f64(),
                s.vertices.len()
            );
        }
    }
}
