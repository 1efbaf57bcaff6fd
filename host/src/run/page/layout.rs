//! The page, section by section.

use anyhow::Result;
use attar_shared::{FactKind, Model};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::Run;
use super::evidence::{HeadEvidence, Shown, figures, figures_of_seeds, measured};
use super::plots::{self, Axis, Series};
use crate::heads::{Form, MATRIX, View};
use crate::student::inspect::{layers, spans};

/// Returns the page.
pub(super) fn page(run: &Run, model: &Model<'_>) -> Result<String> {
    let title = format!("{}: a student of {} bytes", run.report.dataset, grouped(run.report.model.bytes));
    let sections = [
        ("try", "The student, here", student(run, model)?),
        ("students", "Teacher and students", students(run)?),
        ("training", "Training", training(run)?),
        ("heads", "Right and wrong", heads(run)?),
        ("facts", "Facts", facts(run)),
        ("wrong", "What the student got wrong", wrong(run)),
        ("integers", "From f32 to integers", integers(run)),
        ("memory", "Memory and layers", memory(model)?),
        ("made", "How it was made", made(run)),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(include_str!("../../../page/style.css"))) }
            }
            body {
                header {
                    p.brand { "Attar" }
                    h1 { (run.report.dataset) }
                    p.lead { (lead(run)) }
                    (tiles(run))
                    nav { @for (id, name, body) in &sections { @if !body.0.is_empty() { a href={ "#" (id) } { (name) } } } }
                }
                main {
                    @for (id, name, body) in &sections {
                        @if !body.0.is_empty() { section id=(id) { h2 { (name) } (body) } }
                    }
                }
                footer { "Figures are of " (grouped(run.evidence.samples)) " samples of the " (run.evidence.split) " split. This file needs no network." }
            }
        }
    };
    Ok(page.into_string())
}

/// Everything is in the file; WebAssembly is compiled from it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; img-src data:";

fn lead(run: &Run) -> String {
    let report = &run.report;
    let bytes = grouped(report.model.bytes);
    match &report.teacher {
        Some(teacher) if teacher.parameters > 0 => format!(
            "A teacher of {} parameters, distilled into a student of {bytes} bytes that a microcontroller runs bit for bit as this page does.",
            grouped(teacher.parameters)
        ),
        // Of saved logits nobody knows what gave them.
        Some(_) => format!(
            "A student of {bytes} bytes, distilled from what a teacher said, that a microcontroller runs bit for bit as this page does."
        ),
        None => format!("A student of {bytes} bytes that a microcontroller runs bit for bit as this page does."),
    }
}

fn tiles(run: &Run) -> Markup {
    let report = &run.report;
    let mut tiles: Vec<(String, String)> = Vec::new();
    if let Some(student) = report.students.last() {
        for (name, text) in figures_of_seeds(student).into_iter().take(2) {
            tiles.push((format!("student, {}: {name}", student.precision), text));
        }
    }
    if let Some(teacher) = &report.teacher {
        tiles.extend(
            figures(&teacher.metrics).into_iter().take(1).map(|(name, text)| (format!("teacher: {name}"), text)),
        );
        let ratio = teacher.parameters as f64 * 4.0 / report.model.bytes.max(1) as f64;
        if teacher.parameters > 0 {
            tiles.push(("smaller than the teacher".into(), format!("{ratio:.0} x")));
        }
    }
    tiles.push(("flash".into(), format!("{} B", grouped(report.model.flash_bytes))));
    tiles.push(("arena".into(), format!("{} B", grouped(report.model.arena_bytes))));
    tiles.push(("multiply-accumulates".into(), grouped(report.model.macs as usize)));
    html! { dl.tiles { @for (name, text) in &tiles { div { dt { (name) } dd { (tile(text)) } } } } }
}

/// A figure, and smaller how far it varies.
fn tile(text: &str) -> Markup {
    match text.split_once(" ± ") {
        Some((figure, spread)) => html! { (figure) span.spread { " ± " (spread) } },
        None => html! { (text) },
    }
}

