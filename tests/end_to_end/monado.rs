//! A real OpenXR runtime without a headset: Monado with its "remote" driver, head and hands sent over TCP.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Bytes of one state of head and hands (Monado 25, `remote` driver, protocol "mndrmt3").
const PACKET: usize = 376;

/// A running service; stopped when dropped.
pub(crate) struct Monado {
    root: PathBuf,
    runtime_dir: TempDir,
    service: Child,
    port: u16,
}

impl Monado {
    /// Starts a service, or says why there is none.
    pub(crate) fn start() -> Option<Self> {
        let Some(root) = std::env::var_os("VESTIBULE_XR_RUNTIME").map(PathBuf::from) else {
            println!("skipped: VESTIBULE_XR_RUNTIME names no OpenXR runtime; `cargo xtask test` provides one");
            return None;
        };
        let runtime_dir = tempfile::Builder::new().prefix("xr").tempdir().expect("a folder");
        fs::set_permissions(runtime_dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("mode 700");
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its number").port();
        let config = runtime_dir.path().join("config/monado");
        fs::create_dir_all(&config).expect("a folder");
        let remote = format!(r#"{{"active":"remote","remote":{{"version":0,"port":{port},"view_count":2}}}}"#);
        fs::write(config.join("config_v0.json"), remote).expect("a file");
        let mut command = through_loader(&root, &root.join("usr/bin/monado-service"));
        let service = command
            .env("XDG_RUNTIME_DIR", runtime_dir.path())
            .env("XDG_CONFIG_HOME", runtime_dir.path().join("config"))
            .env("P_OVERRIDE_ACTIVE_CONFIG", "remote")
            .env("XRT_NO_STDIN", "1")
            .env("XRT_LOG", "error")
            .env("XRT_COMPOSITOR_NULL", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("monado-service starts");
        let monado = Self { root, runtime_dir, service, port };
        let socket = monado.runtime_dir.path().join("monado_comp_ipc");
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "monado-service opened no socket");
            pause(50);
        }
        Some(monado)
    }

    /// The program under test, connected to this service and to no display.
    pub(crate) fn vestibule(&self) -> Command {
        let mut command = through_loader(&self.root, Path::new(env!("CARGO_BIN_EXE_vestibule")));
        command
            .env("XDG_RUNTIME_DIR", self.runtime_dir.path())
            .env("XR_RUNTIME_JSON", self.root.join("usr/share/openxr/1/openxr_monado.json"))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null());
        command
    }

    /// Takes over head and hands.
    pub(crate) fn remote(&self) -> Remote {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the remote driver listens");
        stream.set_nodelay(true).expect("a TCP option");
        // The hub greets with its reset state and its latest state.
        stream.read_exact(&mut [0; 2 * PACKET]).expect("a greeting");
        Remote(stream)
    }

    /// Kills the service as a crash would.
    pub(crate) fn kill(&mut self) {
        self.service.kill().expect("the service can be killed");
        self.service.wait().expect("it ends");
    }
}

impl Drop for Monado {
    fn drop(&mut self) {
        let _already_dead = self.service.kill();
        let _reaped = self.service.wait();
    }
}

/// A program that uses the libraries of an unpacked system tree; `/` is this system itself.
fn through_loader(root: &Path, program: &Path) -> Command {
    if root == Path::new("/") {
        return Command::new(program);
    }
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let mut paths = libraries.clone().into_os_string();
    for more in ["blas", "lapack", "pulseaudio"] {
        paths.push(":");
        paths.push(libraries.join(more));
    }
    paths.push(":");
    paths.push(root.join("usr/lib"));
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(paths).arg(program);
    command.env("VK_DRIVER_FILES", root.join("usr/share/vulkan/icd.d/lvp_icd.json"));
    command
}

/// A position in metres and a turn about the vertical in degrees, in the stage.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) at: [f32; 3],
    pub(crate) yaw_degrees: f32,
}

impl Place {
    fn bytes(self) -> Vec<u8> {
        let half = self.yaw_degrees.to_radians() / 2.0;
        let [x, y, z] = self.at;
        [0.0, half.sin(), 0.0, half.cos(), x, y, z].iter().flat_map(|v: &f32| v.to_le_bytes()).collect()
    }
}

/// What a controller does.
#[derive(Clone, Copy, Default)]
pub(crate) struct Buttons {
    pub(crate) trigger: f32,
    pub(crate) squeeze: f32,
    pub(crate) stick: [f32; 2],
    pub(crate) b: bool,
}

/// The connection that moves head and hands.
pub(crate) struct Remote(TcpStream);

impl Remote {
    /// Sends a full state; it stays until the next one.
    pub(crate) fn send(&mut self, head: Place, left: (Place, Buttons), right: (Place, Buttons)) {
        let mut packet = b"mndrmt3\0".to_vec();
        packet.extend([0; 96]);
        packet.extend(head.bytes());
        packet.extend([0; 4]);
        for (place, buttons) in [left, right] {
            packet.extend(place.bytes());
            // Velocities and finger curl: at rest.
            let mut numbers = vec![0.0f32; 11];
            let [x, y] = buttons.stick;
            numbers.extend([buttons.trigger, buttons.squeeze, buttons.squeeze, x, y, 0.0, 0.0, 0.0]);
            packet.extend(numbers.iter().flat_map(|v| v.to_le_bytes()));
            let mut switches = [0u8; 16];
            switches[1] = 1;
            switches[6] = u8::from(buttons.b);
            switches[8] = u8::from(buttons.trigger > 0.5);
            packet.extend(switches);
        }
        assert_eq!(packet.len(), PACKET);
        self.0.write_all(&packet).expect("the service listens");
    }
}

pub(crate) fn pause(milliseconds: u64) {
    std::thread::park_timeout(Duration::from_millis(milliseconds));
}
