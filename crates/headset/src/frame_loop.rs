//! The session's life and its frame loop, both prepared for a runtime that dies at any call.
//!
//! The main world polls events and waits for the next frame; the render world begins it, takes an image, draws and ends it.
//! Whichever meets an error first records the loss in [`Loss`], which both read; from then on no call is made.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bevy::camera::{ManualTextureViewHandle, RenderTarget};
use bevy::math::UVec2;
use bevy::prelude::*;
use bevy::render::extract_component::ExtractComponentPlugin;
use bevy::render::extract_resource::{ExtractResource, ExtractResourcePlugin};
use bevy::render::render_resource::{Texture, TextureFormat, TextureViewDescriptor, TextureViewDimension};
use bevy::render::texture::{ManualTextureView, ManualTextureViews};
use bevy::render::view::ExtractedView;
use bevy::render::{Render, RenderApp, RenderSystems};
use bevy_mod_openxr::resources::OxrInstance;
use openxr::{
    CompositionLayerProjection, CompositionLayerProjectionView, EnvironmentBlendMode, Event, EventDataBuffer,
    FrameStream, FrameWaiter, SessionState, SwapchainSubImage, ViewConfigurationType, ViewStateFlags, Vulkan,
};
use walkthrough::locomotion::RigRoot;
use walkthrough::panel::PanelHome;
use walkthrough::session::SessionLost;

use crate::actions::Actions;
use crate::eyes::{EyeCamera, EyeProjection, transform};
use crate::input::{self, EyesPose, Hands};

/// Two texture views that nobody else uses.
const EYE_TARGETS: [ManualTextureViewHandle; 2] =
    [ManualTextureViewHandle(0x5645_5300), ManualTextureViewHandle(0x5645_5301)];

/// Where the session stands.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadsetState {
    /// Open, but the runtime has not asked for frames yet.
    #[default]
    Waiting,
    /// Frames are drawn.
    Running,
    /// The person left by the headset's own menu.
    Ended,
    /// The runtime failed; [`SessionLost`] told the walk.
    Lost,
}

/// Order of the headset's work.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadsetSystems {
    /// Polls events and waits for the frame. Runs in [`First`].
    Wait,
    /// Turns poses and buttons into messages. Runs in [`PreUpdate`].
    Read,
}

/// Draws the eyes and feeds the walk; made by [`crate::open`].
pub struct HeadsetPlugin {
    open: Mutex<Option<(Session, Output)>>,
}

/// Why the runtime is gone, set once by whichever world met it.
#[derive(Resource, Clone, Default)]
pub(crate) struct Loss(Arc<OnceLock<String>>);

impl Loss {
    pub(crate) fn record(&self, step: &str, error: impl std::fmt::Display) {
        // The first reason counts; what fails later fails because of it.
        let _already = self.0.set(format!("{step}: {error}"));
    }

    fn happened(&self) -> bool {
        self.0.get().is_some()
    }
}

/// The main world's half of the session.
#[derive(Resource)]
pub(crate) struct Session {
    instance: OxrInstance,
    pub(crate) session: openxr::Session<Vulkan>,
    waiter: FrameWaiter,
    pub(crate) stage: Arc<openxr::Space>,
    pub(crate) actions: Actions,
    frames: u64,
}

impl Session {
    pub(crate) fn new(
        instance: OxrInstance,
        session: openxr::Session<Vulkan>,
        waiter: FrameWaiter,
        stage: Arc<openxr::Space>,
        actions: Actions,
    ) -> Self {
        Self { instance, session, waiter, stage, actions, frames: 0 }
    }
}

/// The frame that was waited for; the render world begins each number once.
#[derive(Resource, Clone, Default, ExtractResource)]
pub(crate) struct Frame {
    number: u64,
    pub(crate) state: Option<openxr::FrameState>,
}

impl Frame {
    /// When what is drawn now will be seen.
    pub(crate) fn display_time(&self) -> Option<openxr::Time> {
        self.state.map(|s| s.predicted_display_time)
    }
}

/// Where the tracking space lies in the scene, for the render world's late poses.
#[derive(Resource, Clone, Copy, Default, ExtractResource)]
struct SceneFromTracking(GlobalTransform);

