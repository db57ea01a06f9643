//! Surface nets over a whole label map: every boundary between two labels in one extraction.
//!
//! The grid is taken as padded with background. A *cell* is the cube between eight neighbouring voxel centres; it gets one
//! vertex for each sheet of boundary that passes through it. Each pair of face neighbours with different labels gets
//! one quad between the four cells around it. Before smoothing a vertex sits in the middle of its cell, which is a corner of
//! the voxels, so the net is exactly the set of voxel faces between different labels.
//!
//! What holds for the surface of every label: each edge has exactly two triangles, which run along it in opposite
//! directions. [`knots`] says how cells are split so that it does. A vertex where three or more labels meet may be touched
//! by two sheets of one label.

mod cell;
mod fit;
mod knots;
mod layers;
mod masks;
mod smooth;
mod sweep;
mod twins;

use bytemuck::allocation::try_cast_vec;
use glam::Vec3A;
use rayon::prelude::*;
use volume::Volume;

use crate::axes::{dot, each, minus};
use crate::error::SurfaceError;
pub(crate) use fit::Bound;
use fit::Moves;
use knots::{Between, Knots};
use layers::Layers;
use masks::Masks;
use sweep::Places;

/// A whole number a label map may be made of.
pub trait LabelVoxel: Copy + Ord + Default + Send + Sync + Into<u16> + 'static {}
impl LabelVoxel for u8 {}
impl LabelVoxel for u16 {}

/// How voxel steps are smoothed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Degree of the low-pass filter, one pass over all vertices each; 0 leaves the voxel faces as they are. By default the lowest
    /// that on slopes from 1/3 to 1/12 leaves no more of the terraces than sixteen passes of a plain Laplacian.
    pub passes: usize,
    /// Farthest a vertex may move along each grid axis from its voxel corner, in voxels; at most 0.5.
    pub max_move_voxels: f32,
}

impl Default for Smoothing {
    fn default() -> Self {
        Self { passes: 14, max_move_voxels: 0.5 }
    }
}

/// The boundaries of all labels of a grid, as triangles that neighbours share.
#[derive(Clone, Debug, Default)]
pub struct LabelSurface {
    /// Positions in continuous voxel index.
    pub vertices: Vec<[f32; 3]>,
    /// Three vertices each; seen from the side of `sides[0]` they run counterclockwise in index space.
    pub triangles: Vec<[u32; 3]>,
    /// The lower and the higher label each triangle separates; the lower may be background.
    pub sides: Vec<[u16; 2]>,
}

/// Extracts the boundaries of all labels at once and smooths them within bounds.
///
/// # Errors
/// [`SurfaceError`] for a grid or a net too large to number, or a smoothing beyond half a voxel.
pub fn label_surface<T: LabelVoxel>(map: &Volume<T>, smoothing: &Smoothing) -> Result<LabelSurface, SurfaceError> {
    let mut net = Net::extract(map, smoothing)?;
    let vertices = net.first_positions(Bound::Box(smoothing.max_move_voxels));
    let (triangles, sides) = net.triangulate(&vertices);
    Ok(LabelSurface { vertices, triangles, sides })
}

/// Largest grid: cells are numbered from 0 to the number of voxels in 16 bits.
const MAX_AXIS: usize = u16::MAX as usize - 1;

/// Four corners.
pub(crate) type Quad = [u32; 4];

/// The net before triangulation.
pub(crate) struct Net {
    /// The filtered place of each vertex, from the middle of the grid, in voxels; the normals there, in index space, of length 1, to the
    /// side of the lower label, zero where three labels meet. Empty without smoothing.
    places: Places,
    /// How far each vertex goes back from there along its normal, in voxels. Empty without smoothing.
    back: Moves,
    /// The middle of the first cell, from the middle of the grid.
    origin: Vec3A,
    between: Vec<Between>,
    /// The cell of each vertex; cell `c` lies between voxels `c − 1` and `c`.
    pub(crate) cells: Vec<[u16; 3]>,
    /// Corners of each quad, counterclockwise seen from the side of the lower label.
    pub(crate) quads: Vec<Quad>,
    /// The lower and the higher label each quad separates.
    pub(crate) sides: Vec<[u16; 2]>,
    /// Vertices to insert in a quad's outline: quad, side after that corner, vertex; in order.
    pub(crate) inserts: Vec<Insert>,
    /// One bit a quad, set if `inserts` names it; empty if that is empty.
    has_inserts: Vec<u64>,
    /// Memory at hand for positions.
    room: Vec<[f32; 3]>,
}

