/* The viewer's page. All texts go in as text nodes; nothing that a model or a benchmark wrote becomes HTML. */
"use strict";

const viewer = (() => {
  const ROW = 44;  // pixels of a row of the list, as viewer.css has it
  const TASK = 0, ID = 1, QUESTION = 2, CATEGORY = 3, STATUS = 4, SCORE = 5, OFFICIAL = 6, READ = 7, TARGET = 8, BEFORE = 9;
  const pieces = new Map();  // name -> data, or the functions that wait for it
  const state = { index: null, texts: [], places: [], shown: [], at: -1, opened: -1 };
  const $ = (id) => document.getElementById(id);

  function make(tag, text, attributes = {}) {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = String(text);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") element.className = value;
      else element.setAttribute(name, value);
    }
    return element;
  }

  function data(name, value) {
    if (name === "index") return start(value);
    const waiting = pieces.get(name);
    pieces.set(name, value);
    if (Array.isArray(waiting) && waiting.waits) waiting.forEach((tell) => tell(value));
  }

  function load(name, tell) {
    const known = pieces.get(name);
    if (known && !known.waits) return tell(known);
    if (known) return void known.push(tell);
    const waiting = [tell];
    waiting.waits = true;
    pieces.set(name, waiting);
    const script = make("script", null, { src: `data/${name}.js` });
    script.onerror = () => { pieces.delete(name); $("detail").replaceChildren(make("p", `data/${name}.js cannot be read.`, { class: "wrong" })); };
    document.head.append(script);
  }

  // Overview

  function start(index) {
    state.index = index;
    const { run, tasks, rows } = index;
    const caveats = run.notes.length ? ` (${run.notes.join("; ")})` : "";
    document.title = `${run.model}: kangaroo-eval viewer`;
    $("title").textContent = run.model + caveats;
    $("about").textContent = [run.frames ? `${run.frames} frames` : "", run.before ? `compared with ${run.before}` : ""].filter(Boolean).join(", ");
    $("overview").replaceChildren(...tasks.flatMap(overview));
    state.texts = rows.map((row) => [row[ID], row[QUESTION], row[READ], row[CATEGORY]].join("\n").toLowerCase());
    const seen = {};
    state.places = rows.map((row) => (seen[row[TASK]] = (seen[row[TASK]] ?? -1) + 1));
    for (const option of document.querySelectorAll(".compared")) option.hidden = !run.before;
    choices("task", [["", "all"], ...tasks.map((task, i) => [String(i), task.label])]);
    choices("status", [["", "all"], ...distinct(rows, STATUS)]);
    categories();
    listen();
    restore();
    filter();
  }

  function overview(task) {
    const out = [make("h2", task.label)];
    out.push(make("p", `${task.answered} of ${task.asked} answered; the two readers differ on ${task.read_differently}.`, { class: "soft" }));
    out.push(bar("careful", task.careful, task.scale), bar("official", task.official, task.scale));
    for (const each of task.findings) out.push(make("p", `${each.text}.`, { class: "finding" }));
    for (const [tag, values] of Object.entries(task.breakdown)) {
      const entries = Object.entries(values);
      if (entries.length < 2) continue;
      const group = make("details");
      if (entries.length <= 12) group.open = true;
      group.append(make("summary", `by ${tag}, careful`), ...entries.map(([name, found]) => bar(name, found, task.scale)));
      out.push(group);
    }
    return out;
  }

  function bar(name, found, scale) {
    const row = make("div", null, { class: "bar" });
    const known = found.value !== null, error = found.stderr, factor = scale === 1 ? 100 : 1, digits = scale === 1 ? 1 : 2;
    const spread = error === null ? "" : ` ± ${(factor * error).toFixed(digits)}`;
    const text = !known ? "no score" : `${(factor * found.value).toFixed(digits)}${spread} ${scale === 1 ? "%" : `of ${scale}`}`;
    const line = make("i", null, { "aria-hidden": "true" });
    if (known) {
      const share = (value) => `${Math.max(0, Math.min(100, (100 * value) / scale))}%`;
      const full = make("b"), reach = make("s");
      full.style.width = share(found.value);
      line.append(full);
      if (error !== null) {
        reach.style.left = share(found.value - 1.96 * error);
        reach.style.width = share(2 * 1.96 * error);
        line.append(reach);
      }
    }
    row.append(make("span", name), line, make("span", `${text}, n=${found.n}`, { class: "number" }));
    return row;
  }

  // Filters

  function choices(id, pairs) {
    $(id).replaceChildren(...pairs.map(([value, text]) => make("option", text, { value })));
  }

  function distinct(rows, column, task = "") {
    const counts = new Map();
    for (const row of rows) {
      if (task === "" || String(row[TASK]) === task) counts.set(row[column], (counts.get(row[column]) ?? 0) + 1);
    }
    return [...counts].map(([value, count]) => [value, `${value || "none"} (${count})`]);
  }

  function categories() {
    const before = $("category").value;
    choices("category", [["", "all"], ...distinct(state.index.rows, CATEGORY, $("task").value)]);
    $("category").value = before;
    if ($("category").selectedIndex < 0) $("category").value = "";
  }

  function full(row) {
    return state.index.tasks[row[TASK]].scale;
  }

  const KEEP = {
    "": () => true,
    wrong: (row) => row[SCORE] !== null && row[SCORE] < full(row),
    right: (row) => row[SCORE] === full(row),
    unread: (row) => row[STATUS] === "ok" && row[READ] === null,
    differ: (row) => row[SCORE] !== null && row[OFFICIAL] !== row[SCORE],
    lost: (row) => row[BEFORE] !== null && row[SCORE] !== null && row[SCORE] < row[BEFORE],
    gained: (row) => row[BEFORE] !== null && row[SCORE] !== null && row[SCORE] > row[BEFORE],
  };

  function filter() {
    const task = $("task").value, category = $("category").value, status = $("status").value;
    const keep = KEEP[$("result").value] ?? KEEP[""], words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const { rows } = state.index;
    const current = state.shown[state.at];
    state.shown = [];
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i];
      if (task !== "" && String(row[TASK]) !== task) continue;
      if (category !== "" && row[CATEGORY] !== category) continue;
      if (status !== "" && row[STATUS] !== status) continue;
      if (!keep(row) || !words.every((word) => state.texts[i].includes(word))) continue;
      state.shown.push(i);
    }
    state.at = state.shown.indexOf(current);
    $("count").textContent = `${state.shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    $("space").style.height = `${state.shown.length * ROW}px`;
    $("list").scrollTop = Math.max(0, state.at * ROW - ROW);
    draw();
    remember();
  }

  // The list: only the rows in sight are elements

  function draw() {
    const list = $("list"), first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
    const last = Math.min(state.shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 5);
    const rows = [];
    for (let place = first; place < last; place++) rows.push(row(place));
    $("space").replaceChildren(...rows);
    if (state.at >= 0) list.setAttribute("aria-activedescendant", `row-${state.at}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function verdict(row) {
    if (row[STATUS] !== "ok") return [row[STATUS], "soft"];
    if (row[SCORE] === null) return ["not scored", "soft"];
    if (row[SCORE] === full(row)) return ["right", "right"];
    return [row[READ] === null ? "unreadable" : row[SCORE] === 0 ? "wrong" : row[SCORE].toFixed(2), "wrong"];
  }

  function row(place) {
    const found = state.index.rows[state.shown[place]];
    const element = make("div", null, {
      class: "row", role: "option", id: `row-${place}`, "aria-selected": String(place === state.at),
      "aria-setsize": state.shown.length, "aria-posinset": place + 1,
    });
    element.style.top = `${place * ROW}px`;
    const [said, look] = verdict(found), line = make("div");
    line.append(make("span", said, { class: look }), ` ${found[ID]}: ${found[QUESTION]}`);
    const read = found[READ] === null ? "nothing" : found[READ];
    element.append(line, make("div", `${state.index.tasks[found[TASK]].label}, ${found[CATEGORY]}: read ${read}, key ${found[TARGET] ?? "unknown"}`, { class: "soft" }));
    element.addEventListener("click", () => { move(place); open(); });
    return element;
  }

  function move(place) {
    if (!state.shown.length) return;
    state.at = Math.max(0, Math.min(state.shown.length - 1, place));
    const list = $("list"), top = state.at * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    draw();
  }

  // One sample

  function open() {
    if (state.at < 0) return;
    const number = state.shown[state.at], found = state.index.rows[number], place = state.places[number];
    const size = state.index.run.piece;
    state.opened = number;
    load(`${found[TASK]}-${Math.floor(place / size)}`, (lines) => {
      if (state.opened === number) detail(lines[place % size]);
    });
    remember();
  }

  function pairs(entries) {
    const list = make("dl");
    for (const [name, value] of entries) {
      if (value !== null && value !== undefined && value !== "") list.append(make("dt", name), make("dd", value));
    }
    return list;
  }

  const score = (value) => (value === null || value === undefined ? null : Number(value).toFixed(2).replace(/\.00$/, ""));

  function detail(sample) {
    const out = [make("h2", sample.id)];
    out.push(pairs([
      ["key", sample.target],
      ["careful", `${sample.read ?? "unreadable"}, score ${score(sample.score) ?? "none"}${sample.rule ? ` (${sample.rule})` : ""}`],
      ["official", `${sample.official_read ?? "nothing"}, score ${score(sample.official) ?? "none"}`],
      ["status", sample.status],
      ["error", sample.error ? `${sample.error.type}: ${sample.error.message}` : null],
      ["before", sample.before ? `${sample.before.read ?? "unreadable"}, score ${score(sample.before.score) ?? "none"}` : null],
      ...Object.entries(sample.tags).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]),
      ["video", sample.video],
      ["time", sample.seconds === null ? null : `${sample.seconds.toFixed(3)} s, ${sample.tokens[0] ?? "?"} tokens in, ${sample.tokens[1] ?? "?"} out`],
    ]));
    out.push(make("h3", `Frames that the model saw (${sample.times.length})`), strip(sample));
    if (sample.system) out.push(make("h3", "System"), make("pre", sample.system));
    out.push(make("h3", "Prompt"), make("pre", sample.prompt + (sample.prefill ?? "")));
    out.push(make("h3", "Answer"), answer(sample));
    if (sample.before) out.push(make("h3", "Answer before"), make("pre", sample.before.text ?? "no answer"));
    $("detail").replaceChildren(...out);
    $("detail").scrollTop = 0;
  }

  function answer(sample) {
    const block = make("pre", null, { id: "answer" });
    if (sample.text === null) block.append("no answer");
    else if (sample.span) {
      // Python counts code points, JavaScript halves of surrogate pairs.
      const signs = [...sample.text], [from, to] = sample.span;
      block.append(signs.slice(0, from).join(""), make("mark", signs.slice(from, to).join("")), signs.slice(to).join(""));
    } else block.append(sample.text);
    return block;
  }

  function strip(sample) {
    const { file, columns, width, height, why } = sample.strip, box = make("div", null, { id: "strip" });
    if (!file) {
      const times = sample.times.length ? ` Frames at ${sample.times.map((time) => time.toFixed(2)).join(", ")} s.` : "";
      box.append(make("p", `No pictures: ${why}.${times}`, { class: "soft" }));
      return box;
    }
    sample.times.forEach((time, i) => {
      const left = (i % columns) * width, top = Math.floor(i / columns) * height;
      const frame = make("button", null, { type: "button", "aria-label": `Frame ${i + 1} at ${time.toFixed(2)} seconds, enlarge` });
      Object.assign(frame.style, {
        width: `${width + 2}px`, height: `${height + 2}px`, backgroundImage: `url("frames/${file}")`, backgroundPosition: `-${left}px -${top}px`,
      });
      frame.append(make("span", time.toFixed(1)));
      frame.addEventListener("click", () => enlarge(file, left, top, width, height, `frame ${i + 1} of ${sample.times.length}, ${time.toFixed(3)} s`));
      box.append(frame);
    });
    return box;
  }

  function enlarge(file, left, top, width, height, text) {
    const sheet = new Image(), canvas = $("canvas");
    sheet.onload = () => {
      const scale = Math.max(1, Math.min(6, Math.floor(880 / width)));
      canvas.width = width * scale;
      canvas.height = height * scale;
      canvas.getContext("2d").drawImage(sheet, left, top, width, height, 0, 0, canvas.width, canvas.height);
    };
    sheet.src = `frames/${file}`;
    $("when").textContent = text;
    $("large").showModal();
  }

  // Keys, views, what the address remembers

  function show(view) {
    for (const name of ["overview", "samples"]) {
      $(name).hidden = name !== view;
      $(`show-${name}`).setAttribute("aria-pressed", String(name === view));
    }
    if (view === "samples") { draw(); $("list").focus({ preventScroll: true }); }
    remember();
  }

  const FILTERS = ["search", "task", "category", "status", "result"];

  function remember() {
    const words = new URLSearchParams();
    for (const id of FILTERS) if ($(id).value) words.set(id, $(id).value);
    if (!$("samples").hidden) words.set("view", "samples");
    if (state.opened >= 0) words.set("sample", `${state.index.tasks[state.index.rows[state.opened][TASK]].name}/${state.index.rows[state.opened][ID]}`);
    history.replaceState(null, "", `#${words}`);
  }

  function restore() {
    const words = new URLSearchParams(location.hash.slice(1));
    for (const id of FILTERS) {
      if (words.has(id)) $(id).value = words.get(id);
      if (id === "task") categories();
    }
    const sample = words.get("sample");
    if (sample) {
      const cut = sample.indexOf("/"), task = state.index.tasks.findIndex((each) => each.name === sample.slice(0, cut));
      const number = state.index.rows.findIndex((row) => row[TASK] === task && row[ID] === sample.slice(cut + 1));
      if (number >= 0) { filter(); state.at = state.shown.indexOf(number); if (state.at >= 0) { show("samples"); move(state.at); open(); return; } }
    }
    if (words.get("view") === "samples") show("samples");
  }

  function listen() {
    let wait = 0;
    $("search").addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(filter, 60); });
    for (const id of ["category", "status", "result"]) $(id).addEventListener("change", filter);
    $("task").addEventListener("change", () => { categories(); filter(); });
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("list").addEventListener("scroll", draw, { passive: true });
    addEventListener("resize", draw);
    $("show-overview").addEventListener("click", () => show("overview"));
    $("show-samples").addEventListener("click", () => show("samples"));
    $("theme").addEventListener("click", () => {
      const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
    });
    document.addEventListener("keydown", key);
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("large").open) return;
    const typing = event.target.matches("input, select");
    if (event.key === "Escape" && typing) { $("list").focus(); return; }
    if (typing || $("samples").hidden) return;
    if (event.target.matches("button") && event.key === "Enter") return;
    const page = Math.max(1, Math.floor($("list").clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page };
    if (event.key in steps) move(state.at + steps[event.key]);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(state.shown.length - 1);
    else if (event.key === "Enter") open();
    else if (event.key === "/") $("search").focus();
    else return;
    event.preventDefault();
  }

  return { data };
})();
