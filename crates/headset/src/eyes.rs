//! The two eyes as cameras.

use bevy::camera::{CameraProjection, SubCameraView};
use bevy::math::{Mat4, Quat, Vec3, Vec3A, Vec4};
use bevy::prelude::*;
use bevy::render::extract_component::ExtractComponent;

/// Nearest distance drawn, in metres: close enough to put the head into a wall of the heart.
const NEAR_M: f32 = 0.05;

/// One eye of the headset: 0 left, 1 right.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, ExtractComponent)]
pub struct EyeCamera(pub u32);

/// The asymmetric projection of one eye, reversed depth with the far plane at infinity.
#[derive(Clone, Debug)]
pub(crate) struct EyeProjection {
    clip_from_view: Mat4,
}

impl Default for EyeProjection {
    fn default() -> Self {
        Self::new(openxr::Fovf { angle_left: -0.8, angle_right: 0.8, angle_up: 0.8, angle_down: -0.8 })
    }
}

impl EyeProjection {
    /// From the four half angles that the runtime gives (OpenXR 1.0, 2.14 `XrFovf`, radians).
    pub(crate) fn new(fov: openxr::Fovf) -> Self {
        let (left, right) = (fov.angle_left.tan(), fov.angle_right.tan());
        let (down, up) = (fov.angle_down.tan(), fov.angle_up.tan());
        let (width, height) = (right - left, up - down);
        let clip_from_view = Mat4::from_cols(
            Vec4::new(2.0 / width, 0.0, 0.0, 0.0),
            Vec4::new(0.0, 2.0 / height, 0.0, 0.0),
            Vec4::new((right + left) / width, (up + down) / height, 0.0, -1.0),
            Vec4::new(0.0, 0.0, NEAR_M, 0.0),
        );
        Self { clip_from_view }
    }

    /// The point on the view plane at `z` (negative in front) that lands on a corner of the picture.
    fn corner(&self, x: f32, y: f32, z: f32) -> Vec3A {
        let columns = self.clip_from_view.to_cols_array_2d();
        let (scale_x, scale_y) = (columns[0][0], columns[1][1]);
        let (shift_x, shift_y) = (columns[2][0], columns[2][1]);
        Vec3A::new(-z * (x + shift_x) / scale_x, -z * (y + shift_y) / scale_y, z)
    }
}

impl CameraProjection for EyeProjection {
    fn get_clip_from_view(&self) -> Mat4 {
        self.clip_from_view
    }

    fn get_clip_from_view_for_sub(&self, _sub_view: &SubCameraView) -> Mat4 {
        self.clip_from_view
    }

    fn update(&mut self, _width: f32, _height: f32) {}

    fn far(&self) -> f32 {
        1000.0
    }

    fn get_frustum_corners(&self, z_near: f32, z_far: f32) -> [Vec3A; 8] {
        // Bevy's order: bottom right, top right, top left, bottom left; near, then far.
        let ring = [(1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)];
        let corner = |index: usize, z| self.corner(ring[index].0, ring[index].1, z);
        std::array::from_fn(|i| if i < 4 { corner(i, z_near) } else { corner(i - 4, z_far) })
    }
}

/// An OpenXR pose as a transform; metres in the tracking space.
pub(crate) fn transform(pose: openxr::Posef) -> Transform {
    let (p, q) = (pose.position, pose.orientation);
    Transform::from_translation(Vec3::new(p.x, p.y, p.z)).with_rotation(Quat::from_xyzw(q.x, q.y, q.z, q.w).normalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_eye_equals_a_plain_perspective() {
        let half = 0.7f32;
        let fov = openxr::Fovf { angle_left: -half, angle_right: half, angle_up: half, angle_down: -half };
        let ours = EyeProjection::new(fov).clip_from_view;
        let plain = Mat4::perspective_infinite_reverse_rh(2.0 * half, 1.0, NEAR_M);
        assert!(ours.abs_diff_eq(plain, 1e-5), "{ours} {plain}");
    }

    #[test]
    fn corners_project_onto_the_corners() {
        let fov = openxr::Fovf { angle_left: -0.9, angle_right: 0.6, angle_up: 0.7, angle_down: -0.8 };
        let eye = EyeProjection::new(fov);
        let corners = eye.get_frustum_corners(-0.1, -5.0);
        for (corner, (x, y)) in corners.iter().zip([(1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)].iter().cycle())
        {
            let clip = eye.clip_from_view * Vec3::from(*corner).extend(1.0);
            assert!((clip.x / clip.w - x).abs() < 1e-4 && (clip.y / clip.w - y).abs() < 1e-4, "{corner} {clip}");
        }
    }
}
