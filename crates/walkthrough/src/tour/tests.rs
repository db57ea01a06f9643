use super::*;
use crate::clip::ClipPlanes;
use crate::locomotion::Viewer;
use crate::planes::ScanPlanes;
use crate::session::WalkEnded;
use crate::test_support::{fake_case, head_case, staged_app};
use crate::visibility::Drawn;
use bevy_ecs::message::Messages;

/// The tour the app embeds.
const TOUR: &str = include_str!("../../../../scenes/tour.ron");

#[test]
fn the_scene_of_the_whole_body_is_sound() {
    let body = Tour::parse(include_str!("../../../../scenes/body.ron"), "body.ron").unwrap();
    assert!(body.shots.iter().any(|s| matches!(s.view, View::Along { .. })) && body.shots.len() > 12);
}

/// What was to be seen in each picture.
struct Seen {
    stem: String,
    visible: Vec<String>,
    viewer: Viewer,
    body: BodyPose,
    clip: bool,
    planes: usize,
}

fn take(contents: crate::stage::StageContents) -> Vec<Seen> {
    let mut app = staged_app(contents);
    app.insert_resource(TourRun::new(Tour::parse(TOUR, "tour.ron").unwrap()));
    let mut seen = Vec::new();
    for _ in 0..2000 {
        app.update();
        let asked: Vec<PictureRequested> =
            app.world().resource::<Messages<PictureRequested>>().iter_current_update_messages().cloned().collect();
        for request in asked {
            let stem = request.stem.expect("a tour names its pictures");
            let mut visible: Vec<String> = app
                .world_mut()
                .query::<(&SegmentInfo, &Drawn)>()
                .iter(app.world())
                .filter(|(_, d)| d.visible)
                .map(|(i, _)| i.name.clone())
                .collect();
            visible.sort();
            let planes = app.world().resource::<ScanPlanes>();
            seen.push(Seen {
                stem: stem.clone(),
                visible,
                viewer: *app.world().resource::<Viewer>(),
                body: *app.world().resource::<BodyPose>(),
                clip: app.world().resource::<ClipPlanes>().enabled().count() > 0,
                planes: PlaneKind::ALL.into_iter().filter(|k| planes.get(*k).visible).count(),
            });
            app.world_mut().write_message(PictureTaken { file: format!("{stem}.png"), problem: None });
        }
        let ended = app.world().resource::<Messages<WalkEnded>>();
        if let Some(ended) = ended.iter_current_update_messages().next() {
            assert_eq!(ended.reason, EndReason::TourOver);
            return seen;
        }
    }
    panic!("the tour did not end after {} pictures", seen.len());
}

#[test]
fn alone_it_waits_for_a_case() {
    let mut app = App::new();
    app.add_plugins((TourPlugin, crate::stage::StagePlugin));
    app.insert_resource(TourRun::new(Tour::parse(TOUR, "tour.ron").unwrap()));
    for _ in 0..10 {
        app.update();
    }
    assert!(!app.world().resource::<TourRun>().is_over());
}

#[test]
fn a_torso_is_shown_from_all_sides_and_taken_apart() {
    let seen = take(fake_case());
    assert!(seen.len() >= 8, "{:?}", seen.iter().map(|s| &s.stem).collect::<Vec<_>>());
    let shot = |name: &str| seen.iter().find(|s| s.stem.ends_with(name)).unwrap_or_else(|| panic!("no shot {name}"));
    let ahead = |name: &str| shot(name).viewer.0.forward();
    assert!(ahead("-front").z < -0.99, "from the front one looks to the back");
    assert!(ahead("-left").x < -0.99, "from the patient's left, which is +X, one looks to −X");
    assert!(ahead("-back").z > 0.99);
    assert_eq!(shot("-skeleton").visible, ["skeleton", "sternum"]);
    assert!(!shot("-organs").visible.contains(&"body".to_owned()));
    assert!(shot("-organs").visible.contains(&"heart".to_owned()));
    assert!(shot("-glass").visible.contains(&"body".to_owned()));
    assert!(shot("-cut-axial").clip && shot("-cut-coronal").clip);
    assert_eq!(shot("-planes").planes, 3);
    assert!(seen.iter().any(|s| s.body.magnification.0 >= 5.0), "something is walked into");
    for s in &seen {
        assert!(s.viewer.0.position.is_finite(), "{}", s.stem);
        assert!(!s.visible.is_empty() || s.planes > 0, "{} shows nothing", s.stem);
    }
}