/// The render world's half of the session.
#[derive(Resource)]
pub(crate) struct Output {
    session: openxr::Session<Vulkan>,
    stream: FrameStream<Vulkan>,
    swapchain: openxr::Swapchain<Vulkan>,
    images: Vec<[ManualTextureView; 2]>,
    stage: Arc<openxr::Space>,
    blend_mode: EnvironmentBlendMode,
    resolution: UVec2,
    views: Vec<openxr::View>,
    begun: Option<Begun>,
    last_number: u64,
}

#[derive(Clone, Copy)]
struct Begun {
    time: openxr::Time,
    has_image: bool,
}

impl Output {
    pub(crate) fn new(
        session: openxr::Session<Vulkan>,
        stream: FrameStream<Vulkan>,
        swapchain: openxr::Swapchain<Vulkan>,
        images: &[impl Clone + Into<Texture>],
        stage: Arc<openxr::Space>,
        blend_mode: EnvironmentBlendMode,
        resolution: UVec2,
    ) -> Self {
        let images = images
            .iter()
            .map(|image| {
                let texture: Texture = image.clone().into();
                [0, 1].map(|eye| eye_view(&texture, eye, resolution))
            })
            .collect();
        Self {
            session,
            stream,
            swapchain,
            images,
            stage,
            blend_mode,
            resolution,
            views: Vec::new(),
            begun: None,
            last_number: 0,
        }
    }
}

fn eye_view(texture: &Texture, eye: u32, size: UVec2) -> ManualTextureView {
    let texture_view = texture.create_view(&TextureViewDescriptor {
        dimension: Some(TextureViewDimension::D2),
        array_layer_count: Some(1),
        base_array_layer: eye,
        ..default()
    });
    ManualTextureView { texture_view, size, view_format: TextureFormat::Rgba8UnormSrgb }
}

impl HeadsetPlugin {
    pub(crate) fn new(session: Session, output: Output) -> Self {
        Self { open: Mutex::new(Some((session, output))) }
    }
}

impl Plugin for HeadsetPlugin {
    fn build(&self, app: &mut App) {
        let Some((session, output)) = self.open.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            error!("a headset session can be given to one app only");
            return;
        };
        let loss = Loss::default();
        if let (Some(views), Some(image)) =
            (app.world_mut().get_resource_mut::<ManualTextureViews>(), output.images.first())
        {
            let views = views.into_inner();
            for (target, view) in EYE_TARGETS.into_iter().zip(image) {
                views.insert(target, view.clone());
            }
        }
        app.insert_resource(session)
            .insert_resource(loss.clone())
            .init_resource::<HeadsetState>()
            .init_resource::<Frame>()
            .init_resource::<SceneFromTracking>()
            .init_resource::<Hands>()
            .init_resource::<EyesPose>()
            .insert_resource(PanelHome::InFront)
            .add_message::<SessionLost>()
            .add_plugins((
                ExtractResourcePlugin::<Frame>::default(),
                ExtractResourcePlugin::<SceneFromTracking>::default(),
                ExtractComponentPlugin::<EyeCamera>::default(),
            ))
            .add_systems(PostStartup, spawn_eyes)
            .add_systems(First, (poll_events, wait_frame, report_loss).chain().in_set(HeadsetSystems::Wait))
            .add_systems(PreUpdate, (place_eyes, input::read).chain().in_set(HeadsetSystems::Read).run_if(is_running))
            .add_systems(PostUpdate, input::feel.run_if(is_running))
            .add_systems(Last, follow_origin)
            .add_systems(Last, request_exit.run_if(on_message::<AppExit>));
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else {
            error!("the headset needs a renderer");
            return;
        };
        render_app.insert_resource(output).insert_resource(loss).add_systems(
            Render,
            begin_frame
                .after(RenderSystems::ExtractCommands)
                .before(RenderSystems::PrepareAssets)
                .before(before_views()),
        );
        render_app.add_systems(Render, end_frame.after(RenderSystems::Render).before(RenderSystems::Cleanup));
    }
}

/// The set in which Bevy looks up what cameras draw to.
fn before_views() -> impl IntoSystemSet<()> {
    RenderSystems::PrepareViews.into_system_set()
}

fn is_running(state: Res<HeadsetState>, loss: Res<Loss>) -> bool {
    *state == HeadsetState::Running && !loss.happened()
}

