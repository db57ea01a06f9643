//! The page.

use std::fmt::{self, Display, Write};

use volume::{ImageGeometry, Label};

use super::Pictures;
use super::picture::Picture;
use crate::manifest::{FindingKind, Manifest, SegmentEntry};

/// Structures named under a slice.
const MAX_NAMED: usize = 14;

/// The page of a case; all texts of the manifest are escaped.
pub(crate) fn html(manifest: &Manifest, pictures: &Pictures) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing into a string does not fail.
    let _ = write_page(&mut page, manifest, pictures);
    page
}

fn write_page(out: &mut String, manifest: &Manifest, pictures: &Pictures) -> fmt::Result {
    let title = manifest.alias.as_deref().unwrap_or("Unnamed case");
    // No address is allowed to be asked for anything.
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} · Vestibule</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<main>\n",
        Escaped(title),
        include_str!("style.css")
    )?;
    write_head(out, manifest, title)?;
    if !pictures.views.is_empty() {
        out.push_str("<h2>The anatomy</h2>\n<div class=\"pictures views\">\n");
        pictures.views.iter().try_for_each(|p| write_picture(out, manifest, p))?;
        out.push_str("</div>\n");
    }
    out.push_str("<h2>The scan and its outlines</h2>\n<p class=\"soft\">Slices follow the scan's own grid, pixels are in true proportion. Axial slices are \
         seen from the feet, coronal ones from the front: the patient's right (R) is on the left. Letters name the side the picture \
         ends at: R right, L left, A front, P back, H head, F feet.</p>\n<div class=\"pictures\">\n");
    pictures.slices.iter().try_for_each(|p| write_picture(out, manifest, p))?;
    out.push_str("</div>\n");
    write_structures(out, manifest)?;
    write_levels(out, manifest)?;
    write_provenance(out, manifest)?;
    write_checksums(out, manifest)?;
    write!(
        out,
        "<footer>{} {} · {} · {}</footer>\n</main>\n</body>\n</html>\n",
        Escaped(&manifest.provenance.program.name),
        Escaped(&manifest.provenance.program.version),
        Escaped(&manifest.schema),
        Escaped(&manifest.provenance.statement)
    )
}

fn write_head(out: &mut String, manifest: &Manifest, title: &str) -> fmt::Result {
    write!(
        out,
        "<header><div><div class=\"brand\">Vestibule case report</div><h1>{}</h1></div></header>\n\
         <p class=\"notice\" role=\"note\">{}</p>\n<dl class=\"facts\">\n",
        Escaped(title),
        Escaped(&manifest.provenance.statement)
    )?;
    let mut fact = |name: &str, value: &dyn Display| {
        writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(&value.to_string()))
    };
    let [i, j, k] = manifest.geometry.size;
    let [x, y, z] = manifest.geometry.spacing_mm;
    fact("Modality", &manifest.modality)?;
    fact("Voxels", &format_args!("{i} × {j} × {k}"))?;
    fact("Voxel size, mm", &format_args!("{x:.3} × {y:.3} × {z:.3}"))?;
    if let Ok(geometry) = ImageGeometry::try_from(&manifest.geometry) {
        fact("Axes of the grid", &geometry.axis_code())?;
    }
    fact("Recipe", &format_args!("{} {}", manifest.recipe.name, manifest.recipe.version))?;
    fact("Structures", &manifest.segments.len())?;
    let finest: usize = manifest.segments.iter().filter_map(|s| s.surface.lods.first()).map(|l| l.triangles).sum();
    fact("Triangles, LOD 0", &thousands(finest))?;
    if let Some((worst, segment)) = worst(manifest) {
        fact("Largest surface error", &format_args!("{worst:.2} mm ({})", segment.display))?;
    }
    out.push_str("</dl>\n");
    Ok(())
}

