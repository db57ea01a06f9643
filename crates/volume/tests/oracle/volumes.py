"""Geometry and voxels of files, read and written by other libraries: SimpleITK 2.5.7, nibabel 5.4.2, pynrrd 1.1.3.

  volumes.py golden          writes the small files of tests/golden with nibabel, SimpleITK and pynrrd
  volumes.py expected        reads tests/golden and the real data with SimpleITK and writes tests/oracle/volumes.tsv
  volumes.py check IN OUT    compares a file that we wrote (OUT) with the one it was made from (IN), by SimpleITK, and by
                             nibabel or pynrrd

Files come from `cargo run --release -p vestibule-volume --example convert -- IN OUT`. Last result of `check`, on
ct-abdomen/example_ct.nii.gz, its labels, torso-labels, two pairs of hippocampus and all golden files, each to .nii,
.nii.gz, .nrrd and .nhdr: geometry within 1e-4, voxels equal, in all of them.

Columns of volumes.tsv: file, size, spacing, origin, direction (row by row), CRC-32 of voxels as f32.
"""

import pathlib
import sys
import zlib

import nibabel
import nrrd
import numpy
import SimpleITK

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "golden"
DATA = HERE.parents[3].parent / "shared" / "data"
REAL = [
    "ct-abdomen/example_ct.nii.gz",
    "ct-abdomen/example_ct_seg_v1_104.nii.gz",
    "torso-labels/s0327_labels.nii.gz",
    *(f"hippocampus/{kind}/hippocampus_{n}.nii.gz" for n in ("001", "033", "188") for kind in ("images", "labels")),
]


def rotated(*degrees):
    """A rotation about x, then y, then z."""
    m = numpy.eye(3)
    for axis, angle in enumerate(numpy.radians(degrees)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        r = numpy.eye(3)
        r[a, a] = r[b, b] = numpy.cos(angle)
        r[a, b], r[b, a] = -numpy.sin(angle), numpy.sin(angle)
        m = r @ m
    return m


def golden():
    GOLDEN.mkdir(exist_ok=True)
    ramp = (numpy.arange(60).reshape(5, 4, 3) * 17 - 300).astype(numpy.int16)
    affine = numpy.eye(4)
    affine[:3, :3] = rotated(20, -35, 140) @ numpy.diag([0.7, 0.9, 2.5])
    affine[:3, 3] = [-120.5, 33.25, 810]
    mirrored = affine @ numpy.diag([1, 1, -1, 1])

    def save(name, data, matrix, sform, qform, header=None, scale=None):
        image = nibabel.Nifti1Image(data, matrix, header)
        image.set_sform(matrix, sform)
        image.set_qform(matrix, qform)
        if scale:
            image.header.set_slope_inter(*scale)
        nibabel.save(image, GOLDEN / name)

    save("sform.nii.gz", ramp, affine, 2, 0)
    save("qform.nii", ramp, affine, 0, 1)
    save("qform_mirrored.nii.gz", ramp.astype(numpy.int32), mirrored, 0, 1)
    save("both_big_endian.nii", ramp.astype(">i2"), mirrored, 1, 1, nibabel.Nifti1Header(endianness=">"))
    save("f64_scaled.nii.gz", ramp.astype(numpy.float64) / 7, affine, 1, 1)
    save("u8_slope.nii", (ramp * 0.25).astype(numpy.float32), affine, 1, 1, None, (0.25, -64))

    image = SimpleITK.GetImageFromArray(ramp.T)
    image.SetSpacing([0.7, 0.9, 2.5])
    image.SetOrigin([-12.5, 33.25, 810])
    image.SetDirection(rotated(20, -35, 140).ravel())
    SimpleITK.WriteImage(image, GOLDEN / "itk_raw.nrrd", False)
    SimpleITK.WriteImage(image, GOLDEN / "itk_gzip.nrrd", True)
    SimpleITK.WriteImage(SimpleITK.Cast(image, SimpleITK.sitkFloat32) / 3, GOLDEN / "itk_detached.nhdr", False)
    ras = {"space": "right-anterior-superior", "space directions": affine[:3, :3].T, "space origin": affine[:3, 3]}
    nrrd.write(str(GOLDEN / "ras_text.nrrd"), ramp, {**ras, "encoding": "ascii"})
    las = {**ras, "space": "left-anterior-superior", "encoding": "gzip", "endian": "big"}
    nrrd.write(str(GOLDEN / "las_big_endian.nrrd"), ramp.astype(">i2"), las)


def read(path):
    image = SimpleITK.ReadImage(path)
    return image, SimpleITK.GetArrayFromImage(image)


def expected():
    lines = []
    files = [("golden", p.name, p) for p in sorted(GOLDEN.iterdir()) if ".raw" not in p.name]
    files += [("data", name, DATA / name) for name in REAL]
    for where, name, path in files:
        image, voxels = read(path)
        numbers = [image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()]
        texts = [" ".join(f"{n:.9g}" for n in row) for row in numbers]
        crc = zlib.crc32(voxels.astype("<f4").tobytes())
        lines.append("\t".join([f"{where}/{name}", *texts, f"{crc:08x}"]))
    (HERE / "volumes.tsv").write_text("\n".join(lines) + "\n")


def check(source, written):
    a, voxels = read(source)
    b, found = read(written)
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        numpy.testing.assert_allclose(getattr(a, get)(), getattr(b, get)(), atol=1e-4, err_msg=get)
    assert (voxels.astype("f4") == found.astype("f4")).all(), "voxels differ"
    to_ras = numpy.diag([-1, -1, 1, 1])
    affine = numpy.eye(4)
    affine[:3, :3] = numpy.reshape(a.GetDirection(), (3, 3)) @ numpy.diag(a.GetSpacing())
    affine[:3, 3] = a.GetOrigin()
    if ".nii" in written:
        image = nibabel.load(written)
        other, matrices = numpy.asanyarray(image.dataobj), [to_ras @ image.get_sform(), to_ras @ image.get_qform()]
    else:
        other, header = nrrd.read(written)
        matrix = numpy.eye(4)
        matrix[:3, :3], matrix[:3, 3] = header["space directions"].T, header["space origin"]
        matrices = [matrix]
    for matrix in matrices:
        numpy.testing.assert_allclose(matrix, affine, atol=2e-4)
    assert (voxels.T.astype("f4") == other.astype("f4")).all(), "voxels differ"
    print("equal:", source, written)


if __name__ == "__main__":
    {"golden": golden, "expected": expected, "check": check}[sys.argv[1]](*sys.argv[2:])
