//! How near thin slices come to those that were averaged away, in real scans, where they are.
//!
//! `VESTIBULE_UPSAMPLE=whole` takes whole scans rather than a part of their rows, `VESTIBULE_UPSAMPLE_STEPS=N` teaches the model
//! on the averaged scan first, `VESTIBULE_UPSAMPLE_WEIGHTS=FILE` takes other weights, `VESTIBULE_UPSAMPLE_FLIPS=1` tries mirror images
//! too, `VESTIBULE_UPSAMPLE_MM=5` only slices as thick. The figures in docs/neural.md are from here.

use neural::super_resolution::{
    ThroughPlane, ThroughPlaneWeights, UpsampleOptions, average_down, fine_tune, upsample_onto,
};
use pipeline::{EmbeddedModel, Models};
use volume::{ScanVolume, Volume};

use crate::support::data;

/// The shipped models.
const SHIPPED: &[EmbeddedModel] = &[
    EmbeddedModel {
        card: include_str!("../../../../models/through-plane/model.json"),
        files: &[("weights.safetensors", include_bytes!("../../../../models/through-plane/weights.safetensors"))],
    },
    EmbeddedModel {
        card: include_str!("../../../../models/through-plane-mr/model.json"),
        files: &[("weights.safetensors", include_bytes!("../../../../models/through-plane-mr/weights.safetensors"))],
    },
];

fn shipped(name: &str) -> ThroughPlaneWeights {
    if let Some(path) = std::env::var_os("VESTIBULE_UPSAMPLE_WEIGHTS") {
        return ThroughPlaneWeights::from_bytes(&std::fs::read(path).unwrap()).unwrap();
    }
    let models = Models { embedded: SHIPPED, ..Models::default() };
    let entry = models.find(name).unwrap();
    neural::model::through_plane(&entry.card, entry.files().unwrap()).unwrap()
}

/// PSNR in dB and SSIM.
type Figures = [f64; 2];

/// Averages a scan down along an axis, brings it back, and compares within the box around all that is not air: by a cubic
/// B-spline, by that and back-projection, by the network and back-projection.
fn measure(model: &str, scan: &ScanVolume, axis: usize, slice_mm: f64) -> [Figures; 3] {
    let (thick, layout) = average_down(scan, axis, slice_mm).unwrap();
    let thick = ScanVolume::F32(thick);
    let steps = std::env::var("VESTIBULE_UPSAMPLE_STEPS").map_or(0, |s| s.parse().unwrap());
    let mut weights = shipped(model);
    if steps > 0 {
        weights = fine_tune(&weights, &thick, &layout, &[], steps, &|_| ()).unwrap();
    }
    let network = weights.network().unwrap();
    let mut size = scan.geometry().size();
    size[axis] = layout.voxels;
    let cropped = scan.geometry().cropped([0; 3], size).unwrap();
    let at = |[i, j, k]: [usize; 3]| scan.value(scan.geometry().offset(i, j, k));
    let truth = Volume::from_fn(cropped, at);
    let area = Area::around(truth.data(), size);
    let inside = area.of(truth.data(), size);
    let mut sorted = inside.clone();
    sorted.sort_by(f32::total_cmp);
    let peak = f64::from(sorted[sorted.len() * 999 / 1000] - sorted[0]);
    println!("{:.2} voxels a slice, {area:?}, peak {peak:.0}, {steps} steps on the scan itself", layout.factor);
    let measured = |name: &str, network: Option<&ThroughPlane>, rounds: usize, flips: bool| {
        let options = UpsampleOptions { rounds, flips, ..UpsampleOptions::default() };
        let made = upsample_onto(&thick, axis, &layout, network, &options, &|_| ()).unwrap();
        let ScanVolume::F32(values) = &made.scan else { panic!("not in single precision") };
        let ours = area.of(values.data(), size);
        let psnr = metrics::psnr_db(&inside, &ours, area.size(), peak).unwrap();
        let ssim = metrics::ssim(&inside, &ours, area.size(), peak).unwrap();
        println!("  {name:15} {psnr:.2} dB, SSIM {ssim:.4}");
        [psnr, ssim]
    };
    let cubic = measured("cubic", None, 0, false);
    let projected = measured("back-projected", None, 3, false);
    let sharpened = measured("network", Some(&network), 3, false);
    if std::env::var_os("VESTIBULE_UPSAMPLE_FLIPS").is_some() {
        measured("mirrored too", Some(&network), 3, true);
    }
    [cubic, projected, sharpened]
}