/// The largest Hausdorff distance of any LOD 0.
fn worst(manifest: &Manifest) -> Option<(f64, &SegmentEntry)> {
    let measured = manifest.segments.iter().filter_map(|s| s.surface.hausdorff_mm.map(|mm| (mm, s)));
    measured.max_by(|a, b| a.0.total_cmp(&b.0))
}

fn write_picture(out: &mut String, manifest: &Manifest, picture: &Picture) -> fmt::Result {
    let [width, height] = picture.size;
    let alt = if picture.detail.is_empty() {
        picture.title.clone()
    } else {
        format!("{}: {}", picture.title, picture.detail)
    };
    write!(
        out,
        "<figure style=\"max-width:{width}px;--width:{width}\"><img width=\"{width}\" height=\"{height}\" alt=\"{}\" src=\"data:image/png;base64,",
        Escaped(&alt)
    )?;
    push_base64(out, &picture.png);
    write!(out, "\"><figcaption><b>{}</b>", Escaped(&picture.title))?;
    if !picture.detail.is_empty() {
        write!(out, "<small>{}</small>", Escaped(&picture.detail))?;
    }
    write_legend(out, manifest, &picture.labels)?;
    out.push_str("</figcaption></figure>\n");
    Ok(())
}

fn write_legend(out: &mut String, manifest: &Manifest, labels: &[Label]) -> fmt::Result {
    let segments: Vec<&SegmentEntry> = labels.iter().filter_map(|&label| manifest.segment(label)).collect();
    if segments.is_empty() {
        return Ok(());
    }
    out.push_str("<div class=\"legend\">");
    for segment in segments.iter().take(MAX_NAMED) {
        write!(out, "<span>{}{}</span> ", Chip(segment.color), Escaped(&segment.display))?;
    }
    if segments.len() > MAX_NAMED {
        write!(out, "<span class=\"soft\">and {} more</span>", segments.len() - MAX_NAMED)?;
    }
    out.push_str("</div>");
    Ok(())
}

/// Segments outermost layer first, as they are peeled.
fn by_layer(manifest: &Manifest) -> Vec<&SegmentEntry> {
    let mut segments: Vec<&SegmentEntry> = manifest.segments.iter().collect();
    segments.sort_by_key(|s| (s.group.peel_rank(), s.label));
    segments
}