#[test]
fn a_case_with_only_a_head_has_a_tour_too() {
    let seen = take(head_case());
    assert!(seen.len() >= 6, "DESIGN.md: at least 6 pictures; {:?}", seen.iter().map(|s| &s.stem).collect::<Vec<_>>());
    assert!(seen.iter().all(|s| s.visible == ["head"] || s.planes > 0));
}

#[test]
fn the_inner_picture_is_taken_inside() {
    let contents = fake_case();
    let structures: Structures = contents.segments.iter().map(|s| (&s.info, &*s.shape)).collect();
    let view = View::Inside { of: vec![Pick::Segment("heart".to_owned())], towards: AnatomicalAxis::Superior };
    let aim = aim(&view, &structures, &contents.extent);
    let heart = contents.segments.iter().find(|s| s.info.name == "heart").unwrap();
    assert!(heart.shape.contains(aim.eye.as_vec3()), "{aim:?}");
    assert!((aim.look_at - aim.eye).y > 0.49);
}

#[test]
fn stems_are_numbered_without_gaps() {
    let stems: Vec<String> = take(head_case()).into_iter().map(|s| s.stem).collect();
    for (n, stem) in stems.iter().enumerate() {
        assert!(stem.starts_with(&format!("{:02}-", n + 1)), "{stem}");
    }
}

#[test]
fn the_whole_body_fits_into_the_picture() {
    let contents = fake_case();
    for shot in Tour::parse(TOUR, "tour.ron").unwrap().shots {
        let View::Around { of, fill, .. } = &shot.view else { continue };
        if of.as_slice() != [Pick::Body] || *fill > 1.0 {
            continue;
        }
        let aim = aim(&shot.view, &Vec::new(), &contents.extent);
        let ahead = (aim.look_at - aim.eye).normalize();
        let across = ahead.cross(glam::DVec3::Y).normalize();
        let up = across.cross(ahead);
        let slope = (crate::locomotion::VERTICAL_FOV_DEGREES.to_radians() * 0.5).tan();
        let mut fullest = 0.0f64;
        for n in 0..8 {
            let sign = |bit| if n & bit == 0 { -1.0 } else { 1.0 };
            let corner = aim.centre.get() + aim.half * glam::DVec3::new(sign(1), sign(2), sign(4));
            let to = corner - aim.eye.get();
            let (depth, high, wide) = (to.dot(ahead), to.dot(up).abs(), to.dot(across).abs());
            assert!(high <= depth * slope + 1e-9, "{}: corner above or below the picture", shot.name);
            assert!(wide <= depth * slope * 4.0 / 3.0 + 1e-9, "{}: corner beside the picture", shot.name);
            fullest = fullest.max(high / (depth * slope)).max(wide / (depth * slope * 4.0 / 3.0));
        }
        assert!((fullest - fill).abs() < 1e-6, "{}: fills {fullest}, not {fill}", shot.name);
    }
}

#[test]
fn faulty_scenes_are_refused_with_the_reason() {
    let check = |text: &str, part: &str| {
        let error = Tour::parse(text, "my.ron").unwrap_err().to_string();
        assert!(error.contains(part) && error.ends_with("my.ron"), "{error}");
    };
    let with = |shots: &str| format!("(title: \"x\", settle_frames: 2, shots: [{shots}])");
    let view = "view: Inside(of: [], towards: Left)";
    check("(title: 3)", "Expected string");
    check(&with(""), "at least one shot");
    check(&with(&format!("(name: \"A b\", {view})")), "found `A b`");
    check(&with(&format!("(name: \"a\", {view}), (name: \"a\", {view})")), "unique");
    check(&with(&format!("(name: \"a\", {view}, magnification: 50.0)")), "magnification of shot `a` must be 1 to 20");
    check(&with(&format!("(name: \"a\", {view}, zoom: 2)")), "zoom");
    check(&with("(name: \"a\", view: Around(of: [], from: Left, fill: 9.0))"), "fill of shot `a`");
}