fn spawn_eyes(mut commands: Commands, origin: Query<Entity, With<RigRoot>>) {
    for eye in [0, 1] {
        let mut camera = commands.spawn((
            Camera3d::default(),
            Camera { order: -10 + eye as isize, is_active: false, ..default() },
            RenderTarget::TextureView(EYE_TARGETS[eye as usize]),
            Projection::custom(EyeProjection::default()),
            Msaa::Off,
            EyeCamera(eye),
            Name::new(if eye == 0 { "left eye" } else { "right eye" }),
        ));
        if let Ok(origin) = origin.single() {
            camera.insert(ChildOf(origin));
        }
    }
}

fn poll_events(session: ResMut<Session>, loss: Res<Loss>, mut state: ResMut<HeadsetState>) {
    if loss.happened() {
        return;
    }
    let mut buffer = EventDataBuffer::default();
    loop {
        let changed = match session.instance.poll_event(&mut buffer) {
            Ok(None) => return,
            Ok(Some(Event::SessionStateChanged(event))) => event.state(),
            Ok(Some(Event::InstanceLossPending(_))) => return loss.record("runtime", "it announced its end"),
            Ok(Some(_)) => continue,
            Err(error) => return loss.record("polling events", error),
        };
        let result = match changed {
            SessionState::READY => {
                *state = HeadsetState::Running;
                session.session.begin(ViewConfigurationType::PRIMARY_STEREO).map(drop)
            }
            SessionState::STOPPING => {
                *state = HeadsetState::Waiting;
                session.session.end().map(drop)
            }
            SessionState::EXITING => {
                *state = HeadsetState::Ended;
                Ok(())
            }
            SessionState::LOSS_PENDING => return loss.record("session", "the runtime announced its loss"),
            _ => Ok(()),
        };
        if let Err(error) = result {
            return loss.record("changing the session's state", error);
        }
    }
}

fn wait_frame(
    mut session: ResMut<Session>,
    loss: Res<Loss>,
    state: Res<HeadsetState>,
    mut frame: ResMut<Frame>,
    mut cameras: Query<&mut Camera, With<EyeCamera>>,
) {
    let waited = if *state == HeadsetState::Running && !loss.happened() {
        session.waiter.wait().map_err(|error| loss.record("waiting for a frame", error)).ok()
    } else {
        None
    };
    if waited.is_some() {
        session.frames += 1;
    }
    if waited.is_some() || frame.state.is_some() {
        *frame = Frame { number: session.frames, state: waited };
    }
    let draws = waited.is_some_and(|s| s.should_render);
    for mut camera in &mut cameras {
        if camera.is_active != draws {
            camera.is_active = draws;
        }
    }
}

/// Tells the walk once that the headset is gone, and takes its eyes away.
fn report_loss(
    loss: Res<Loss>,
    mut state: ResMut<HeadsetState>,
    mut lost: MessageWriter<SessionLost>,
    mut commands: Commands,
    eyes: Query<Entity, With<EyeCamera>>,
) {
    if *state == HeadsetState::Lost {
        return;
    }
    let Some(reason) = loss.0.get() else { return };
    *state = HeadsetState::Lost;
    lost.write(SessionLost { message: format!("the headset's runtime is gone ({reason})") });
    for eye in &eyes {
        commands.entity(eye).despawn();
    }
}

/// Gives the cameras the pose and the projection of their eye, for culling; the render world asks again, later.
fn place_eyes(
    session: Res<Session>,
    loss: Res<Loss>,
    frame: Res<Frame>,
    mut eyes: Query<(&EyeCamera, &mut Transform, &mut Projection)>,
    mut head: ResMut<EyesPose>,
) {
    let Some(time) = frame.display_time() else { return };
    let located = session.session.locate_views(ViewConfigurationType::PRIMARY_STEREO, time, &session.stage);
    let views = match located {
        Ok((flags, views)) if flags.contains(ViewStateFlags::ORIENTATION_VALID | ViewStateFlags::POSITION_VALID) => {
            views
        }
        Ok(_) => return,
        Err(error) => return loss.record("locating the head", error),
    };
    for (eye, mut place, mut projection) in &mut eyes {
        if let Some(view) = views.get(eye.0 as usize) {
            *place = transform(view.pose);
            *projection = Projection::custom(EyeProjection::new(view.fov));
        }
    }
    if let [left, right] = views.as_slice() {
        let (left, right) = (transform(left.pose), transform(right.pose));
        let between = Transform::from_translation((left.translation + right.translation) / 2.0);
        head.0 = Some(between.with_rotation(left.rotation.slerp(right.rotation, 0.5)));
    }
}