/// Rows of segments under the names of their groups.
fn write_rows(
    out: &mut String,
    manifest: &Manifest,
    columns: usize,
    mut cells: impl FnMut(&mut String, &SegmentEntry) -> fmt::Result,
) -> fmt::Result {
    out.push_str("<tbody>\n");
    let mut group = None;
    for segment in by_layer(manifest) {
        if group != Some(segment.group) {
            group = Some(segment.group);
            let name = segment.group.display();
            writeln!(
                out,
                "<tr class=\"group\"><th colspan=\"{columns}\" scope=\"rowgroup\">{}</th></tr>",
                Escaped(name)
            )?;
        }
        write!(out, "<tr><td>{}{}</td>", Chip(segment.color), Escaped(&segment.display))?;
        cells(out, segment)?;
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn write_structures(out: &mut String, manifest: &Manifest) -> fmt::Result {
    let confident = manifest.segments.iter().any(|s| s.confidence.is_some());
    let inferred = manifest.segments.iter().any(|s| s.inferred_percent > 0.0);
    out.push_str(
        "<h2>Structures</h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Structure</th>\
         <th scope=\"col\" class=\"text\">SNOMED CT</th><th scope=\"col\">Volume<br>ml</th>\
         <th scope=\"col\">Triangles<br>LOD 0</th><th scope=\"col\">Hausdorff<br>mm</th>\
         <th scope=\"col\">95 % within<br>mm</th><th scope=\"col\">Volume error<br>%</th><th scope=\"col\">Closed</th>",
    );
    if confident {
        out.push_str("<th scope=\"col\">Confidence</th>");
    }
    if inferred {
        out.push_str("<th scope=\"col\">Inferred<br>%</th>");
    }
    out.push_str("</tr></thead>\n");
    let columns = 8 + usize::from(confident) + usize::from(inferred);
    write_rows(out, manifest, columns, |out, segment| {
        match &segment.code {
            Some(code) => write!(
                out,
                "<td class=\"text\"><code>{}</code> <span class=\"soft\">{}</span></td>",
                Escaped(&code.value),
                Escaped(&code.meaning)
            )?,
            None => out.push_str("<td class=\"text soft\">–</td>"),
        }
        write!(out, "<td>{}</td>", Milliliters(segment.volume_ml))?;
        let surface = &segment.surface;
        match surface.lods.first() {
            Some(lod) => write!(out, "<td>{}</td>", thousands(lod.triangles))?,
            None => out.push_str("<td>no surface</td>"),
        }
        write!(
            out,
            "<td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            Figure(surface.hausdorff_mm),
            Figure(surface.p95_mm),
            Signed(surface.volume_error_percent),
            if surface.closed { "yes" } else { "no" }
        )?;
        if confident {
            write!(out, "<td>{}</td>", Figure(segment.confidence))?;
        }
        if inferred {
            write!(out, "<td>{:.1}</td>", segment.inferred_percent)?;
        }
        Ok(())
    })?;
    out.push_str(
        "<p class=\"soft\">Volumes count voxels; a structure with parts is measured as the union with them. Hausdorff: the largest \
         distance between the surface and the border of its voxels, both ways, measured on the finished surface; 95 % of the \
         points lie within the next figure. Volume error: of the volume the surface encloses.</p>\n",
    );
    Ok(())
}

fn write_levels(out: &mut String, manifest: &Manifest) -> fmt::Result {
    let levels = manifest.segments.iter().map(|s| s.surface.lods.len()).max().unwrap_or(0);
    if levels == 0 {
        return Ok(());
    }
    out.push_str("<h2>Levels of detail</h2>\n<p class=\"soft\">Coarser surfaces are shown from afar. Each figure was measured, not estimated");
    let spacings = manifest.segments.iter().flat_map(|s| &s.surface.lods).filter_map(|l| l.sample_spacing_mm);
    if let Some(coarsest) = spacings.max_by(f64::total_cmp) {
        write!(out, ", on points at most {coarsest:.2} mm apart")?;
    }
    out.push_str(".</p>\n<div class=\"scroll\"><table><thead><tr><th rowspan=\"2\" scope=\"col\">Structure</th>");
    for heading in ["Triangles", "Hausdorff, mm", "95 % within, mm", "Volume error, %"] {
        write!(out, "<th class=\"span\" colspan=\"{levels}\" scope=\"colgroup\">{heading}</th>")?;
    }
    out.push_str("</tr><tr>");
    for _ in 0..4 {
        (0..levels).try_for_each(|level| write!(out, "<th scope=\"col\">LOD {level}</th>"))?;
    }
    out.push_str("</tr></thead>\n");
    write_rows(out, manifest, 1 + 4 * levels, |out, segment| {
        let lods = || (0..levels).map(|n| segment.surface.lods.get(n));
        for lod in lods() {
            match lod {
                Some(lod) => write!(out, "<td>{}</td>", thousands(lod.triangles))?,
                None => out.push_str("<td>–</td>"),
            }
        }
        lods().try_for_each(|lod| write!(out, "<td>{}</td>", Figure(lod.and_then(|l| l.hausdorff_mm))))?;
        lods().try_for_each(|lod| write!(out, "<td>{}</td>", Figure(lod.and_then(|l| l.p95_mm))))?;
        lods().try_for_each(|lod| write!(out, "<td>{}</td>", Signed(lod.and_then(|l| l.volume_error_percent))))
    })
}

fn write_provenance(out: &mut String, manifest: &Manifest) -> fmt::Result {
    let provenance = &manifest.provenance;
    write!(out, "<h2>Where it comes from</h2>\n<p>{}.</p>\n<ul>\n", Escaped(provenance.source.trim_end_matches('.')))?;
    for (name, text) in [
        ("Measured", &provenance.measured),
        ("Interpolated", &provenance.interpolated),
        ("Inferred", &provenance.inferred),
    ] {
        if !text.is_empty() {
            writeln!(out, "<li><b>{name}.</b> {}</li>", Escaped(text))?;
        }
    }
    for (step, version) in &manifest.recipe.steps {
        writeln!(out, "<li><b>Step.</b> {} {}</li>", Escaped(step), Escaped(version))?;
    }
    for model in &provenance.models {
        let (name, version, sum) = (Escaped(&model.name), Escaped(&model.version), Escaped(&model.sha256));
        writeln!(out, "<li><b>Model.</b> {name} {version}, weights <code>{sum}</code></li>")?;
    }
    out.push_str("</ul>\n<h2>What reading the scan brought to light</h2>\n");
    if provenance.findings.is_empty() {
        out.push_str("<p>Nothing was dropped or repaired.</p>\n");
        return Ok(());
    }
    out.push_str("<ul>\n");
    for finding in &provenance.findings {
        let kind = match finding.kind {
            FindingKind::Read => "read",
            FindingKind::Dropped => "dropped",
            FindingKind::Repaired => "repaired",
            FindingKind::Warning => "warning",
        };
        writeln!(out, "<li><span class=\"kind {kind}\">{kind}</span> {}</li>", Escaped(&finding.text))?;
    }
    out.push_str("</ul>\n");
    Ok(())
}

fn write_checksums(out: &mut String, manifest: &Manifest) -> fmt::Result {
    out.push_str("<h2>Checksums</h2>\n<p class=\"soft\">SHA-256 of the files this report was written beside; that of the case as a whole \
         is in case.json.</p>\n<div class=\"scroll\"><table><tbody>\n");
    for (file, sum) in &manifest.checksums.files {
        writeln!(out, "<tr><td>{}</td><td class=\"text\"><code>{}</code></td></tr>", Escaped(file), Escaped(sum))?;
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

/// A text that cannot become markup, in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// A square of a segment's colour.
struct Chip([u8; 3]);

impl Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "<i class=\"chip\" style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>")
    }
}

/// A measured figure, or a dash.
struct Figure(Option<f64>);

impl Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("–"),
            Some(value) => write!(f, "{value:.2}"),
        }
    }
}

