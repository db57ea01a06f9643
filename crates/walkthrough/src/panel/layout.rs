//! Where rows and their controls lie: fixed heights, so a press needs no renderer.

use crate::panel::{Control, Part, RectPx, Row, RowContent};

/// Width of every panel, in panel pixels.
pub const WIDTH_PX: f32 = 420.0;
/// Height of every panel, in panel pixels.
pub const HEIGHT_PX: f32 = 640.0;
/// Height of the title bar; rows begin below it and scroll under it.
pub const TITLE_PX: f32 = 40.0;
/// Height of a row.
pub const ROW_PX: f32 = 30.0;
/// Space at both sides of a row.
pub const MARGIN_PX: f32 = 12.0;
/// Space between controls of a row.
pub const GAP_PX: f32 = 6.0;
/// Side of the square controls: fold, eye, solo, delete.
pub const SQUARE_PX: f32 = 26.0;
/// Where a slider's bar begins; its label stands left of it.
pub const SLIDER_LEFT_PX: f32 = 150.0;
/// Room for a slider's value, right of the bar.
pub const SLIDER_VALUE_PX: f32 = 80.0;
/// Width of a segment's small opacity slider.
pub const OPACITY_PX: f32 = 70.0;
/// Room for a segment's volume.
pub const VOLUME_PX: f32 = 70.0;

/// Where a row lies, in panel pixels before scrolling.
pub fn row_rect(row: usize) -> RectPx {
    RectPx { x: 0.0, y: TITLE_PX + row as f32 * ROW_PX, width: WIDTH_PX, height: ROW_PX }
}

/// Height of title and rows, in panel pixels.
pub fn content_height_px(rows: usize) -> f32 {
    TITLE_PX + rows as f32 * ROW_PX
}

/// The title's control, then every control of the rows, in their order.
pub fn controls(rows: &[Row]) -> Vec<Control> {
    let close = RectPx {
        x: WIDTH_PX - MARGIN_PX - SQUARE_PX,
        y: (TITLE_PX - SQUARE_PX) * 0.5,
        width: SQUARE_PX,
        height: SQUARE_PX,
    };
    let mut out = vec![Control { row: 0, part: Part::Close, rect: close }];
    for (index, row) in rows.iter().enumerate() {
        let line = row_rect(index);
        let mut add = |part, x: f32, width: f32| {
            let rect = RectPx { x, y: line.y + 2.0, width, height: line.height - 4.0 };
            out.push(Control { row: index, part, rect });
        };
        let (left, right) = (MARGIN_PX, WIDTH_PX - MARGIN_PX);
        match &row.content {
            RowContent::Text { .. } | RowContent::Pair { .. } => {}
            RowContent::Buttons(buttons) => {
                let count = buttons.len().max(1) as f32;
                let width = (right - left - GAP_PX * (count - 1.0)) / count;
                for n in 0..buttons.len() {
                    add(Part::Button(n), left + n as f32 * (width + GAP_PX), width);
                }
            }
            RowContent::Toggle { .. } => add(Part::Toggle, left, right - left),
            RowContent::Slider { .. } => add(Part::Slider, SLIDER_LEFT_PX, right - SLIDER_VALUE_PX - SLIDER_LEFT_PX),
            RowContent::Search { .. } => add(Part::Field, left, right - left),
            RowContent::Group { .. } => {
                add(Part::Eye, left, SQUARE_PX);
                add(Part::Fold, left + SQUARE_PX + GAP_PX, right - left - 2.0 * (SQUARE_PX + GAP_PX));
                add(Part::Solo, right - SQUARE_PX, SQUARE_PX);
            }
            RowContent::Segment { .. } => {
                let name = left + SQUARE_PX + GAP_PX;
                let opacity = right - SQUARE_PX - GAP_PX - OPACITY_PX;
                add(Part::Eye, left, SQUARE_PX);
                add(Part::Name, name, opacity - GAP_PX - VOLUME_PX - name);
                add(Part::Opacity, opacity, OPACITY_PX);
                add(Part::Solo, right - SQUARE_PX, SQUARE_PX);
            }
            RowContent::Measurement { .. } => add(Part::Delete, right - SQUARE_PX, SQUARE_PX),
        }
    }
    out
}
