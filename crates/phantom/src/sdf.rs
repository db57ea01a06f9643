//! Smooth solids as signed distances in millimetres, negative inside, and their unions, intersections and offsets.
//!
//! A distance is exact for spheres, capsules, plates and half-spaces and first-order exact near the surface for the rest;
//! nowhere does it grow faster than [`SLACK`] times the way walked, which is what lets `raster` skip whole
//! blocks of voxels. [`Shape::narrow`] drops whatever cannot matter within a ball.

mod loft;
mod tube;

use std::sync::Arc;

use glam::{Mat3, Vec3};

pub use loft::{Loft, Section};
pub use tube::{Node, Tube};

/// Upper bound of the slope of every distance here, checked by a test over the whole body.
pub const SLACK: f32 = 1.4;

/// A shared solid.
pub type Form = Arc<Shape>;

/// A box with edges along the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Least coordinates.
    pub min: Vec3,
    /// Greatest coordinates.
    pub max: Vec3,
}

impl Bounds {
    const ALL: Self = Self { min: Vec3::splat(-1e6), max: Vec3::splat(1e6) };

    fn around(points: impl IntoIterator<Item = (Vec3, f32)>) -> Self {
        let mut b = Self { min: Vec3::splat(f32::INFINITY), max: Vec3::splat(f32::NEG_INFINITY) };
        for (p, r) in points {
            b.min = b.min.min(p - r);
            b.max = b.max.max(p + r);
        }
        b
    }

    fn grown(self, by: f32) -> Self {
        Self { min: self.min - by, max: self.max + by }
    }

    /// Distance in mm from a point to the box; 0 inside.
    pub fn distance(&self, p: Vec3) -> f32 {
        (self.min - p).max(p - self.max).max(Vec3::ZERO).length()
    }
}

/// A solid.
#[derive(Clone, Debug)]
pub enum Shape {
    /// An ellipsoid; the columns of `axes` are its unit axes.
    Ellipsoid {
        /// Centre.
        center: Vec3,
        /// Unit axes as columns.
        axes: Mat3,
        /// Semi-axes in mm.
        radii: Vec3,
    },
    /// An elliptic cylinder along the third axis with a waist and rounded rims: a vertebral body.
    Drum {
        /// Centre.
        center: Vec3,
        /// Unit axes as columns.
        axes: Mat3,
        /// Half width, half depth, half height in mm.
        half: Vec3,
        /// Part of the half width lost at mid-height.
        waist: f32,
        /// Radius of the rims in mm.
        rim: f32,
    },
    /// A triangle thickened by a radius given at each corner.
    Plate {
        /// Corners.
        corners: [Vec3; 3],
        /// Radius in mm at each corner.
        radii: [f32; 3],
    },
    /// A chain of round or oval segments.
    Tube(Tube),
    /// A stack of cross-sections along z.
    Loft(Arc<Loft>),
    /// All points with `normal · p < offset`.
    HalfSpace {
        /// Unit normal, pointing out.
        normal: Vec3,
        /// Offset of the plane along the normal in mm.
        offset: f32,
    },
    /// Everything outside another solid.
    Complement(Form),
    /// A solid grown (or, negative, shrunk) by some mm.
    Offset(Form, f32),
    /// A solid moved and scaled about a pivot.
    Placed {
        /// What is placed.
        form: Form,
        /// Fixed point of the scaling.
        pivot: Vec3,
        /// Translation in mm, after the scaling.
        shift: Vec3,
        /// Linear scale.
        scale: f32,
    },
    /// Smooth union; `blend` mm is the reach of the fillet.
    Union(Vec<Form>, f32),
    /// Smooth intersection; `blend` mm is the reach of the rounding.
    Intersection(Vec<Form>, f32),
}

/// Least of two distances, rounded within `k` mm.
fn smooth_min(a: f32, b: f32, k: f32) -> f32 {
    let h = (k - (a - b).abs()).max(0.0);
    let least = a.min(b);
    if k > 0.0 { least - h * h / (4.0 * k) } else { least }
}

/// First-order distance to an ellipse or ellipsoid from its scaled norms; `least` is the shortest semi-axis.
fn scaled_distance(k0: f32, k1: f32, least: f32) -> f32 {
    if k1 < 1e-9 { -least } else { (k0 * (k0 - 1.0) / k1).max(-least) }
}

