//! Curves as SVG. Colours are those of the light page; the page's style puts others in their place where it is dark.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::student::inspect::Span;

/// A line or points with a name.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What an axis says, and what it spans; nothing spans what there is.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) name: &'static str,
    pub(super) span: Option<Range<f64>>,
}

/// Returns lines over a common abscissa, which rise or fall.
pub(super) fn lines(series: &[Series], x: &Axis, y: &Axis, rises: bool) -> Result<String> {
    drawn(SIZE, |area| {
        let mut chart = chart(area, series, x, y, false)?;
        for (index, one) in series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            chart
                .draw_series(LineSeries::new(one.points.iter().copied(), colour.stroke_width(2)))?
                .label(&one.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        }
        // Where the lines are not.
        let place = if rises { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight };
        legend(&mut chart, series.len(), place)
    })
}

/// Returns named points, with a logarithmic abscissa.
pub(super) fn points(series: &[Series], x: &Axis, y: &Axis) -> Result<String> {
    drawn(SIZE, |area| {
        let mut chart = chart(area, series, x, y, true)?;
        for (index, one) in series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            chart
                .draw_series(one.points.iter().map(|&(x, y)| Circle::new((x.max(1.0).log10(), y), 6, colour.filled())))?
                .label(&one.name)
                .legend(move |(x, y)| Circle::new((x + 8, y), 5, colour.filled()));
        }
        legend(&mut chart, series.len(), SeriesLabelPosition::LowerRight)
    })
}

/// Returns what was said over what is true, with the line on which both are equal.
pub(super) fn against(series: &[Series], x: &Axis, y: &Axis, is_line: bool) -> Result<String> {
    drawn(SQUARE, |area| {
        let mut chart = chart(area, series, x, y, false)?;
        let (low, high) = (x.span.clone().unwrap_or(0.0..1.0), y.span.clone().unwrap_or(0.0..1.0));
        let (start, end) = (low.start.max(high.start), low.end.min(high.end));
        chart.draw_series(LineSeries::new([(start, start), (end, end)], GRID.stroke_width(2)))?;
        for (index, one) in series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let anno = if is_line {
                chart.draw_series(LineSeries::new(one.points.iter().copied(), colour.stroke_width(2)))?;
                chart.draw_series(one.points.iter().map(|&point| Circle::new(point, 4, colour.filled())))?
            } else {
                chart.draw_series(one.points.iter().map(|&point| Circle::new(point, 2, colour.filled())))?
            };
            anno.label(&one.name).legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
        }
        legend(&mut chart, series.len(), SeriesLabelPosition::LowerRight)
    })
}

/// Returns which bytes of the arena hold something while which operator runs.
pub(super) fn timeline(spans: &[Span], operators: usize, bytes: usize) -> Result<String> {
    drawn(SIZE, |area| {
        let x = Axis { name: "operator", span: Some(0.0..operators as f64) };
        let y = Axis { name: "byte of the arena", span: Some(0.0..bytes as f64) };
        let mut chart = chart(area, &[], &x, &y, false)?;
        for span in spans {
            let (from, to) = match (span.is_held, span.written_by) {
                (true, _) => (0.0, operators as f64),
                (false, from) => (from.unwrap_or(0) as f64, span.last_read_by as f64 + 1.0),
            };
            let colour = match (span.is_held, span.written_by) {
                (true, _) => COLOURS[3],
                (_, None) => COLOURS[2],
                (_, Some(_)) => COLOURS[0],
            };
            let corners = [(from, span.offset as f64), (to, (span.offset + span.len) as f64)];
            chart.draw_series([Rectangle::new(corners, colour.mix(0.35).filled()), Rectangle::new(corners, colour)])?;
        }
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area)?;
        area.present().map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    // Only the page's own background is behind it.
    Ok(text)
}

fn chart<'a, 'b: 'a>(area: &'a Area<'b>, series: &[Series], x: &Axis, y: &Axis, log: bool) -> Result<Chart<'a, 'b>> {
    let spanned = |axis: &Axis, values: &mut dyn Iterator<Item = f64>| {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let margin = ((high - low) * 0.06).max(high.abs() * 1e-3).max(1e-9);
        axis.span.clone().unwrap_or(if low <= high { low - margin..high + margin } else { 0.0..1.0 })
    };
    // What is no number has no place on an axis.
    let all = || series.iter().flat_map(|one| &one.points).filter(|point| point.0.is_finite() && point.1.is_finite());
    let range_x = spanned(x, &mut all().map(|point| if log { point.0.max(1.0).log10() } else { point.0 }));
    let range_y = spanned(y, &mut all().map(|point| point.1));
    let (wide, high) = (range_x.end - range_x.start, range_y.end - range_y.start);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(40)
        .x_label_area_size(48)
        .y_label_area_size(76)
        .build_cartesian_2d(range_x, range_y)?;
    let font = ("sans-serif", 17).into_font().color(&INK);
    chart
        .configure_mesh()
        .x_desc(x.name)
        .y_desc(y.name)
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|value| if log { bytes_as_text(10f64.powf(*value)) } else { number(*value, wide) })
        .y_label_formatter(&|value| number(*value, high))
        .label_style(font.clone())
        .axis_desc_style(font)
        .draw()?;
    Ok(chart)
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>, count: usize, place: SeriesLabelPosition) -> Result<()> {
    if count > 0 {
        chart
            .configure_series_labels()
            .position(place)
            .margin(8)
            .label_font(("sans-serif", 17).into_font().color(&INK))
            .draw()?;
    }
    Ok(())
}

/// A number on an axis that is so wide: as many digits as tell its marks apart.
fn number(value: f64, wide: f64) -> String {
    let digits = match wide {
        ..0.05 => 3,
        ..1.5 => 2,
        ..15.0 if value != value.round() => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

fn bytes_as_text(bytes: f64) -> String {
    match bytes {
        ..1024.0 => format!("{bytes:.0} B"),
        ..1048576.0 => format!("{:.1} KB", bytes / 1024.0),
        _ => format!("{:.1} MB", bytes / 1048576.0),
    }
}

const SIZE: (u32, u32) = (640, 320);
const SQUARE: (u32, u32) = (420, 380);

const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Those of `style.css`, in its order.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x1f, 0x6f, 0xb2),
    RGBColor(0xc4, 0x57, 0x1b),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x8e, 0x5b, 0xb5),
    RGBColor(0x7a, 0x7a, 0x1f),
    RGBColor(0xb0, 0x3a, 0x6e),
    RGBColor(0x11, 0x88, 0x8f),
    RGBColor(0x6b, 0x5a, 0x4a),
];