fn follow_origin(origin: Query<&GlobalTransform, With<RigRoot>>, mut scene: ResMut<SceneFromTracking>) {
    if let Ok(origin) = origin.single() {
        scene.0 = *origin;
    }
}

fn request_exit(session: Res<Session>, state: Res<HeadsetState>, loss: Res<Loss>) {
    if *state == HeadsetState::Running
        && !loss.happened()
        && let Err(error) = session.session.request_exit()
    {
        loss.record("leaving", error);
    }
}

/// Begins the frame, takes an image for both eyes and asks for the newest poses.
fn begin_frame(
    output: Option<ResMut<Output>>,
    loss: Res<Loss>,
    frame: Res<Frame>,
    scene: Res<SceneFromTracking>,
    mut targets: ResMut<ManualTextureViews>,
    mut cameras: Query<(&EyeCamera, &mut ExtractedView)>,
) {
    let (Some(output), Some(state)) = (output, frame.state) else { return };
    let output = output.into_inner();
    if loss.happened() || frame.number == output.last_number {
        return;
    }
    output.last_number = frame.number;
    if let Err(error) = output.stream.begin() {
        return loss.record("beginning a frame", error);
    }
    let mut begun = Begun { time: state.predicted_display_time, has_image: false };
    if state.should_render {
        match output.take_image() {
            Ok(index) => {
                begun.has_image = true;
                for (target, view) in EYE_TARGETS.into_iter().zip(&output.images[index]) {
                    targets.insert(target, view.clone());
                }
            }
            Err(error) => return loss.record("taking a picture to draw on", error),
        }
        match output.session.locate_views(ViewConfigurationType::PRIMARY_STEREO, begun.time, &output.stage) {
            Ok((flags, views))
                if flags.contains(ViewStateFlags::ORIENTATION_VALID | ViewStateFlags::POSITION_VALID) =>
            {
                output.views = views;
            }
            Ok(_) => {}
            Err(error) => return loss.record("locating the eyes", error),
        }
    }
    output.begun = Some(begun);
    for (eye, mut view) in &mut cameras {
        if let Some(located) = output.views.get(eye.0 as usize) {
            view.world_from_view = scene.0.mul_transform(transform(located.pose));
        }
    }
}

impl Output {
    fn take_image(&mut self) -> openxr::Result<usize> {
        let index = self.swapchain.acquire_image()? as usize;
        self.swapchain.wait_image(openxr::Duration::INFINITE)?;
        if index < self.images.len() { Ok(index) } else { Err(openxr::sys::Result::ERROR_RUNTIME_FAILURE) }
    }

    fn submit(&mut self, begun: Begun) -> openxr::Result<()> {
        if begun.has_image {
            self.swapchain.release_image()?;
        }
        let [left, right] = self.views.as_slice() else {
            return self.stream.end(begun.time, self.blend_mode, &[]);
        };
        if !begun.has_image {
            return self.stream.end(begun.time, self.blend_mode, &[]);
        }
        let extent = openxr::Extent2Di { width: self.resolution.x as i32, height: self.resolution.y as i32 };
        let rect = openxr::Rect2Di { offset: openxr::Offset2Di { x: 0, y: 0 }, extent };
        let eye = |index: u32, view: &openxr::View| {
            let image = SwapchainSubImage::new().swapchain(&self.swapchain).image_array_index(index).image_rect(rect);
            CompositionLayerProjectionView::new().pose(view.pose).fov(view.fov).sub_image(image)
        };
        let views = [eye(0, left), eye(1, right)];
        let layer = CompositionLayerProjection::new().space(&self.stage).views(&views);
        self.stream.end(begun.time, self.blend_mode, &[&layer])
    }
}

/// Hands the picture to the runtime.
fn end_frame(output: Option<ResMut<Output>>, loss: Res<Loss>) {
    let Some(output) = output else { return };
    let output = output.into_inner();
    let Some(begun) = output.begun.take() else { return };
    if loss.happened() {
        return;
    }
    if let Err(error) = output.submit(begun) {
        loss.record("handing over the picture", error);
    }
}