impl Shape {
    /// Signed distance in mm.
    pub fn distance(&self, p: Vec3) -> f32 {
        match self {
            Self::Ellipsoid { center, axes, radii } => {
                let q = axes.transpose() * (p - *center) / *radii;
                scaled_distance(q.length(), (q / *radii).length(), radii.min_element())
            }
            Self::Drum { center, axes, half, waist, rim } => {
                let q = axes.transpose() * (p - *center);
                let t = (q.z / half.z).clamp(-1.0, 1.0);
                let shrink = 1.0 - waist * (1.0 - t * t);
                let r = glam::vec2(half.x, half.y) * shrink;
                let s = glam::vec2(q.x, q.y) / r;
                let side = scaled_distance(s.length(), (s / r).length(), r.min_element()) + rim;
                let cap = q.z.abs() - half.z + rim;
                glam::vec2(side.max(0.0), cap.max(0.0)).length() + side.max(cap).min(0.0) - rim
            }
            Self::Plate { corners, radii } => plate_distance(p, corners, radii),
            Self::Tube(tube) => tube.distance(p),
            Self::Loft(loft) => loft.distance(p),
            Self::HalfSpace { normal, offset } => normal.dot(p) - offset,
            Self::Complement(form) => -form.distance(p),
            Self::Offset(form, by) => form.distance(p) - by,
            Self::Placed { form, pivot, shift, scale } => {
                form.distance((p - *shift - *pivot) / *scale + *pivot) * scale
            }
            Self::Union(forms, k) => forms.iter().fold(1e6, |d, f| smooth_min(d, f.distance(p), *k)),
            Self::Intersection(forms, k) => forms.iter().fold(-1e6, |d, f| -smooth_min(-d, -f.distance(p), *k)),
        }
    }

    /// Whether a point lies deeper than `depth` mm below the surface; as [`Self::distance`], but quick to say no.
    pub fn holds(&self, p: Vec3, depth: f32) -> bool {
        match self {
            // Rounding only takes away.
            Self::Intersection(forms, k) => {
                forms.iter().all(|f| f.holds(p, depth)) && (*k == 0.0 || self.distance(p) < -depth)
            }
            _ => self.distance(p) < -depth,
        }
    }

    /// A box that holds the solid.
    pub fn bounds(&self) -> Bounds {
        match self {
            Self::Ellipsoid { center, axes, radii } => {
                let reach =
                    (axes.x_axis.abs() * radii.x).max(axes.y_axis.abs() * radii.y).max(axes.z_axis.abs() * radii.z);
                let sum = Vec3::from_array([0, 1, 2].map(|i| {
                    glam::vec3(axes.x_axis[i] * radii.x, axes.y_axis[i] * radii.y, axes.z_axis[i] * radii.z).length()
                }));
                let reach = reach.max(sum);
                Bounds { min: *center - reach, max: *center + reach }
            }
            Self::Drum { center, half, .. } => Bounds::around([(*center, half.length())]),
            Self::Plate { corners, radii } => Bounds::around(corners.iter().copied().zip(radii.iter().copied())),
            Self::Tube(tube) => tube.bounds(),
            Self::Loft(loft) => loft.bounds(),
            Self::HalfSpace { normal, offset } => {
                let mut b = Bounds::ALL;
                for (axis, way) in Vec3::AXES.into_iter().enumerate() {
                    if *normal == way {
                        b.max[axis] = *offset;
                    } else if *normal == -way {
                        b.min[axis] = -*offset;
                    }
                }
                b
            }
            Self::Complement(_) => Bounds::ALL,
            Self::Offset(form, by) => form.bounds().grown(by.max(0.0)),
            Self::Placed { form, pivot, shift, scale } => {
                let b = form.bounds();
                let place = |q: Vec3| (q - *pivot) * *scale + *pivot + *shift;
                Bounds { min: place(b.min), max: place(b.max) }
            }
            Self::Union(forms, k) => forms
                .iter()
                .map(|f| f.bounds())
                .reduce(|a, b| Bounds { min: a.min.min(b.min), max: a.max.max(b.max) })
                .map_or(Bounds { min: Vec3::ZERO, max: Vec3::ZERO }, |b| b.grown(*k / 4.0)),
            Self::Intersection(forms, _) => forms
                .iter()
                .map(|f| f.bounds())
                .fold(Bounds::ALL, |a, b| Bounds { min: a.min.max(b.min), max: a.max.min(b.max) }),
        }
    }