/// A vertex between two corners of a quad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Insert {
    /// The quad.
    pub(crate) quad: u32,
    /// Between this corner and the next.
    pub(crate) after: u8,
    /// The vertex.
    pub(crate) vertex: u32,
}

impl Net {
    /// Extracts and smooths.
    pub(crate) fn extract<T: LabelVoxel>(map: &Volume<T>, smoothing: &Smoothing) -> Result<Self, SurfaceError> {
        let size = map.geometry().size();
        if size.iter().any(|&s| s > MAX_AXIS) {
            return Err(SurfaceError::GridTooLarge { limit: MAX_AXIS, size });
        }
        let max_move = smoothing.max_move_voxels;
        if !(0.0..=0.5).contains(&max_move) {
            let found = f64::from(max_move);
            return Err(SurfaceError::Option { name: "max_move_voxels", expected: "from 0 to 0.5", found });
        }
        let masks = Masks::of(map.data(), size);
        let smooth = smoothing.passes > 0 && max_move > 0.0;
        let mut sweep = sweep::sweep(map.data(), &masks, smooth)?;
        let knots = Knots::of(&masks, std::mem::take(&mut sweep.knots));
        let inserts = knots.apply(&masks, &mut sweep, smooth)?;
        let (mut places, mut back) = (std::mem::take(&mut sweep.places), Moves::default());
        if smooth {
            let layers = Layers::of(&masks, &sweep);
            let graph = smooth::Graph { sweep: &sweep, layers: &layers };
            smooth::smooth(&mut places, &graph, smoothing.passes);
            back = fit::normals(&masks, &sweep, &mut places);
            smooth::back(&mut back, &graph, smoothing.passes);
        }
        let sweep::Sweep { cells, links, quads, sides, between, .. } = sweep;
        let room = room_for_positions(links);
        let mut has_inserts = vec![0u64; if inserts.is_empty() { 0 } else { quads.len().div_ceil(64) }];
        for insert in &inserts {
            has_inserts[insert.quad as usize / 64] |= 1 << (insert.quad % 64);
        }
        let origin = masks.middle([0; 3]);
        Ok(Self { places, back, origin, cells, quads, sides, inserts, has_inserts, between, room })
    }

    /// Number of vertices.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The voxel corner in the middle of a vertex' cell, in continuous voxel index.
    pub(crate) fn corner(&self, vertex: u32) -> [f32; 3] {
        each(self.cells[vertex as usize], |c| f32::from(c) - 0.5)
    }

    /// How far the filter wanted to move a vertex along its normal, in voxels.
    pub(crate) fn strain(&self, vertex: u32) -> f32 {
        let (v, [places, _], [back, _]) = (vertex as usize, self.places.both(), self.back.both());
        let Some(normal) = self.normal(vertex) else { return 0.0 };
        self.filtered(self.cells[v], Vec3A::from_vec4(places[v]), normal, back[v]).dot(normal).abs()
    }

    /// The normal of a vertex after filtering, in index space, of length 1, to the side of the lower label; zero where three labels meet,
    /// none without smoothing.
    pub(crate) fn normal(&self, vertex: u32) -> Option<Vec3A> {
        let [_, normals] = self.places.both();
        normals.get(vertex as usize).map(|normal| Vec3A::from_vec4(*normal))
    }

    /// How far the filter wanted to move a vertex from the middle of its cell, in voxels.
    #[inline(always)]
    fn filtered(&self, cell: [u16; 3], place: Vec3A, normal: Vec3A, back: f32) -> Vec3A {
        let middle = self.origin + Vec3A::from_array(each(cell, f32::from));
        (place - middle) - normal * back
    }

    /// True where three or more labels meet.
    pub(crate) fn on_seam(&self, vertex: u32) -> bool {
        // Seams carry no normal, as their sides differ.
        self.normal(vertex).is_none_or(|n| n == Vec3A::ZERO)
    }

    /// The filtered places brought within a bound, in continuous voxel index.
    pub(crate) fn positions(&self, bound: Bound) -> Vec<[f32; 3]> {
        self.positions_in(Vec::new(), bound)
    }

    /// The same, in the memory at hand.
    pub(crate) fn first_positions(&mut self, bound: Bound) -> Vec<[f32; 3]> {
        let room = std::mem::take(&mut self.room);
        self.positions_in(room, bound)
    }

