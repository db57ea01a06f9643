//! A screen without a monitor: Xvfb, and keys pressed by xdotool.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::monado::pause;
use crate::support::{Picture, Walk, pictures};

/// A running Xvfb; stopped when dropped.
pub(crate) struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    /// Starts a screen, or says why there is none.
    pub(crate) fn start() -> Option<Self> {
        for program in ["Xvfb", "xdotool"] {
            let found = std::env::var_os("PATH")
                .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join(program).exists()));
            if !found {
                println!("skipped: there is no {program}; on Debian install xvfb and xdotool");
                return None;
            }
        }
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts");
        // It prints the number of the display it found free, once it is ready.
        let mut number = String::new();
        let out = server.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut number).expect("the display's number");
        Some(Self { server, display: format!(":{}", number.trim()) })
    }

    /// Lets a program draw on this screen.
    pub(crate) fn show<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("DISPLAY", &self.display)
    }

    fn xdotool(&self, arguments: &[&str]) -> Option<String> {
        let output =
            Command::new("xdotool").args(arguments).env("DISPLAY", &self.display).output().expect("xdotool runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Waits for the walk's window, gives it the keyboard, and moves the mouse out of the way.
    pub(crate) fn focus_window(&self, walk: &mut Child) {
        let start = Instant::now();
        loop {
            assert!(walk.try_wait().unwrap().is_none(), "the walk ended before it had a window");
            assert!(start.elapsed() < Duration::from_secs(120), "the walk opens no window");
            let found = self.xdotool(&["search", "--onlyvisible", "--name", "Vestibule"]);
            if let Some(window) = found.as_deref().and_then(|list| list.lines().next())
                && self.xdotool(&["windowfocus", window]).is_some()
            {
                break;
            }
            pause(250);
        }
        self.xdotool(&["mousemove", "1279", "360"]).expect("the mouse moves");
    }

    /// Taps a key, as by xdotool's name of it.
    pub(crate) fn tap(&self, key: &str) {
        self.xdotool(&["key", key]).expect("the key is known");
    }

    /// Holds a key for a while.
    pub(crate) fn hold(&self, key: &str, milliseconds: u64) {
        self.xdotool(&["keydown", key]).expect("the key is known");
        pause(milliseconds);
        self.xdotool(&["keyup", key]).expect("the key is known");
    }

    /// Has the walk take a picture of itself by its own key, and waits for it.
    pub(crate) fn picture(&self, walk: &mut Walk) -> Picture {
        let before = pictures(&walk.shots);
        self.tap("F12");
        let start = Instant::now();
        loop {
            assert!(walk.program.try_wait().unwrap().is_none(), "the walk ended instead of taking a picture");
            assert!(start.elapsed() < Duration::from_secs(60), "F12 takes no picture");
            let new = pictures(&walk.shots).into_iter().find(|path| !before.contains(path));
            if let Some(picture) = new.as_deref().and_then(Picture::try_open) {
                return picture;
            }
            pause(200);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _already_gone = self.server.kill();
        let _reaped = self.server.wait();
    }
}