/// The student in WebAssembly, with its samples.
fn student(run: &Run, model: &Model<'_>) -> Result<Markup> {
    let input = model.input();
    let shape = model.input_shape();
    let described = model.facts().map(|fact| match fact.kind {
        FactKind::Number { least, greatest } => json!({
            "name": fact.name, "unit": fact.unit, "kind": "number", "computed": fact.is_computed(),
            "least": least.is_finite().then_some(least), "greatest": greatest.is_finite().then_some(greatest),
        }),
        FactKind::Category(category) => json!({
            "name": fact.name, "kind": "category", "values": category.values.iter().collect::<Vec<_>>(), "computed": false,
        }),
        FactKind::Flag => json!({"name": fact.name, "kind": "flag", "computed": fact.is_computed()}),
        FactKind::Gazetteer(gazetteer) => json!({
            "name": fact.name, "kind": "gazetteer", "values": gazetteer.features.iter().collect::<Vec<_>>(), "computed": true,
        }),
    });
    let outputs: Vec<usize> =
        model.heads().map(|head| model.tensor(head.tensor).map_or(0, |tensor| tensor.shape.len())).collect();
    let data = json!({
        "model": STANDARD.encode(&run.model),
        "input": {
            "name": input.as_ref().map(|input| input.name), "text": input.as_ref().is_some_and(|input| input.is_text),
            "height": shape.height, "width": shape.width, "channels": shape.channels,
            "names": input.map(|input| input.channels.iter().collect::<Vec<_>>()).unwrap_or_default(),
        },
        "facts": described.collect::<Vec<_>>(),
        "heads": run.evidence.heads.iter().zip(&outputs).map(|(head, outputs)| json!({
            "name": head.name, "kind": head.kind, "labels": head.labels, "outputs": outputs,
        })).collect::<Vec<_>>(),
        "samples": run.evidence.shown,
    });
    // What closes the element must not stand in a text.
    let data = serde_json::to_string(&data)?.replace('<', "\\u003c");
    let engine = STANDARD.encode(include_bytes!("../../../page/student.wasm"));
    Ok(html! {
        p { "This is the engine of the board, compiled to WebAssembly, with the very file of the student. Choose a sample, change \
             what is known beside it, and see what the student says." }
        div.panel id="student" {
            noscript { "The student runs where scripts may run." }
            div.controls {
                div.picker {
                    button type="button" id="previous" aria-label="previous sample" { "<" }
                    select id="sample" aria-label="sample" {}
                    button type="button" id="next" aria-label="next sample" { ">" }
                }
                div id="input" {}
                fieldset id="known" { legend { "Facts" } }
            }
            div.answers { div id="answers" aria-live="polite" {} p id="verdict" {} }
        }
        script type="application/json" id="data" { (PreEscaped(data)) }
        script type="application/octet-stream" id="engine" { (PreEscaped(engine)) }
        script { (PreEscaped(include_str!("../../../page/page.js"))) }
    })
}

