#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::print_stdout)]
use surface::*;
use volume::*;
fn main() {
    let g = ImageGeometry::new([80, 80, 80], [1.0; 3], space::Point::ZERO, glam::DMat3::IDENTITY).unwrap();
    for n in [
        [1.0, 0.0, 1.0f64],
        [1.0, 0.0, 2.0],
        [1.0, 0.0, 3.0],
        [0.0, 1.0, 3.0],
        [3.0, 1.0, 0.0],
        [1.0, 0.0, 5.0],
        [0.3, 1.0, 3.0],
        [0.3, 0.45, 0.8],
        [0.05, 0.1, 1.0],
    ] {
        let l = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt();
        let f = |p: [f64; 3]| ((p[0] - 40.2) * n[0] + (p[1] - 40.1) * n[1] + (p[2] - 40.3) * n[2]) / l;
        let v = Volume::from_fn(g, |p| u8::from(f(p.map(|x| x as f64)) < 0.0));
        for passes in [16] {
            let s = label_surface(&v, &Smoothing { passes, ..Default::default() }).unwrap();
            let (mut max, mut sum, mut c) = (0.0f64, 0.0, 0.0);
            for p in &s.vertices {
                if p.iter().all(|x| (20.0..60.0).contains(x)) {
                    let d = f(p.map(|x| x as f64));
                    max = max.max(d.abs());
                    sum += d * d;
                    c += 1.0;
                }
            }
            println!("{n:?} passes {passes}: max {max:.3} rms {:.3}", (sum / c as f64).sqrt());
        }
    }
    {
        let d = std::fs::read("/work/scratch/surface/small.raw").unwrap();
        let g = ImageGeometry::new([222, 166, 80], [1.0; 3], space::Point::ZERO, glam::DMat3::IDENTITY).unwrap();
        let v = Volume::new(g, d).unwrap();
        let s = label_surface(&v, &Smoothing::default()).unwrap();
        let mut normals = vec![glam::Vec3::ZERO; s.vertices.len()];
        let tn = |t: &[u32; 3]| {
            let [a, b, c] = t.map(|v| glam::Vec3::from(s.vertices[v as usize]));
            (b - a).cross(c - a)
        };
        for t in &s.triangles {
            for v in t {
                normals[*v as usize] += tn(t);
            }
        }
        let mut bad = [0; 6];
        for t in &s.triangles {
            let n = tn(t);
            let m = (normals[t[0] as usize] + normals[t[1] as usize] + normals[t[2] as usize]).normalize_or_zero();
            let c = n.normalize_or_zero().dot(m);
            if c < 0.0 {
                bad[0] += 1
            }
            if c < 0.3 {
                bad[1] += 1
            }
            if c < 0.7 {
                bad[2] += 1
            }
            if n.length() < 0.1 {
                bad[3] += 1
            }
            if n.length() < 0.01 {
                bad[4] += 1
            }
        }
        println!(
            "{} triangles: cos<0 {} <.3 {} <.7 {} area<.05 {} <.005 {}",
            s.triangles.len(),
            bad[0],
            bad[1],
            bad[2],
            bad[3],
            bad[4]
        );
    }
    for r in [3.0, 5.0, 10.0, 20.0, 30.0f64] {
        let v = Volume::from_fn(g, |p| u8::from(p.iter().map(|&x| (x as f64 - 39.6).powi(2)).sum::<f64>() < r * r));
        for passes in [0, 20] {
            let s = label_surface(&v, &Smoothing { passes, ..Default::default() }).unwrap();
            let d = s.vertices.iter().map(|p| p.iter().map(|&x| (x as f64 - 39.6).powi(2)).sum::<f64>().sqrt() - r);
            println!(
                "sphere {r} passes {passes}: mean {:.3} max {:.3}",
                d.clone().sum::<f64>() / s.vertices.len() as f64,
                d.map(|x| x.abs()).fold(0.0, f64::max)
            );
        }
    }
}