/// The same with its sign, minus as typographers write it.
struct Signed(Option<f64>);

impl Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("–"),
            Some(value) if value.abs() < 0.005 => f.write_str("0.00"),
            Some(value) => write!(f, "{}{:.2}", if value < 0.0 { '−' } else { '+' }, value.abs()),
        }
    }
}

/// Three digits that count.
struct Milliliters(f64);

impl Display for Milliliters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            v if v >= 100.0 => f.write_str(&thousands(v.round() as usize)),
            v if v >= 10.0 => write!(f, "{v:.1}"),
            v => write!(f, "{v:.2}"),
        }
    }
}

/// With thin spaces between thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// RFC 4648, section 4.
fn push_base64(out: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let letter = char::from(ALPHABET[(bits >> (18 - 6 * n) & 63) as usize]);
            out.push(if n <= chunk.len() { letter } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let mut out = String::new();
        push_base64(&mut out, bytes);
        assert_eq!(out, expected);
    }

    #[test]
    fn base64_as_in_the_rfc() {
        // RFC 4648, section 10.
        check(b"", "");
        check(b"f", "Zg==");
        check(b"fo", "Zm8=");
        check(b"foo", "Zm9v");
        check(b"foobar", "Zm9vYmFy");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(Signed(Some(-1.237)).to_string(), "−1.24");
        assert_eq!(Signed(Some(-0.001)).to_string(), "0.00");
        assert_eq!(Milliliters(1523.4).to_string(), "1\u{202f}523");
        assert_eq!(Figure(None).to_string(), "–");
    }

    #[test]
    fn markup_stays_text() {
        assert_eq!(Escaped("<b a=\"1\" b='2'>&ü").to_string(), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;ü");
    }
}