fn students(run: &Run) -> Result<Markup> {
    let report = &run.report;
    let names: Vec<String> = report
        .students
        .first()
        .map(|first| figures(&first.metrics).into_iter().map(|(name, _)| name).collect())
        .unwrap_or_default();
    let cell = |figures: Vec<(String, String)>, name: &str| {
        figures.into_iter().find(|(known, _)| known == name).map_or("-".into(), |(_, text)| text)
    };
    let mut series: Vec<Series> = Vec::new();
    if let Some(teacher) = &report.teacher
        && let Some(accuracy) = teacher.accuracy
        && teacher.parameters > 0
    {
        series
            .push(Series { name: "teacher".into(), points: vec![(teacher.parameters as f64 * 4.0, accuracy * 100.0)] });
    }
    for student in &report.students {
        if let (Some(bytes), Some(accuracy)) = (student.bytes, student.accuracy) {
            let name = format!("{}, {}", student.name, student.precision);
            series.push(Series { name, points: vec![(bytes as f64, accuracy * 100.0)] });
        }
    }
    let plot = if series.is_empty() {
        None
    } else {
        let (x, y) = (Axis { name: "bytes of parameters", span: None }, Axis { name: "accuracy, %", span: None });
        Some(plots::points(&series, &x, &y)?)
    };
    Ok(html! {
        @if !report.warnings.is_empty() { ul.warnings { @for warning in &report.warnings { li { (warning) } } } }
        div.scroll { table.reflow {
            thead { tr { th {} th { "parameters" } th { "bytes" } @for name in &names { th { (name) } } } }
            tbody {
                @if let Some(teacher) = &report.teacher {
                    tr { th { "teacher" } td data-name="parameters" { (grouped(teacher.parameters)) }
                        td data-name="bytes" { (grouped(teacher.parameters * 4)) }
                        @for name in &names { td data-name=(name) { (cell(figures(&teacher.metrics), name)) } } }
                }
                @for student in &report.students {
                    tr {
                        th { (student.name) @if student.facts == "all" { ", facts" } ", " (student.precision) }
                        td data-name="parameters" { (grouped(student.parameters)) }
                        td data-name="bytes" { (student.bytes.map_or("-".into(), grouped)) }
                        @for name in &names { td data-name=(name) { (tile(&cell(figures_of_seeds(student), name))) } }
                    }
                }
            }
        } }
        @if let Some(first) = report.students.first() {
            @if first.seeds > 1 { p.note { "Means of " (first.seeds) " seeds and their deviation; the file is that of the first." } }
        }
        @if let Some(plot) = plot { (figure(&plot, "Accuracy against bytes: teacher and f32 at four bytes a parameter, integers as files")) }
    })
}