    /// An equal solid within the ball of `radius` mm round `center`, with less to evaluate; `distance` is that at the center.
    pub fn narrow(form: &Form, center: Vec3, radius: f32, distance: f32) -> Form {
        let reach = radius * SLACK;
        match &**form {
            Self::Tube(tube) => {
                tube.narrow(center, reach, distance).map_or_else(|| form.clone(), |t| Arc::new(Self::Tube(t)))
            }
            Self::Complement(inner) => Arc::new(Self::Complement(Self::narrow(inner, center, radius, -distance))),
            Self::Offset(inner, by) => Arc::new(Self::Offset(Self::narrow(inner, center, radius, distance + by), *by)),
            Self::Placed { form: inner, pivot, shift, scale } => {
                let center = (center - *shift - *pivot) / *scale + *pivot;
                let inner = Self::narrow(inner, center, radius / *scale, distance / *scale);
                Arc::new(Self::Placed { form: inner, pivot: *pivot, shift: *shift, scale: *scale })
            }
            Self::Union(forms, k) => {
                let kept = nearest(forms, center, radius, 2.0 * reach + k, 1.0);
                single_or(kept, |kept| Self::Union(kept, *k))
            }
            Self::Intersection(forms, k) => {
                let kept = nearest(forms, center, radius, 2.0 * reach + k, -1.0);
                single_or(kept, |kept| Self::Intersection(kept, *k))
            }
            _ => form.clone(),
        }
    }
}

/// Those of `forms` whose distance at `center` comes within `margin` of the least (`sign` 1) or greatest (−1).
fn nearest(forms: &[Form], center: Vec3, radius: f32, margin: f32, sign: f32) -> Vec<Form> {
    let distances: Vec<f32> = forms.iter().map(|f| sign * f.distance(center)).collect();
    let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
    let near = forms.iter().zip(&distances).filter(|&(_, &d)| d <= least + margin);
    near.map(|(f, d)| Shape::narrow(f, center, radius, sign * d)).collect()
}

fn single_or(mut kept: Vec<Form>, many: impl FnOnce(Vec<Form>) -> Shape) -> Form {
    match kept.pop() {
        Some(only) if kept.is_empty() => only,
        Some(last) => {
            kept.push(last);
            Arc::new(many(kept))
        }
        None => Arc::new(many(kept)),
    }
}

/// Distance to a triangle (closest point after Ericson, Real-Time Collision Detection, 5.1.5) less the radius there.
fn plate_distance(p: Vec3, [a, b, c]: &[Vec3; 3], radii: &[f32; 3]) -> f32 {
    let (ab, ac, ap) = (*b - *a, *c - *a, p - *a);
    let (d1, d2) = (ab.dot(ap), ac.dot(ap));
    let (d3, d4) = (ab.dot(p - *b), ac.dot(p - *b));
    let (d5, d6) = (ab.dot(p - *c), ac.dot(p - *c));
    let (va, vb, vc) = (d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2);
    let (v, w) = if d1 <= 0.0 && d2 <= 0.0 {
        (0.0, 0.0)
    } else if d3 >= 0.0 && d4 <= d3 {
        (1.0, 0.0)
    } else if d6 >= 0.0 && d5 <= d6 {
        (0.0, 1.0)
    } else if vc <= 0.0 && d1 >= 0.0 && d3 <= 0.0 {
        (d1 / (d1 - d3), 0.0)
    } else if vb <= 0.0 && d2 >= 0.0 && d6 <= 0.0 {
        (0.0, d2 / (d2 - d6))
    } else if va <= 0.0 && d4 >= d3 && d5 >= d6 {
        let w = (d4 - d3) / ((d4 - d3) + (d5 - d6));
        (1.0 - w, w)
    } else {
        let sum = va + vb + vc;
        (vb / sum, vc / sum)
    };
    let closest = *a + ab * v + ac * w;
    closest.distance(p) - (radii[0] * (1.0 - v - w) + radii[1] * v + radii[2] * w)
}

/// A ball.
pub fn ball(center: Vec3, radius: f32) -> Form {
    ellipsoid(center, Vec3::splat(radius))
}

/// An ellipsoid with its semi-axes along x, y, z.
pub fn ellipsoid(center: Vec3, radii: Vec3) -> Form {
    Arc::new(Shape::Ellipsoid { center, axes: Mat3::IDENTITY, radii })
}

/// An ellipsoid whose unit axes are the columns of `axes`.
pub fn ellipsoid_along(center: Vec3, axes: Mat3, radii: Vec3) -> Form {
    Arc::new(Shape::Ellipsoid { center, axes, radii })
}