/// First and last voxel along each axis.
#[derive(Debug)]
struct Area([[usize; 2]; 3]);

impl Area {
    /// All planes of which one voxel in fifty is above a tenth of the 99.5 % quantile over the lowest value.
    fn around(values: &[f32], size: [usize; 3]) -> Self {
        let mut sorted: Vec<f32> = values.iter().step_by(37).copied().collect();
        sorted.sort_by(f32::total_cmp);
        let (low, high) = (sorted[0], sorted[sorted.len() * 995 / 1000]);
        let mut counts = size.map(|n| vec![0usize; n]);
        for (n, _) in values.iter().enumerate().filter(|(_, v)| **v > low + 0.1 * (high - low)) {
            let voxel = [n % size[0], n / size[0] % size[1], n / size[0] / size[1]];
            (0..3).for_each(|a| counts[a][voxel[a]] += 1);
        }
        Self([0, 1, 2].map(|a| {
            let enough = values.len() / size[a] / 50;
            let first = counts[a].iter().position(|&c| c > enough).unwrap_or(0);
            [first, counts[a].iter().rposition(|&c| c > enough).unwrap_or(size[a] - 1)]
        }))
    }

    fn size(&self) -> [usize; 3] {
        self.0.map(|[a, b]| b + 1 - a)
    }

    fn of(&self, values: &[f32], size: [usize; 3]) -> Vec<f32> {
        let [[i0, i1], [j0, j1], [k0, k1]] = self.0;
        let rows = (k0..=k1).flat_map(|k| (j0..=j1).map(move |j| (k * size[1] + j) * size[0]));
        rows.flat_map(|row| values[row + i0..=row + i1].to_vec()).collect()
    }
}

fn read(name: &str) -> Option<ScanVolume> {
    let inventory = dicom::inspect(&data(name)?).unwrap();
    let voxels = |at: usize| inventory.series[at].geometry.as_ref().map(volume::ImageGeometry::voxel_count);
    let largest = (0..inventory.series.len()).max_by_key(|&at| voxels(at)).unwrap();
    Some(dicom::read_series(&inventory, largest).unwrap().volume)
}

/// Rows from the middle only, unless the whole is asked for.
fn part(scan: ScanVolume, rows: usize) -> ScanVolume {
    if std::env::var_os("VESTIBULE_UPSAMPLE").is_some() {
        return scan;
    }
    let [x, y, z] = scan.geometry().size();
    let first = (y - rows) / 2;
    let grid = scan.geometry().cropped([0, first as isize, 0], [x, rows, z]).unwrap();
    ScanVolume::F32(Volume::from_fn(grid, |[i, j, k]| scan.value(scan.geometry().offset(i, j + first, k))))
}

#[test]
fn a_ct_comes_nearer_to_what_it_was() {
    let Some(scan) = read("ct-abdomen/example_ct_dicom") else { return };
    // Its columns, which are sharp, are averaged, as there are too few slices.
    let [cubic, _, network] = measure("through-plane", &part(scan, 96), 0, 5.0);
    assert!(network[0] > cubic[0] + 0.5 && network[1] > cubic[1], "{network:?} after {cubic:?}");
}

#[test]
fn a_head_comes_nearer_to_what_it_was() {
    let Some(scan) = read("mr-head-t1") else { return };
    let scan = part(scan, 32);
    let only: Option<f64> = std::env::var("VESTIBULE_UPSAMPLE_MM").ok().map(|mm| mm.parse().unwrap());
    for slice_mm in [3.0, 5.0].into_iter().filter(|&mm| only.is_none_or(|only| only == mm)) {
        let [cubic, _, network] = measure("through-plane-mr", &scan, 2, slice_mm);
        assert!(network[0] > cubic[0] && network[1] > cubic[1], "{slice_mm} mm: {network:?} after {cubic:?}");
    }
}