    fn positions_in(&self, mut positions: Vec<[f32; 3]>, bound: Bound) -> Vec<[f32; 3]> {
        let middle = |c: &[u16; 3]| each(*c, |c| f32::from(c) - 0.5);
        if self.places.is_empty() {
            self.cells.par_iter().with_min_len(8192).map(middle).collect_into_vec(&mut positions);
        } else {
            let ([places, normals], [back, _]) = (self.places.both(), self.back.both());
            let rows = self.cells.par_iter().zip(places).zip(normals).zip(back).with_min_len(8192);
            rows.map(|(((c, place), normal), back)| {
                let [place, normal] = [*place, *normal].map(Vec3A::from_vec4);
                (Vec3A::from_array(middle(c)) + bound.fit(self.filtered(*c, place, normal, *back), normal)).to_array()
            })
            .collect_into_vec(&mut positions);
        }
        self.place_inserts(&mut positions);
        positions
    }

    /// Puts vertices that stand on an edge of the net beside its middle.
    pub(crate) fn place_inserts(&self, positions: &mut [[f32; 3]]) {
        for between in &self.between {
            between.place(positions);
        }
    }

    /// The triangles of a quad, two unless vertices were inserted, cut along its shorter diagonal.
    #[inline]
    pub(crate) fn triangles_of(&self, positions: &[[f32; 3]], quad: u32, mut emit: impl FnMut([u32; 3])) {
        if self.has_inserts.get(quad as usize / 64).is_some_and(|bits| bits >> (quad % 64) & 1 == 1) {
            return self.triangles_with_inserts(quad, emit);
        }
        let [first, second] = cut(self.quads[quad as usize], positions);
        emit(first);
        emit(second);
    }

    /// A fan from an inserted vertex, which leaves out the edge that was doubled.
    fn triangles_with_inserts(&self, quad: u32, mut emit: impl FnMut([u32; 3])) {
        let q = self.quads[quad as usize];
        let first = self.inserts.partition_point(|i| i.quad < quad);
        let mut pending = self.inserts[first..].iter().take_while(|i| i.quad == quad).peekable();
        let mut outline = [0; 8];
        let (mut n, mut apex) = (0, 0);
        for corner in 0..4u8 {
            outline[n] = q[usize::from(corner)];
            n += 1;
            if let Some(insert) = pending.next_if(|i| i.after == corner) {
                apex = if apex == 0 { n } else { apex };
                outline[n] = insert.vertex;
                n += 1;
            }
        }
        for step in 1..n - 1 {
            emit([outline[apex], outline[(apex + step) % n], outline[(apex + step + 1) % n]]);
        }
    }

    /// Cuts the quads, in the memory of what was needed to place them; what fans have beyond two triangles comes at the end.
    fn triangulate(self, positions: &[[f32; 3]]) -> (Vec<[u32; 3]>, Vec<[u16; 2]>) {
        let mut fanned: Vec<u32> = self.inserts.iter().map(|i| i.quad).collect();
        fanned.dedup();
        let fan = |quad| {
            let mut fan = Vec::new();
            self.triangles_with_inserts(quad, |triangle| fan.push(triangle));
            fan
        };
        let fans: Vec<Vec<[u32; 3]>> = fanned.iter().map(|&quad| fan(quad)).collect();
        let Self { quads, sides, places, cells, back, .. } = self;
        let mut triangles: Vec<[u32; 3]> = places.into_rows(2 * quads.len());
        let mut side_of: Vec<[u16; 2]> = back.into_rows(2 * quads.len());
        let (twos, _) = triangles.as_chunks_mut::<2>();
        let (side_twos, _) = side_of.as_chunks_mut::<2>();
        let rows = twos.par_iter_mut().zip(side_twos).zip(&quads).zip(&sides).with_min_len(4096);
        // To give much memory back takes a while.
        rayon::join(
            || {
                rows.for_each(|(((two, side_of), quad), side)| {
                    *two = cut(*quad, positions);
                    *side_of = [*side; 2];
                });
            },
            || drop(cells),
        );
        for (quad, fan) in fanned.into_iter().zip(fans) {
            let (two, more) = fan.split_at(2);
            let first = 2 * quad as usize;
            triangles[first..first + 2].copy_from_slice(two);
            triangles.extend(more);
            side_of.extend(vec![side_of[first]; more.len()]);
        }
        rayon::join(|| drop(quads), || drop(sides));
        (triangles, side_of)
    }
}

/// A quad cut along its shorter diagonal.
#[inline(always)]
fn cut([a, b, c, d]: Quad, positions: &[[f32; 3]]) -> [[u32; 3]; 2] {
    let square = |v: u32, w: u32| {
        let off = minus(positions[v as usize], positions[w as usize]);
        dot(off, off)
    };
    let [a, b, c, d] = if square(b, d) < square(a, c) { [b, c, d, a] } else { [a, b, c, d] };
    [[a, b, c], [a, c, d]]
}

