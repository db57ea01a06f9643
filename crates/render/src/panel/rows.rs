//! The look of a panel's rows, at the places its layout gives.

use bevy::ecs::hierarchy::ChildSpawnerCommands;
use bevy::prelude::*;
use bevy::text::LineBreak;
use walkthrough::panel::layout::{MARGIN_PX, TITLE_PX, row_rect};
use walkthrough::panel::{Control, Panel, Part, RectPx, RowContent, TextTone};

use crate::font::{heavy, plain};
use crate::palette;

/// Size of text in rows.
const TEXT_PX: f32 = 14.0;
/// Size of less important text.
const SMALL_PX: f32 = 12.5;

/// Everything of a panel that can be seen now.
pub(super) fn draw(parent: &mut ChildSpawnerCommands, panel: &Panel) {
    let [width, height] = panel.size_px;
    fill(parent, RectPx { x: 0.0, y: 0.0, width, height }, palette::GROUND, 10.0);
    for (index, row) in panel.rows.iter().enumerate() {
        let line = moved(row_rect(index), panel.scroll_px);
        if line.y + line.height < TITLE_PX || line.y > height {
            continue;
        }
        let controls = panel.controls.iter().enumerate().filter(|(_, control)| control.row == index);
        let controls: Vec<Shown> = controls
            .filter(|(_, control)| control.part != Part::Close)
            .map(|(at, control)| Shown {
                control,
                rect: moved(control.rect, panel.scroll_px),
                is_hovered: panel.hovered == Some(at),
                is_pressed: panel.pressed == Some(at),
            })
            .collect();
        draw_row(parent, &row.content, line, &controls);
    }
    draw_title(parent, panel);
    draw_scroll_bar(parent, panel);
}

struct Shown<'a> {
    control: &'a Control,
    rect: RectPx,
    is_hovered: bool,
    is_pressed: bool,
}

impl Shown<'_> {
    fn ground(&self, is_on: bool) -> Color {
        match (self.is_pressed, is_on, self.is_hovered) {
            (true, ..) => palette::PRESSED,
            (_, true, _) => palette::ON,
            (_, _, true) => palette::HOVERED,
            _ => palette::CONTROL,
        }
    }
}

fn moved(rect: RectPx, scroll_px: f32) -> RectPx {
    RectPx { y: rect.y - scroll_px, ..rect }
}

fn part<'a, 'b>(controls: &'a [Shown<'b>], wanted: Part) -> Option<&'a Shown<'b>> {
    controls.iter().find(|shown| shown.control.part == wanted)
}

fn draw_title(parent: &mut ChildSpawnerCommands, panel: &Panel) {
    let [width, _] = panel.size_px;
    let bar = RectPx { x: 0.0, y: 0.0, width, height: TITLE_PX };
    parent
        .spawn((Node { border_radius: BorderRadius::top(px(10.0)), ..absolute(bar) }, BackgroundColor(palette::TITLE)));
    let words = RectPx { x: MARGIN_PX, width: width - 2.0 * MARGIN_PX - 40.0, ..bar };
    label(parent, words, &panel.title, heavy(16.0), palette::TEXT, JustifyContent::Start);
    let close = panel.controls.iter().enumerate().find(|(_, control)| control.part == Part::Close);
    if let Some((at, control)) = close {
        let shown = Shown {
            control,
            rect: control.rect,
            is_hovered: panel.hovered == Some(at),
            is_pressed: panel.pressed == Some(at),
        };
        button(parent, &shown, "×", false, true);
    }
}

fn draw_scroll_bar(parent: &mut ChildSpawnerCommands, panel: &Panel) {
    let [width, height] = panel.size_px;
    let longest = panel.longest_scroll_px();
    if longest <= 0.0 {
        return;
    }
    let track = height - TITLE_PX - 8.0;
    let size = (track * (height - TITLE_PX) / (height - TITLE_PX + longest)).max(24.0);
    let y = TITLE_PX + 4.0 + (track - size) * (panel.scroll_px / longest).clamp(0.0, 1.0);
    fill(parent, RectPx { x: width - 7.0, y, width: 4.0, height: size }, palette::PRESSED, 2.0);
}