/// A rod with a radius at each end.
pub fn rod(from: Vec3, radius_from: f32, to: Vec3, radius_to: f32) -> Form {
    Arc::new(Shape::Tube(Tube::round(&[(from, radius_from), (to, radius_to)])))
}

/// A triangle of constant thickness `2 · radius` mm.
pub fn plate(a: Vec3, b: Vec3, c: Vec3, radius: f32) -> Form {
    Arc::new(Shape::Plate { corners: [a, b, c], radii: [radius; 3] })
}

/// A smooth union.
pub fn union(forms: Vec<Form>, blend: f32) -> Form {
    Arc::new(Shape::Union(forms, blend))
}

/// A smooth intersection.
pub fn intersection(forms: Vec<Form>, blend: f32) -> Form {
    Arc::new(Shape::Intersection(forms, blend))
}

/// The first solid without the others, edges rounded within `blend` mm.
pub fn without(form: Form, others: Vec<Form>, blend: f32) -> Form {
    let mut parts = vec![form];
    parts.extend(others.into_iter().map(|f| Arc::new(Shape::Complement(f))));
    intersection(parts, blend)
}

/// A solid grown by some mm (negative: shrunk).
pub fn offset(form: &Form, by: f32) -> Form {
    Arc::new(Shape::Offset(form.clone(), by))
}

/// All points on the inner side of the plane through `point` whose normal points out.
pub fn half_space(point: Vec3, outward: Vec3) -> Form {
    let normal = outward.normalize_or(Vec3::Z);
    Arc::new(Shape::HalfSpace { normal, offset: normal.dot(point) })
}

/// Right-handed unit axes whose third is along `z` and whose second is as near `y` as may be.
pub fn axes_along(z: Vec3, y: Vec3) -> Mat3 {
    let z = z.normalize_or(Vec3::Z);
    let x = y.cross(z).normalize_or(z.any_orthonormal_vector());
    Mat3::from_cols(x, z.cross(x), z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::vec3;

    #[track_caller]
    fn check(form: &Form, p: Vec3, expected: f32, tolerance: f32) {
        let d = form.distance(p);
        assert!((d - expected).abs() <= tolerance, "distance at {p} is {d}, expected {expected}");
    }

    #[test]
    fn distances_of_simple_solids() {
        check(&ball(Vec3::ZERO, 10.0), vec3(0.0, 13.0, 0.0), 3.0, 1e-4);
        let egg = ellipsoid(Vec3::ZERO, vec3(30.0, 20.0, 10.0));
        check(&egg, vec3(31.0, 0.0, 0.0), 1.0, 0.05);
        check(&egg, Vec3::ZERO, -10.0, 1e-3);
        check(&rod(Vec3::ZERO, 5.0, vec3(0.0, 0.0, 20.0), 5.0), vec3(8.0, 0.0, 10.0), 3.0, 1e-4);
        let sheet = plate(Vec3::ZERO, vec3(20.0, 0.0, 0.0), vec3(0.0, 20.0, 0.0), 2.0);
        check(&sheet, vec3(5.0, 5.0, 7.0), 5.0, 1e-4);
        check(&sheet, vec3(-4.0, -3.0, 0.0), 3.0, 1e-4);
        check(&half_space(vec3(0.0, 0.0, 4.0), Vec3::Z), vec3(9.0, 9.0, 1.0), -3.0, 1e-5);
    }

    #[test]
    fn a_difference_is_hollow() {
        let shell = without(ball(Vec3::ZERO, 10.0), vec![ball(Vec3::ZERO, 6.0)], 0.0);
        check(&shell, Vec3::ZERO, 6.0, 1e-4);
        check(&shell, vec3(8.0, 0.0, 0.0), -2.0, 1e-4);
    }

    #[test]
    fn narrowed_solids_are_equal_within_the_ball() {
        let row = (0..20).map(|i| ball(vec3(i as f32 * 12.0, 0.0, 0.0), 8.0)).collect();
        let row = union(row, 6.0);
        let center = vec3(61.0, 4.0, 0.0);
        let narrow = Shape::narrow(&row, center, 5.0, row.distance(center));
        let Shape::Union(kept, _) = &*narrow else { panic!("one ball is not enough here") };
        assert!(kept.len() < 8, "{} of 20 balls kept", kept.len());
        for i in 0..200 {
            let turn = i as f32;
            let p = center + vec3(turn.sin(), turn.cos(), (turn * 0.7).sin()).normalize() * (turn * 0.025);
            assert!((row.distance(p) - narrow.distance(p)).abs() < 1e-4, "differs at {p}");
        }
    }
}