fn training(run: &Run) -> Result<Markup> {
    // Those of the first seed: the teacher's, then the student's own.
    let (students, teachers): (Vec<_>, Vec<_>) = run
        .curves
        .iter()
        .filter(|(stage, _)| !stage.contains('/'))
        .partition(|(stage, _)| stage.starts_with("student"));
    let stages = || teachers.iter().chain(&students);
    let losses: Vec<Series> = stages()
        .map(|(stage, epochs)| Series {
            name: stage.to_string(),
            points: epochs.iter().map(|&(x, loss, _)| (x, loss)).collect(),
        })
        .collect();
    let scores: Vec<Series> = stages()
        .map(|(stage, epochs)| Series {
            name: stage.to_string(),
            points: epochs.iter().filter_map(|&(x, _, score)| Some((x, score?))).collect(),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if losses.iter().all(|series| series.points.is_empty()) {
        return Ok(html! {});
    }
    let x = Axis { name: "epoch", span: None };
    Ok(html! {
        div.pair {
            @if !scores.is_empty() {
                (figure(&plots::lines(&scores, &x, &Axis { name: "score", span: None }, true)?, "Score on the validation split, which chooses the checkpoint")) }
            (figure(&plots::lines(&losses, &x, &Axis { name: "loss", span: None }, false)?, "Loss on the training split; losses of different stages are not of one kind"))
        }
    })
}

fn heads(run: &Run) -> Result<Markup> {
    let mut parts = Vec::new();
    for head in &run.evidence.heads {
        let views = [("teacher", head.teacher.as_ref()), ("student", Some(&head.student))];
        let views: Vec<(&str, &View)> = views.into_iter().filter_map(|(name, view)| Some((name, view?))).collect();
        let has_points = views.iter().any(|(_, view)| !view.points.is_empty());
        let plot = if has_points { Some(scatter(&views)?) } else { calibration(&views)? };
        parts.push(html! {
            h3 { (head.name) }
            @if !has_points { div.pair { @for (name, view) in &views { (confusion(head, name, view)) } } }
            (classes(run, head))
            @if let Some(plot) = plot { (plot) }
        });
    }
    Ok(html! { @for part in &parts { (part) } })
}

/// Recall and precision of each class: of many those that the student finds least.
fn classes(run: &Run, head: &HeadEvidence) -> Markup {
    let report = &run.report;
    let classes_of = |metrics: &'_ Value| metrics[&head.name]["classes"].as_object().cloned().unwrap_or_default();
    let Some(student) = report.students.last() else { return html! {} };
    let student = classes_of(&student.metrics);
    let teacher = report.teacher.as_ref().map(|teacher| classes_of(&teacher.metrics)).unwrap_or_default();
    let mut rows: Vec<(&String, &Value)> = head.labels.iter().filter_map(|name| student.get_key_value(name)).collect();
    if rows.is_empty() {
        return html! {};
    }
    let count = rows.len();
    if count > MATRIX {
        let recall = |figures: &Value| figures["recall"].as_f64().unwrap_or(f64::INFINITY);
        rows.sort_by(|a, b| recall(a.1).total_cmp(&recall(b.1)));
        rows.truncate(MATRIX);
    }
    let share = |figures: Option<&Value>, name: &str| {
        figures.and_then(|figures| figures[name].as_f64()).map_or("-".into(), |share| format!("{:.1} %", share * 100.0))
    };
    html! {
        figure {
            figcaption { "each class: the share of its samples that is found, and the share of its answers that is right"
                @if count > MATRIX { "; the " (MATRIX) " of " (count) " that the student finds least" } }
            div.scroll { table {
                thead { tr { th { "class" } th { "samples" } th { "recall" } th { "precision" }
                    @if !teacher.is_empty() { th { "teacher's recall" } th { "teacher's precision" } } } }
                tbody { @for (name, figures) in rows { tr {
                    th { (name) } td { (grouped(figures["samples"].as_f64().unwrap_or_default() as usize)) }
                    td { (share(Some(figures), "recall")) } td { (share(Some(figures), "precision")) }
                    @if !teacher.is_empty() {
                        td { (share(teacher.get(name), "recall")) } td { (share(teacher.get(name), "precision")) } }
                } } }
            } }
        }
    }
}

fn confusion(head: &HeadEvidence, who: &str, view: &View) -> Markup {
    if !view.mistakes.is_empty() {
        return html! {
            figure {
                figcaption { (who) ": its most frequent mistakes" }
                div.scroll { table {
                    thead { tr { th { "what is true" } th { "what it says" } th { "times" } } }
                    tbody { @for &[actual, said, count] in &view.mistakes {
                        tr { th { (label(head, actual)) } td { (label(head, said)) } td { (count) } }
                    } }
                } }
            }
        };
    }
    let [columns, names] = head.kind.confusion_names(&head.labels);
    let rows = view.confusion.iter().enumerate().map(|(row, counts)| {
        let total: usize = counts.iter().sum();
        let cells = counts.iter().enumerate().map(move |(column, &count)| {
            let share = if total > 0 { count as f64 / total as f64 } else { 0.0 };
            (count, share, column == row % counts.len())
        });
        (names.get(row).cloned().unwrap_or_default(), cells.collect::<Vec<_>>())
    });
    html! {
        figure {
            figcaption { (who) ": what is true, by what it says" }
            div.scroll { table.confusion.many[columns.len() > 6] {
                thead { tr { th {} @for label in &columns { th scope="col" { (label) } } } }
                tbody { @for (name, cells) in rows { tr { th scope="row" { (name) }
                    @for (count, share, is_right) in cells {
                        td.right[is_right].wrong[!is_right] style={ "--share:" (format!("{share:.3}")) }
                            title=(format!("{:.1} %", share * 100.0)) { (count) }
                    } } } }
            } }
        }
    }
}

fn calibration(views: &[(&str, &View)]) -> Result<Option<Markup>> {
    let series: Vec<Series> = views
        .iter()
        .filter(|(_, view)| !view.calibration.is_empty())
        .map(|(name, view)| Series {
            name: name.to_string(),
            points: view.calibration.iter().map(|bin| (bin.said, bin.came_true)).collect(),
        })
        .collect();
    if series.is_empty() {
        return Ok(None);
    }
    let axis = |name| Axis { name, span: Some(0.0..1.0) };
    let plot = plots::against(&series, &axis("probability that is said"), &axis("share that comes true"), true)?;
    let errors: Vec<String> = views
        .iter()
        .filter_map(|(name, view)| Some(format!("{name} {:.1} %", view.calibration_error? * 100.0)))
        .collect();
    Ok(Some(figure(&plot, &format!("Calibration, in tenths of probability; mean error: {}", errors.join(", ")))))
}

fn scatter(views: &[(&str, &View)]) -> Result<Markup> {
    let series: Vec<Series> = views
        .iter()
        .map(|(name, view)| Series {
            name: name.to_string(),
            points: view.points.iter().map(|&[truth, said]| (f64::from(truth), f64::from(said))).collect(),
        })
        .collect();
    let values = || series.iter().flat_map(|one| &one.points).flat_map(|&(a, b)| [a, b]);
    let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let axis = |name| Axis { name, span: (low < high).then_some(low..high) };
    let plot = plots::against(&series, &axis("true"), &axis("said"), false)?;
    Ok(figure(&plot, "What is said against what is true"))
}

fn facts(run: &Run) -> Markup {
    let rows = &run.evidence.facts;
    let names: Vec<String> =
        rows.first().map(|(_, first)| figures(first).into_iter().map(|(name, _)| name).collect()).unwrap_or_default();
    html! {
        @if !rows.is_empty() {
            p { "The student, on " (grouped(measured(run.evidence.samples))) " samples, with the facts of each, without any, and with those of another sample. What it falls to without \
                 them is what the signal alone says; what it falls to with wrong ones is how much it trusts them." }
            div.scroll { table {
                thead { tr { th { "facts" } @for name in &names { th { (name) } } } }
                tbody { @for (name, metrics) in rows { tr { th { (name) } @for (_, text) in figures(metrics) { td { (text) } } } } }
            } }
        }
        @if !run.report.facts.is_empty() {
            p { "Each fact in the " (grouped(run.evidence.samples)) " samples of the " (run.evidence.split) " split, against what training has seen: a number \
                 outside the range of training counts as its nearest end." }
            div.scroll { table {
                thead { tr { th { "fact" } th { "range of training" } th { "clamped" } th { "value not trained on" } th { "missing" } th { "always" } } }
                tbody { @for fact in &run.report.facts { tr {
                    th { (fact.name) }
                    td { @if let Some([least, greatest]) = fact.range { (least as f32) " to " (greatest as f32) " " (fact.unit) } @else { "-" } }
                    @for count in [fact.clamped, fact.unseen, fact.missing] {
                        td { (format!("{:.1} %", count as f64 / fact.samples.max(1) as f64 * 100.0)) } }
                    td { (fact.constant.as_deref().unwrap_or("-")) }
                } } }
            } }
        }
    }
}

fn wrong(run: &Run) -> Markup {
    let heads = &run.evidence.heads;
    let Some(head) = heads.first() else { return html! {} };
    let shown: Vec<(usize, &Shown)> =
        run.evidence.shown.iter().enumerate().filter(|(_, shown)| shown.is_wrong).collect();
    let truth = |shown: &Shown| {
        let truth = shown.truth.first().map(Vec::as_slice).unwrap_or_default();
        head.kind.truth_text(&head.labels, truth)
    };
    let said = |values: &[f32]| head.kind.answer_text(&head.labels, values);
    html! {
        @if !shown.is_empty() {
            p { "Some of them, the most frequent confusions first, with what the teacher says of the same sample. A sample that both get wrong may be labelled wrong." }
            div.scroll { table {
                thead { tr { th { "sample" } th { "labelled" } th { "student" } th { "teacher" } th { "times" } } }
                tbody { @for (place, shown) in &shown { tr {
                    th { a href="#try" data-sample=(place) { (shown.index) @if let Some(from) = &shown.place { ": " (from) } } }
                    td { (truth(shown)) }
                    td { (shown.student.first().map(|values| said(values)).unwrap_or_default()) }
                    td { @match shown.teacher.first() { Some(Some(values)) => (said(values)), _ => "-" } }
                    td { (shown.alike.map_or("-".into(), grouped)) }
                } } }
            } }
        }
    }
}

fn label(head: &HeadEvidence, class: usize) -> String {
    head.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
}

fn integers(run: &Run) -> Markup {
    let Some(agreement) = &run.report.quantization else { return html! {} };
    let most = agreement.layers.iter().map(|layer| layer.mean_absolute_difference).fold(0.0, f64::max);
    // A bar is full at one step at least: differences below are rounding.
    let most = most.max(1.0);
    let report = &run.report;
    let exported = report.students.last();
    let in_f32 =
        exported.and_then(|last| report.students.iter().find(|one| one.name == last.name && one.precision == "f32"));
    // Of other heads than those of classes, no answer is the same as another: their figures are.
    let others: Vec<String> = exported
        .zip(in_f32)
        .map(|(last, first)| {
            let before = figures(&first.metrics);
            let is_other = |name: &str| {
                run.evidence.heads.iter().any(|head| {
                    head.kind.form() != Form::Classes
                        && name.strip_prefix(&head.name).is_some_and(|rest| rest.starts_with(' '))
                })
            };
            let all = figures(&last.metrics).into_iter().zip(before).filter(|((name, _), _)| is_other(name));
            all.map(|((name, after), (_, before))| format!("{name}: {before} in f32, {after} in {}", last.precision))
                .collect()
        })
        .unwrap_or_default();
    html! {
        p { "How far the network, rounded as it was in training, and the engine that computes in integers are apart, operator by \
             operator, over " (agreement.samples) " samples: the mean difference in steps of int8."
            @for (head, share) in &agreement.equal_argmax { " " (head) ": the same answer on " (format!("{:.1} %", share * 100.0)) "." }
            @for text in &others { " " (text) "." } }
        div.scroll { table {
            thead { tr { th { "layer" } th { "bits" } th { "steps apart" } th {} } }
            tbody { @for layer in &agreement.layers { tr {
                th { (layer.name) } td { (layer.bits) } td { (format!("{:.3}", layer.mean_absolute_difference)) }
                td.bar { span style={ "width:" (format!("{:.1}%", layer.mean_absolute_difference / most * 100.0)) } {} }
            } } }
        } }
    }
}

fn memory(model: &Model<'_>) -> Result<Markup> {
    let layers = layers(model);
    let plot = plots::timeline(&spans(model), layers.len(), model.arena_bytes())?;
    Ok(html! {
        (figure(&plot, "The arena: bytes over operators. Green are inputs and facts, blue what operators write, violet what stays from one run to the next"))
        div.scroll { table {
            thead { tr { th { "operator" } th { "window" } th { "output" } th { "MACs" } th { "weights, B" } th { "bits" } th { "arena, B" } } }
            tbody { @for layer in &layers { tr {
                th { (layer.index) " " (layer.kind) } td { (layer.window) } td { (layer.output) } td { (grouped(layer.macs as usize)) }
                td { (grouped(layer.weight_bytes)) } td { @if let Some(bits) = layer.bits { (bits) } } td { (grouped(layer.alive)) }
            } } }
        } }
    })
}

fn made(run: &Run) -> Markup {
    let report = &run.report;
    let seconds: f64 = report.seconds.values().sum();
    html! {
        pre.command { code { (run.evidence.command) } }
        ul {
            @for verify in &report.verify {
                li { "verified on " (verify.on) ": " (verify.mismatches) " of the output bytes of " (grouped(verify.samples)) " samples differ" }
            }
            li { "seed " (report.seed) ", attar " (run.manifest["attar"].as_str().unwrap_or("-")) ", format " (run.manifest["format"].to_string())
                ", " (format!("{seconds:.0}")) " s of work in this run" }
            li { "data " code { (run.manifest["data"].as_str().unwrap_or("-")) } }
        }
        details { summary { "The recipe, with everything that it leaves to defaults" } pre { code { (run.recipe) } } }
    }
}

fn figure(svg: &str, caption: &str) -> Markup {
    html! { figure { div.plot role="img" aria-label=(caption) { (PreEscaped(svg)) } figcaption { (caption) } } }
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}