fn draw_row(parent: &mut ChildSpawnerCommands, content: &RowContent, line: RectPx, controls: &[Shown]) {
    let words = RectPx { x: MARGIN_PX, width: line.width - 2.0 * MARGIN_PX, ..line };
    match content {
        RowContent::Text { text, tone } => {
            let (font, color) = match tone {
                TextTone::Heading => (heavy(TEXT_PX), palette::TEXT),
                TextTone::Plain => (plain(TEXT_PX), palette::TEXT),
                TextTone::Faint => (plain(SMALL_PX), palette::FAINT),
                TextTone::Warning => (plain(TEXT_PX), palette::WARNING),
            };
            if *tone == TextTone::Heading {
                let rule = RectPx { y: line.y + line.height - 2.0, height: 1.0, ..words };
                fill(parent, rule, palette::LINE, 0.0);
            }
            label(parent, words, text, font, color, JustifyContent::Start);
        }
        RowContent::Pair { left, right } => {
            let half = RectPx { width: words.width * 0.52, ..words };
            label(parent, half, left, plain(TEXT_PX), palette::TEXT, JustifyContent::Start);
            let rest = RectPx { x: half.x + half.width, width: words.width - half.width, ..words };
            label(parent, rest, right, plain(SMALL_PX), palette::FAINT, JustifyContent::Start);
        }
        RowContent::Buttons(buttons) => {
            for shown in controls {
                let Part::Button(place) = shown.control.part else { continue };
                let Some(data) = buttons.get(place) else { continue };
                button(parent, shown, &data.label, data.on, data.enabled);
            }
        }
        RowContent::Toggle { label: text, on, .. } => {
            let Some(shown) = part(controls, Part::Toggle) else { return };
            label(parent, words, text, plain(TEXT_PX), palette::TEXT, JustifyContent::Start);
            switch(parent, shown, *on);
        }
        RowContent::Slider { label: text, fraction, value, .. } => {
            let Some(shown) = part(controls, Part::Slider) else { return };
            let left = RectPx { width: shown.rect.x - words.x - 6.0, ..words };
            label(parent, left, text, plain(TEXT_PX), palette::TEXT, JustifyContent::Start);
            slider(parent, shown, *fraction);
            let end = shown.rect.x + shown.rect.width + 6.0;
            let right = RectPx { x: end, width: words.x + words.width - end, ..words };
            label(parent, right, value, plain(SMALL_PX), palette::FAINT, JustifyContent::End);
        }
        RowContent::Search { text, focused } => {
            let Some(shown) = part(controls, Part::Field) else { return };
            search_field(parent, shown, text, *focused);
        }
        RowContent::Group { label: text, drawn, unfolded, .. } => draw_group(parent, controls, text, *drawn, *unfolded),
        RowContent::Segment { .. } => draw_segment(parent, controls, content, words),
        RowContent::Measurement { label: text, value, .. } => {
            let left = RectPx { width: words.width - 130.0, ..words };
            label(parent, left, text, plain(SMALL_PX), palette::TEXT, JustifyContent::Start);
            let right = RectPx { x: words.x + words.width - 126.0, width: 90.0, ..words };
            label(parent, right, value, heavy(TEXT_PX), palette::TEXT, JustifyContent::End);
            if let Some(shown) = part(controls, Part::Delete) {
                button(parent, shown, "×", false, true);
            }
        }
    }
}