/// The memory of what is no longer needed, for positions.
fn room_for_positions(mut links: Vec<[u32; 4]>) -> Vec<[f32; 3]> {
    links.clear();
    try_cast_vec(links).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use proptest::prelude::*;
    use space::Point;
    use volume::ImageGeometry;

    use super::*;
    use crate::mesh::topology;

    fn map(size: [usize; 3], labels: Vec<u8>) -> Volume<u8> {
        let geometry = ImageGeometry::new(size, [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        Volume::new(geometry, labels).unwrap()
    }

    /// The triangles of one label, outward.
    fn shell(surface: &LabelSurface, label: u16) -> Vec<[u32; 3]> {
        let rows = surface.triangles.iter().zip(&surface.sides);
        rows.filter_map(|(&[a, b, c], side)| match side {
            [_, high] if *high == label => Some([a, b, c]),
            [low, _] if *low == label => Some([a, c, b]),
            _ => None,
        })
        .collect()
    }

    #[track_caller]
    fn check_all(map: &Volume<u8>, smoothing: &Smoothing) {
        let surface = label_surface(map, smoothing).unwrap();
        for label in 1..=u8::MAX {
            let count = map.data().iter().filter(|&&l| l == label).count();
            let shell = shell(&surface, u16::from(label));
            let topology = topology(&shell);
            assert_eq!(topology.open_edges, 0, "label {label} is open");
            assert_eq!(topology.crowded_edges, 0, "label {label} has crowded edges");
            if smoothing.passes == 0 {
                let volume = crate::mesh::signed_volume(&surface.vertices, &shell);
                assert!(
                    (volume - count as f64).abs() < 1e-3 * count as f64 + 1e-3,
                    "label {label}: {volume} of {count}"
                );
            }
        }
    }

    const NONE: Smoothing = Smoothing { passes: 0, max_move_voxels: 0.4 };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn every_label_of_a_random_map_is_closed(
            size in (1usize..6, 1usize..6, 1usize..6),
            kinds in 1u8..5,
            seed in proptest::collection::vec(0u8..=255, 125),
        ) {
            let size = [size.0, size.1, size.2];
            let labels = seed.into_iter().take(size.iter().product()).map(|s| s % (kinds + 1)).collect();
            let map = map(size, labels);
            check_all(&map, &NONE);
            check_all(&map, &Smoothing::default());
        }

        #[test]
        fn threads_do_not_change_the_net(seed in proptest::collection::vec(0u8..4, 4 * 5 * 70)) {
            let map = map([4, 5, 70], seed);
            let run = |n| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
                pool.install(|| label_surface(&map, &Smoothing::default())).unwrap()
            };
            let (one, two) = (run(1), run(2));
            prop_assert_eq!(one.vertices, two.vertices);
            prop_assert_eq!(one.triangles, two.triangles);
        }
    }

    #[test]
    fn checkerboard() {
        let labels = (0..64).map(|n| (1 + (n + n / 4 + n / 16) % 2) as u8).collect();
        check_all(&map([4, 4, 4], labels), &NONE);
        let labels = (0..64).map(|n| ((n + n / 4 + n / 16) % 2) as u8).collect();
        let map = map([4, 4, 4], labels);
        check_all(&map, &NONE);
        check_all(&map, &Smoothing::default());
    }

    #[test]
    fn long_rows_cross_words() {
        let labels = (0..200 * 3 * 3).map(|n| u8::from(n % 7 != 0 && n % 65 != 3)).collect();
        check_all(&map([200, 3, 3], labels), &NONE);
    }

    #[test]
    fn vertices_stay_within_their_bound() {
        let labels =
            (0..20 * 20 * 20).map(|n: u32| u8::from((n.wrapping_mul(2_654_435_761) >> 13).is_multiple_of(3))).collect();
        let map = map([20, 20, 20], labels);
        let net = Net::extract(&map, &Smoothing::default()).unwrap();
        let inserted: Vec<u32> = net.inserts.iter().map(|i| i.vertex).collect();
        let (boxed, balled) = (net.positions(Bound::Box(0.5)), net.positions(Bound::Ball(0.4)));
        for v in (0..net.len()).filter(|v| !inserted.contains(&(*v as u32))) {
            let off = |p: [f32; 3]| [0, 1, 2].map(|a| p[a] + 0.5 - f32::from(net.cells[v][a]));
            assert!(off(boxed[v]).iter().all(|x| x.abs() < 0.5 + 1e-5), "{:?}", off(boxed[v]));
            assert!(off(balled[v]).iter().map(|x| x * x).sum::<f32>().sqrt() < 0.4 + 1e-5, "{:?}", off(balled[v]));
        }
    }
}
