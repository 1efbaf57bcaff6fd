// The student in the page: the board's engine in WebAssembly, run on samples and facts that the reader chooses.
"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const bytesOf = (text) => Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const drawn = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  let engine;
  try {
    engine = (await WebAssembly.instantiate(bytesOf($("engine").textContent), {})).instance.exports;
  } catch (error) {
    $("verdict").textContent = "This browser does not run the student: " + error.message;
    return;
  }
  const { input: shape, facts, heads, samples } = data;
  const inputLength = shape.height * shape.width * shape.channels;
  const longest = samples.reduce((most, sample) => Math.max(most, sample.input.length), inputLength);
  const outputCount = heads.reduce((sum, head) => sum + head.outputs, 0);
  const computedCount = facts.filter((fact) => fact.computed).length;
  const answerLength = 5 * outputCount + 4 * computedCount;
  const model = bytesOf(data.model);
  const place = { model: engine.reserve(model.length) };
  new Uint8Array(engine.memory.buffer, place.model, model.length).set(model);
  const arenaLength = engine.arena_bytes(place.model, model.length);
  place.arena = engine.reserve(Math.max(arenaLength, 1));
  place.input = engine.reserve(4 * longest);
  place.facts = engine.reserve(Math.max(8 * facts.length, 1));
  place.answer = engine.reserve(answerLength);

  const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
  const greatest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

  /** Runs the student and returns every byte of its answer. */
  function run(input, known) {
    new Float32Array(engine.memory.buffer, place.input, input.length).set(input);
    const pairs = facts.flatMap((_, index) => (known[index] == null ? [0, 0] : [1, known[index]]));
    new Float32Array(engine.memory.buffer, place.facts, pairs.length).set(pairs);
    const length = engine.run(place.model, model.length, place.arena, arenaLength, place.input, input.length,
      place.facts, pairs.length, place.answer, answerLength);
    if (length < 0) throw new Error("the student does not take this");
    return new Uint8Array(engine.memory.buffer, place.answer, length).slice();
  }
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

  if (arenaLength < 0 || Object.values(place).includes(0)) {
    $("verdict").textContent = "The student does not load here: there is too little memory, or its file is broken.";
    return;
  }
  // Every sample once: the bytes have to be those of the workstation.
  const isSame = (sample) => {
    try {
      return hex(run(sample.input, sample.facts)) === sample.answer;
    } catch {
      return false;
    }
  };
  const differing = samples.filter((sample) => !isSame(sample)).length;
  window.attar = { checked: samples.length, differing, run, samples, hex };

  let chosen = 0;
  let input = [];
  let known = [];

  function choose(index) {
    chosen = (index + samples.length) % samples.length;
    $("sample").value = String(chosen);
    input = samples[chosen].input.slice();
    known = facts.map((_, place) => samples[chosen].facts[place] ?? null);
    showInput();
    showFacts();
    show();
  }

  function label(head, index) {
    return head.labels[index] ?? String(index);
  }

  function isChanged() {
    const sample = samples[chosen];
    return input.some((value, index) => value !== sample.input[index]) || input.length !== sample.input.length
      || known.some((value, index) => value !== (sample.facts[index] ?? null));
  }

  function show() {
    const start = performance.now();
    let bytes;
    try {
      bytes = run(input, known);
    } catch (error) {
      $("verdict").textContent = error.message;
      return;
    }
    const micros = (performance.now() - start) * 1000;
    const view = new DataView(bytes.buffer);
    const sample = samples[chosen];
    const changed = isChanged();
    let at = outputCount;
    const parts = [];
    heads.forEach((head, place) => {
      const values = Array.from({ length: head.outputs }, (_, index) => view.getFloat32(at + 4 * index, true));
      at += 4 * head.outputs;
      parts.push(make("h3", { textContent: head.name }));
      const isNumber = head.kind === "regression" || head.kind === "reconstruction";
      const truth = changed ? [] : sample.truth[place];
      const teacher = changed ? null : sample.teacher[place];
      const most = greatest(values);
      const places = values.map((_, index) => index);
      // Of many classes those that the student thinks of, and the true one.
      const isLong = values.length > 24;
      if (isLong && !isNumber) places.sort((a, b) => values[b] - values[a]);
      const shown = places.slice(0, 24);
      if (isLong && head.kind === "class" && truth[0] != null && !shown.includes(truth[0])) shown.push(truth[0]);
      for (const index of shown) {
        const name = head.kind === "binary" ? label(head, 1) : label(head, index);
        const isTrue = head.kind === "class" ? truth[0] === index : !isNumber && truth[index] === 1;
        const row = make("div", { className: "answer" }, make("span", { className: "name", textContent: name, title: name }));
        row.classList.toggle("top", head.kind === "class" ? values[index] === most : !isNumber && values[index] >= 0.5);
        row.classList.toggle("truth", isTrue);
        const track = make("div", { className: "track" });
        if (isNumber) {
          track.className = "";
          track.textContent = truth[index] == null ? "" : "true: " + Number(truth[index].toPrecision(4));
        } else {
          track.append(make("span", { style: `width:${(100 * values[index]).toFixed(1)}%` }));
          if (teacher) track.append(make("i", { style: `left:calc(${(100 * teacher[index]).toFixed(1)}% - 1px)`, title: "the teacher" }));
        }
        const value = isNumber ? String(Number(values[index].toPrecision(4))) : (100 * values[index]).toFixed(1) + " %";
        row.append(track, make("span", { className: "value", textContent: value }));
        parts.push(row);
      }
      if (isLong) parts.push(make("p", { className: "note", textContent: `${shown.length} of ${values.length}` }));
      if (teacher && !isNumber) parts.push(make("p", { className: "note", textContent: "The mark is what the teacher says." }));
    });
    $("answers").replaceChildren(...parts);
    let computed = 0;
    facts.forEach((fact, index) => {
      if (!fact.computed) return;
      const value = view.getFloat32(at + 4 * computed, true);
      computed += 1;
      const cell = document.querySelector(`[data-computed="${index}"]`);
      if (!cell) return;
      if (Number.isNaN(value)) cell.textContent = "unknown";
      else if (fact.kind === "flag") cell.textContent = value ? "yes" : "no";
      else if (fact.kind === "gazetteer") cell.textContent = fact.values.filter((_, bit) => (value >> bit) & 1).join(", ") || "none";
      else cell.textContent = Number(value.toPrecision(5)) + " " + (fact.unit || "");
    });
    const verdict = $("verdict");
    if (changed) {
      verdict.replaceChildren(`Your own question, answered in ${micros < 1 ? "less than a microsecond" : micros.toFixed(0) + " µs"}.`);
    } else {
      const same = hex(bytes) === sample.answer;
      verdict.replaceChildren(make("b", { textContent: same ? "Bit for bit" : "Not the same bits", className: same ? "" : "bad" }),
        same ? ` as on the workstation, all ${bytes.length} bytes, and so are ${samples.length - differing} of ${samples.length} samples here.`
          : " as on the workstation: please report this browser.");
    }
  }

  function showInput() {
    const box = $("input");
    if (shape.text) {
      const text = new TextDecoder().decode(Uint8Array.from(input.map((value) => value & 255)).filter((byte) => byte !== 0));
      const area = make("textarea", { value: text, spellcheck: false });
      area.setAttribute("aria-label", shape.name);
      area.addEventListener("input", () => {
        const bytes = new TextEncoder().encode(area.value).slice(0, inputLength);
        input = Array.from({ length: inputLength }, (_, index) => (((bytes[index] ?? 0) << 24) >> 24));
        show();
      });
      box.replaceChildren(area);
    } else if (inputLength <= 16 && input.length === inputLength) {
      const rows = input.map((value, index) => {
        const field = make("input", { type: "number", step: "any", value: Number(value.toPrecision(6)) });
        field.addEventListener("input", () => {
          const isNumber = field.value !== "" && Number.isFinite(Number(field.value));
          field.setAttribute("aria-invalid", String(!isNumber));
          if (isNumber) {
            input[index] = Math.fround(Number(field.value));
            show();
          }
        });
        const name = shape.names[index % Math.max(shape.channels, 1)] ?? `${shape.name} ${index}`;
        return make("tr", {}, make("th", { textContent: name }), make("td", {}, field));
      });
      box.replaceChildren(make("table", {}, make("tbody", {}, ...rows)));
    } else if (shape.height > 3 && shape.width > 3 && (shape.channels === 1 || shape.channels === 3)) {
      const canvas = make("canvas", { width: shape.width, height: shape.height });
      const context = canvas.getContext("2d");
      const image = context.createImageData(shape.width, shape.height);
      const low = least(input);
      const scale = 255 / Math.max(greatest(input) - low, 1e-9);
      for (let pixel = 0; pixel < shape.width * shape.height; pixel++) {
        for (let channel = 0; channel < 3; channel++) {
          const from = shape.channels === 3 ? 3 * pixel + channel : pixel;
          image.data[4 * pixel + channel] = (input[from] - low) * scale;
        }
        image.data[4 * pixel + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      box.replaceChildren(canvas);
    } else {
      // Lines: of a series or a signal one for each channel, of a vector its values.
      const channels = input.length > shape.channels ? shape.channels : 1;
      const length = input.length / channels;
      const low = least(input);
      const high = greatest(input);
      const svg = drawn("svg", { viewBox: "0 0 600 180", role: "img", "aria-label": shape.name });
      for (let channel = 0; channel < Math.min(channels, 6); channel++) {
        const points = Array.from({ length }, (_, index) =>
          `${(8 + (584 * index) / Math.max(length - 1, 1)).toFixed(1)},${(170 - (160 * (input[index * channels + channel] - low)) / Math.max(high - low, 1e-9)).toFixed(1)}`);
        svg.append(drawn("polyline", { points: points.join(" "), fill: "none", "stroke-width": 1.5,
          style: `stroke:var(--${["one", "two", "three", "four", "five", "six"][channel]})` }));
      }
      const range = `${shape.name}: ${Number(low.toPrecision(4))} to ${Number(high.toPrecision(4))}`;
      box.replaceChildren(svg, make("p", { className: "note", textContent: range }));
    }
  }

  function showFacts() {
    const rows = facts.map((fact, index) => {
      const title = make("span", { textContent: fact.name });
      const set = (value) => {
        known[index] = value;
        show();
      };
      if (fact.computed) {
        const cell = make("output", {});
        cell.dataset.computed = index;
        return make("div", { className: "fact" }, title, make("span", { className: "note", textContent: "computed" }), cell);
      }
      if (fact.kind === "number") {
        const seen = samples.map((sample) => sample.facts[index]).filter((value) => value != null);
        const low = fact.least ?? least([...seen, 0]);
        const high = fact.greatest ?? greatest([...seen, 1]);
        const range = make("input", { type: "range", min: low, max: high, step: "any" });
        range.setAttribute("aria-label", fact.name);
        const value = make("output", {});
        const box = make("input", { type: "checkbox", checked: known[index] == null });
        const write = () => {
          value.textContent = known[index] == null ? "" : Number(known[index].toPrecision(4)) + " " + (fact.unit || "");
          range.disabled = known[index] == null;
        };
        range.value = known[index] ?? (low + high) / 2;
        range.addEventListener("input", () => {
          set(Math.fround(Number(range.value)));
          write();
        });
        box.addEventListener("change", () => {
          set(box.checked ? null : Math.fround(Number(range.value)));
          write();
        });
        write();
        return make("div", { className: "fact" }, title, range, value, make("label", { className: "unknown" }, box, " unknown"));
      }
      const choices = fact.kind === "flag" ? ["no", "yes"] : fact.values;
      const select = make("select", {}, make("option", { value: "", textContent: "unknown" }),
        ...choices.map((choice, value) => make("option", { value, textContent: choice })));
      select.setAttribute("aria-label", fact.name);
      select.value = known[index] == null ? "" : String(known[index]);
      select.addEventListener("change", () => set(select.value === "" ? null : Number(select.value)));
      return make("div", { className: "fact" }, title, select);
    });
    $("known").hidden = facts.length === 0;
    $("known").replaceChildren(make("legend", { textContent: "Facts" }), ...rows);
  }

  $("sample").replaceChildren(...samples.map((sample, index) => {
    const head = heads[0];
    const truth = head.kind === "class" && sample.truth[0][0] != null ? `, ${label(head, sample.truth[0][0])}` : "";
    return make("option", { value: index, textContent: `sample ${sample.index}${truth}${sample.is_wrong ? ", got wrong" : ""}` });
  }));
  $("sample").addEventListener("change", () => choose(Number($("sample").value)));
  $("previous").addEventListener("click", () => choose(chosen - 1));
  $("next").addEventListener("click", () => choose(chosen + 1));
  document.querySelectorAll("[data-sample]").forEach((link) => link.addEventListener("click", () => choose(Number(link.dataset.sample))));
  choose(Math.max(samples.findIndex((sample) => !sample.is_wrong), 0));
})();