fn draw_group(parent: &mut ChildSpawnerCommands, controls: &[Shown], text: &str, drawn: [usize; 2], unfolded: bool) {
    if let Some(shown) = part(controls, Part::Eye) {
        eye(parent, shown, drawn[0] > 0, 1.0);
    }
    if let Some(shown) = part(controls, Part::Fold) {
        fill(parent, shown.rect, shown.ground(false), 5.0);
        let words = RectPx { x: shown.rect.x + 28.0, width: shown.rect.width - 90.0, ..shown.rect };
        fold_sign(parent, shown.rect, unfolded);
        label(parent, words, text, heavy(TEXT_PX), palette::TEXT, JustifyContent::Start);
        let count = RectPx { x: shown.rect.x, width: shown.rect.width - 10.0, ..shown.rect };
        let numbers = format!("{} of {}", drawn[0], drawn[1]);
        label(parent, count, &numbers, plain(SMALL_PX), palette::FAINT, JustifyContent::End);
    }
    if let Some(shown) = part(controls, Part::Solo) {
        button(parent, shown, "1", false, true);
    }
}

fn draw_segment(parent: &mut ChildSpawnerCommands, controls: &[Shown], content: &RowContent, words: RectPx) {
    let RowContent::Segment { display, color, visible, opacity, solo, selected, volume, .. } = content else { return };
    if let Some(shown) = part(controls, Part::Eye) {
        eye(parent, shown, *visible, *opacity);
    }
    let [red, green, blue] = *color;
    if let Some(shown) = part(controls, Part::Name) {
        if *selected || shown.is_hovered || shown.is_pressed {
            let ground = if *selected { palette::HOVERED } else { palette::CONTROL };
            fill(parent, shown.rect, ground, 5.0);
        }
        if *selected {
            fill(parent, RectPx { width: 3.0, ..shown.rect }, palette::ON, 1.5);
        }
        let chip = RectPx { x: shown.rect.x + 7.0, y: shown.rect.y + 7.0, width: 12.0, height: 12.0 };
        fill(parent, chip, Color::srgb_u8(red, green, blue), 6.0);
        let name = RectPx { x: shown.rect.x + 25.0, width: shown.rect.width - 27.0, ..shown.rect };
        let text_color = if *visible { palette::TEXT } else { palette::DISABLED };
        label(parent, name, display, plain(SMALL_PX), text_color, JustifyContent::Start);
    }
    if let Some(shown) = part(controls, Part::Opacity) {
        let left = part(controls, Part::Name).map_or(words.x, |name| name.rect.x + name.rect.width);
        let figures = RectPx { x: left, width: shown.rect.x - left - 6.0, ..shown.rect };
        label(parent, figures, volume, plain(SMALL_PX), palette::FAINT, JustifyContent::End);
        slider(parent, shown, *opacity);
    }
    if let Some(shown) = part(controls, Part::Solo) {
        button(parent, shown, "1", *solo, true);
    }
}

fn absolute(rect: RectPx) -> Node {
    Node {
        position_type: PositionType::Absolute,
        left: px(rect.x),
        top: px(rect.y),
        width: px(rect.width),
        height: px(rect.height),
        ..default()
    }
}

fn fill(parent: &mut ChildSpawnerCommands, rect: RectPx, color: Color, radius: f32) {
    parent.spawn((Node { border_radius: BorderRadius::all(px(radius)), ..absolute(rect) }, BackgroundColor(color)));
}

/// One line of text, cut off where its room ends.
fn label(
    parent: &mut ChildSpawnerCommands,
    rect: RectPx,
    text: &str,
    font: TextFont,
    color: Color,
    side: JustifyContent,
) {
    let room =
        Node { align_items: AlignItems::Center, justify_content: side, overflow: Overflow::clip(), ..absolute(rect) };
    parent.spawn(room).with_child((
        Text::new(text),
        font,
        TextColor(color),
        TextLayout::linebreak(LineBreak::NoWrap),
        Node { flex_shrink: 0.0, ..default() },
    ));
}

fn button(parent: &mut ChildSpawnerCommands, shown: &Shown, text: &str, is_on: bool, is_enabled: bool) {
    let (ground, color) = match (is_enabled, is_on) {
        (false, _) => (palette::CONTROL.with_alpha(0.45), palette::DISABLED),
        (true, true) => (shown.ground(true), palette::DARK_TEXT),
        (true, false) => (shown.ground(false), palette::TEXT),
    };
    fill(parent, shown.rect, ground, 5.0);
    label(parent, shown.rect, text, plain(SMALL_PX), color, JustifyContent::Center);
}

