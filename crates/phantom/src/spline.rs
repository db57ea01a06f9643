//! Smooth curves through given points and tables.

use glam::Vec3;

/// Value at `x` of a smooth curve through `(x, y)` keys in rising order of x; constant beyond the ends.
///
/// Cubic Hermite with slopes from the neighbours, limited so that no key is overshot (Fritsch and Carlson 1980).
pub(crate) fn interpolate(keys: &[(f32, f32)], x: f32) -> f32 {
    let (Some(&(first, low)), Some(&(last, high))) = (keys.first(), keys.last()) else { return 0.0 };
    if x <= first {
        return low;
    }
    if x >= last {
        return high;
    }
    let i = keys.partition_point(|&(k, _)| k <= x) - 1;
    let secant = |i: usize| (keys[i + 1].1 - keys[i].1) / (keys[i + 1].0 - keys[i].0);
    let slope = |i: usize| {
        if i == 0 || i + 1 == keys.len() {
            return secant(i.min(keys.len() - 2));
        }
        let (before, after) = (secant(i - 1), secant(i));
        if before * after <= 0.0 { 0.0 } else { 2.0 * before * after / (before + after) }
    };
    let width = keys[i + 1].0 - keys[i].0;
    let t = (x - keys[i].0) / width;
    let (a, b) = (keys[i].1, keys[i + 1].1);
    let (m, n) = (slope(i) * width, slope(i + 1) * width);
    let t2 = t * t;
    let t3 = t2 * t;
    a * (2.0 * t3 - 3.0 * t2 + 1.0) + m * (t3 - 2.0 * t2 + t) + b * (3.0 * t2 - 2.0 * t3) + n * (t3 - t2)
}

/// Points about `step_mm` apart on a centripetal Catmull–Rom curve (Yuksel 2011), with a value carried along.
pub(crate) fn curve(stations: &[(Vec3, f32)], step_mm: f32) -> Vec<(Vec3, f32)> {
    let n = stations.len();
    let mut points = Vec::new();
    for i in 1..n {
        let (p1, r1) = stations[i - 1];
        let (p2, r2) = stations[i];
        let p0 = if i >= 2 { stations[i - 2].0 } else { p1 * 2.0 - p2 };
        let p3 = if i + 1 < n { stations[i + 1].0 } else { p2 * 2.0 - p1 };
        let steps = (p1.distance(p2) / step_mm).ceil().max(1.0) as usize;
        for s in 0..steps {
            let t = s as f32 / steps as f32;
            let eased = t * t * (3.0 - 2.0 * t);
            points.push((centripetal([p0, p1, p2, p3], t), r1 + (r2 - r1) * eased));
        }
    }
    points.extend(stations.last());
    points
}

/// The point at `t` in 0–1 between the second and third of four points (Barry and Goldman's pyramid).
fn centripetal(p: [Vec3; 4], t: f32) -> Vec3 {
    let knot = |a: Vec3, b: Vec3| a.distance(b).sqrt().max(1e-4);
    let t1 = knot(p[0], p[1]);
    let t2 = t1 + knot(p[1], p[2]);
    let t3 = t2 + knot(p[2], p[3]);
    let t = t1 + (t2 - t1) * t;
    let mix = |a: Vec3, b: Vec3, from: f32, to: f32| (a * (to - t) + b * (t - from)) / (to - from);
    let (a1, a2, a3) = (mix(p[0], p[1], 0.0, t1), mix(p[1], p[2], t1, t2), mix(p[2], p[3], t2, t3));
    mix(mix(a1, a2, 0.0, t2), mix(a2, a3, t1, t3), t1, t2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::vec3;

    #[test]
    fn a_table_meets_its_keys_and_does_not_overshoot() {
        let keys = [(0.0, 1.0), (1.0, 5.0), (3.0, 5.0), (4.0, 2.0)];
        for (x, y) in keys {
            assert!((interpolate(&keys, x) - y).abs() < 1e-5, "at {x}");
        }
        for i in 0..60 {
            let y = interpolate(&keys, i as f32 * 0.1 - 1.0);
            assert!((1.0..=5.0).contains(&y), "overshoot to {y}");
        }
    }

    #[test]
    fn a_curve_passes_through_its_stations() {
        let stations = [
            (vec3(0.0, 0.0, 0.0), 3.0),
            (vec3(10.0, 0.0, 0.0), 4.0),
            (vec3(20.0, 15.0, 0.0), 5.0),
            (vec3(20.0, 30.0, 8.0), 2.0),
        ];
        let points = curve(&stations, 1.0);
        for (s, _) in stations {
            assert!(points.iter().any(|(p, _)| p.distance(s) < 1e-3), "{s} is missed");
        }
        assert!(points.windows(2).all(|w| w[0].0.distance(w[1].0) < 2.0), "a step is too long");
    }
}