/// A switch at the right end of its control; its place tells its state, not only its colour.
fn switch(parent: &mut ChildSpawnerCommands, shown: &Shown, is_on: bool) {
    let (width, height) = (40.0, 20.0);
    let middle = shown.rect.y + shown.rect.height / 2.0;
    let track = RectPx { x: shown.rect.x + shown.rect.width - width, y: middle - height / 2.0, width, height };
    fill(parent, track, shown.ground(is_on), height / 2.0);
    let x = if is_on { track.x + width - height + 3.0 } else { track.x + 3.0 };
    let knob = RectPx { x, y: track.y + 3.0, width: height - 6.0, height: height - 6.0 };
    fill(parent, knob, if is_on { palette::DARK_TEXT } else { palette::TEXT }, height / 2.0);
}

fn slider(parent: &mut ChildSpawnerCommands, shown: &Shown, fraction: f32) {
    let rect = shown.rect;
    let fraction = fraction.clamp(0.0, 1.0);
    let middle = rect.y + rect.height / 2.0;
    let bar = RectPx { x: rect.x, y: middle - 3.0, width: rect.width, height: 6.0 };
    fill(parent, bar, shown.ground(false), 3.0);
    fill(parent, RectPx { width: bar.width * fraction, ..bar }, palette::ON, 3.0);
    let size = if shown.is_hovered || shown.is_pressed { 16.0 } else { 14.0 };
    let x = rect.x + rect.width * fraction - size / 2.0;
    let x = x.clamp(rect.x, rect.x + rect.width - size);
    fill(parent, RectPx { x, y: middle - size / 2.0, width: size, height: size }, palette::TEXT, size / 2.0);
}

fn search_field(parent: &mut ChildSpawnerCommands, shown: &Shown, text: &str, is_focused: bool) {
    let border = if is_focused { palette::ON } else { palette::LINE };
    parent.spawn((
        Node { border: UiRect::all(px(1.5)), border_radius: BorderRadius::all(px(5.0)), ..absolute(shown.rect) },
        BackgroundColor(shown.ground(false)),
        BorderColor::all(border),
    ));
    let words = RectPx { x: shown.rect.x + 10.0, width: shown.rect.width - 20.0, ..shown.rect };
    let text = if is_focused { format!("{text}|") } else { text.to_owned() };
    let color = if is_focused { palette::TEXT } else { palette::FAINT };
    label(parent, words, &text, plain(TEXT_PX), color, JustifyContent::Start);
}

/// A filled or an empty ring: shown or hidden; half filled where it is glassy.
fn eye(parent: &mut ChildSpawnerCommands, shown: &Shown, is_visible: bool, opacity: f32) {
    fill(parent, shown.rect, shown.ground(false), 5.0);
    let (x, y) = (shown.rect.x + shown.rect.width / 2.0, shown.rect.y + shown.rect.height / 2.0);
    let ring = RectPx { x: x - 7.0, y: y - 7.0, width: 14.0, height: 14.0 };
    let color = if is_visible { palette::TEXT } else { palette::DISABLED };
    parent.spawn((
        Node { border: UiRect::all(px(2.0)), border_radius: BorderRadius::all(px(7.0)), ..absolute(ring) },
        BorderColor::all(color),
    ));
    if is_visible {
        let size = if opacity > 0.995 { 8.0 } else { 4.0 };
        let dot = RectPx { x: x - size / 2.0, y: y - size / 2.0, width: size, height: size };
        fill(parent, dot, color, size / 2.0);
    }
}

/// A plus folds out, a minus folds in.
fn fold_sign(parent: &mut ChildSpawnerCommands, rect: RectPx, unfolded: bool) {
    let sign = RectPx { width: 26.0, ..rect };
    label(parent, sign, if unfolded { "−" } else { "+" }, heavy(TEXT_PX), palette::FAINT, JustifyContent::Center);
}
