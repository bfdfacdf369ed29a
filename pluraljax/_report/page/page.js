"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const root = document.documentElement;
  // Ends of a mean further apart than this share of the scale get a corner mark.
  const OPEN = 0.02;
  let kind = "map";

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function draw(tag, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  // Colours: one hue whose lightness alone carries the number, so that it reads in greyscale.

  function colour(name) {
    const text = getComputedStyle(root).getPropertyValue(name).trim();
    return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16));
  }

  function blend(share) {
    const [low, high] = [colour("--low"), colour("--high")];
    return low.map((part, i) => Math.round(part + share * (high[i] - part)));
  }

  function luminance(rgb) {
    const [r, g, b] = rgb.map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  // Black or white, whichever has the greater contrast.
  const ink = (rgb) => (luminance(rgb) > 0.179 ? "#000000" : "#ffffff");
  const css = (rgb) => `rgb(${rgb.join(",")})`;

  // Numbers.

  function show(value, measure) {
    if (value === null) return "-";
    if (measure.percent) return `${(100 * value).toFixed(1)} %`;
    return Math.abs(value) < 1e-4 && value !== 0 ? value.toExponential(2) : value.toFixed(4);
  }

  function brief(value, measure) {
    if (measure.percent) return (100 * value).toFixed(0);
    return Math.abs(value) < 10 ? value.toFixed(2) : value.toPrecision(2);
  }

  function domain(measure, index) {
    if (measure.domain) return measure.domain;
    const known = data.cells.map((cell) => cell.numbers[index]).filter(Boolean);
    const low = Math.min(...known.map((numbers) => numbers[2]));
    const high = Math.max(...known.map((numbers) => numbers[3]));
    return low < high ? [Math.min(0, low), high] : [low - 1, high + 1];
  }

  function place(value, [low, high]) {
    return Math.min(1, Math.max(0, (value - low) / (high - low)));
  }

  function describe(cell, measure, numbers) {
    const lines = [`${cell.family}: ${cell.name}`];
    if (!numbers) return [...lines, `${measure.label}: no number`].join("\n");
    const [lower, upper, low, high, count, open] = numbers;
    const range = upper - lower > 1e-9 ? `${show(lower, measure)} to ${show(upper, measure)}` : show(lower, measure);
    lines.push(`${measure.label}: ${range}`);
    lines.push(`${data.level} interval [${show(low, measure)}, ${show(high, measure)}]`);
    lines.push(`n = ${count.toLocaleString("en")} markets${open ? `, ${open.toLocaleString("en")} undecided` : ""}`);
    return lines.join("\n");
  }

  // The box with the numbers of whatever is pointed at or has the focus.

  const tip = at("tip");
  let told = null;

  function reveal(node, text) {
    told = [node, text];
    tip.textContent = text;
    tip.hidden = false;
    const box = node.getBoundingClientRect();
    const left = Math.min(Math.max(4, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 4);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
  }

  function conceal() {
    told = null;
    tip.hidden = true;
  }

  function tell(node, text) {
    node.setAttribute("aria-label", text.replaceAll("\n", "; "));
    node.addEventListener("pointerenter", () => reveal(node, text));
    node.addEventListener("pointerleave", conceal);
    node.addEventListener("focus", () => reveal(node, text));
    node.addEventListener("blur", conceal);
    node.addEventListener("click", () => node.focus());
  }

  // One stop for Tab per diagram; arrow keys, Home and End move inside it. `lines` holds rows of nodes.
  function walk(svg, lines) {
    const nodes = lines.flat();
    for (const node of nodes) node.setAttribute("tabindex", "-1");
    if (nodes.length) nodes[0].setAttribute("tabindex", "0");
    svg.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return conceal();
      const row = lines.findIndex((line) => line.includes(event.target));
      if (row < 0) return undefined;
      const column = lines[row].indexOf(event.target);
      const moves = {
        ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column],
        ArrowDown: [row + 1, column], Home: [row, 0], End: [row, lines[row].length - 1],
      };
      if (!(event.key in moves)) return undefined;
      event.preventDefault();
      const [to, next] = moves[event.key];
      const target = lines[to] && lines[to][Math.min(next, lines[to].length - 1)];
      if (!target) return undefined;
      for (const node of nodes) node.setAttribute("tabindex", node === target ? "0" : "-1");
      target.focus();
      target.scrollIntoView({ block: "nearest", inline: "nearest" });
      return undefined;
    });
    for (const node of nodes) {
      node.addEventListener("focus", () => {
        for (const other of nodes) other.setAttribute("tabindex", other === node ? "0" : "-1");
      });
    }
  }

  function caption(x, y, text, attributes = {}) {
    return draw("text", { x, y, ...attributes }, document.createTextNode(text));
  }

  // Map: a square per cell, its lightness the number.

  function square(cell, measure, numbers, scale, box) {
    const { x, y, width, height } = box;
    const node = draw("g", { role: "gridcell", class: "square" });
    const fill = numbers ? blend(place(numbers[0], scale)) : colour("--none");
    node.append(draw("rect", { x, y, width: width - 2, height: height - 2, rx: 2, fill: css(fill) }));
    const text = numbers ? brief(numbers[0], measure) : "-";
    const middle = { "text-anchor": "middle", "aria-hidden": "true" };
    const label = caption(x + width / 2 - 1, y + height / 2 + 3, text, middle);
    label.style.fill = ink(fill);
    node.append(label);
    if (numbers && numbers[1] - numbers[0] > OPEN * (scale[1] - scale[0])) {
      const [right, size] = [x + width - 2, 8];
      const corner = draw("path", { d: `M${right - size},${y}H${right}V${y + size}Z`, fill: ink(fill) });
      node.append(corner);
    }
    node.append(draw("rect", { x: x - 1, y: y - 1, width, height, rx: 3, class: "ring" }));
    tell(node, describe(cell, measure, numbers));
    return node;
  }

  function map(family, measure, index, scale, room) {
    const longest = Math.max(...family.rows.map((row) => row.label.length));
    const narrow = room < 560;
    const margin = narrow || !longest ? 0 : Math.min(320, 7 * longest + 12);
    const width = Math.max(30, Math.min(64, Math.floor((room - margin) / family.values.length)));
    const [height, head] = [32, 36];
    const above = narrow && longest ? 18 : 0;
    const total = [margin + width * family.values.length + 2, head + family.rows.length * (height + above) + 2];
    const name = `${family.name}: ${measure.label}, by ${family.axis}`;
    const svg = draw("svg", { role: "grid", "aria-label": name, width: total[0], height: total[1], viewBox: `0 0 ${total.join(" ")}` });
    const header = draw("g", { role: "row" });
    svg.append(caption(margin, 12, family.axis, { class: "quiet", "aria-hidden": "true" }));
    family.values.forEach((value, column) => {
      const x = margin + width * (column + 0.5) - 1;
      const cell = draw("g", { role: "columnheader", "aria-label": `${family.axis} ${value}` });
      cell.append(caption(x, 29, value, { "text-anchor": "middle" }));
      header.append(cell);
    });
    svg.append(header);
    const lines = family.rows.map((row, number) => {
      const y = head + number * (height + above) + above;
      const line = draw("g", { role: "row" });
      if (row.label) {
        const title = draw("g", { role: "rowheader", "aria-label": row.label });
        title.append(caption(0, narrow ? y - 5 : y + height / 2 + 3, row.label, { class: "quiet" }));
        line.append(title);
      }
      const squares = [];
      row.cells.forEach((number, column) => {
        if (number === null) return;
        const box = { x: margin + width * column, y, width, height };
        const cell = data.cells[number];
        squares.push(square(cell, measure, cell.numbers[index], scale, box));
      });
      line.append(...squares);
      svg.append(line);
      return squares;
    });
    walk(svg, lines);
    return [svg];
  }

  // Curves: a small diagram per row, its band the interval.

  function curves(family, measure, index, scale, room) {
    const width = Math.min(room, 300);
    const [height, left, right, top, bottom] = [186, 44, 12, 26, 34];
    const x = (column) => left + ((width - left - right) * (column + 0.5)) / family.values.length;
    const y = (value) => top + (height - top - bottom) * (1 - place(value, scale));
    return family.rows.map((row) => {
      const name = `${family.name}${row.label ? `, ${row.label}` : ""}: ${measure.label}, by ${family.axis}`;
      const svg = draw("svg", { role: "group", "aria-label": name, width, height, viewBox: `0 0 ${width} ${height}` });
      for (const share of [0, 0.5, 1]) {
        const value = scale[0] + share * (scale[1] - scale[0]);
        svg.append(draw("path", { class: "rule", d: `M${left},${y(value)}H${width - right}` }));
        svg.append(caption(left - 6, y(value) + 4, brief(value, measure), { "text-anchor": "end", class: "quiet" }));
      }
      svg.append(caption(0, 12, measure.unit, { class: "quiet" }));
      const every = Math.ceil(family.values.length / 8);
      family.values.forEach((value, column) => {
        if (column % every) return;
        svg.append(caption(x(column), height - 18, value, { "text-anchor": "middle", class: "quiet" }));
      });
      svg.append(caption(left, height - 3, family.axis, { class: "quiet" }));
      const points = row.cells.map((number, column) => [number, column])
        .filter(([number]) => number !== null && data.cells[number].numbers[index])
        .map(([number, column]) => ({ cell: data.cells[number], numbers: data.cells[number].numbers[index], x: x(column) }));
      const go = (list, end) => list.map((p) => `${p.x},${y(p.numbers[end])}`).join("L");
      if (points.length > 1) {
        const band = `M${go(points, 3)}L${go([...points].reverse(), 2)}Z`;
        svg.append(draw("path", { d: band, fill: "var(--first)", "fill-opacity": 0.2 }));
        svg.append(draw("path", { d: `M${go(points, 0)}`, fill: "none", stroke: "var(--first)", "stroke-width": 1.5 }));
      }
      const nodes = points.map((p) => {
        const node = draw("g", { role: "img", class: "point" });
        // A wide invisible strip, so that the point is easy to hit.
        node.append(draw("rect", { x: p.x - 10, y: top, width: 20, height: height - top - bottom, fill: "transparent" }));
        node.append(draw("path", { d: `M${p.x},${y(p.numbers[2])}V${y(p.numbers[3])}`, stroke: "var(--first)", "stroke-width": 1.5 }));
        node.append(draw("circle", { cx: p.x, cy: y(p.numbers[0]), r: 3.5, fill: "var(--first)" }));
        node.append(draw("circle", { cx: p.x, cy: y(p.numbers[0]), r: 7, class: "ring" }));
        tell(node, describe(p.cell, measure, p.numbers));
        return node;
      });
      svg.append(...nodes);
      walk(svg, [nodes]);
      return make("figure", { class: "curve" }, make("figcaption", { class: "constants" }, row.label || family.name), svg);
    });
  }

  function legend(measure, scale) {
    const box = at("legend");
    box.replaceChildren();
    if (kind !== "map") return;
    const width = 200;
    const svg = draw("svg", { role: "img", width: width + 80, height: 42, viewBox: `0 0 ${width + 80} 42` });
    svg.setAttribute("aria-label", `Shades from ${brief(scale[0], measure)} to ${brief(scale[1], measure)}, ${measure.unit}`);
    for (let step = 0; step < 20; step += 1) {
      const fill = css(blend(step / 19));
      svg.append(draw("rect", { x: 18 + (step * width) / 20, y: 4, width: width / 20 + 0.5, height: 14, fill }));
    }
    for (const share of [0, 0.5, 1]) {
      const value = scale[0] + share * (scale[1] - scale[0]);
      svg.append(caption(18 + share * width, 33, brief(value, measure), { "text-anchor": "middle", class: "quiet" }));
    }
    const mark = draw("svg", { role: "img", "aria-label": "corner mark", width: 12, height: 12, viewBox: "0 0 12 12" });
    mark.append(draw("path", { d: "M2,2H10V10Z", fill: "var(--ink)" }));
    const keys = make("ul", { class: "keys" }, make("li", {}, `Numbers in the squares: ${measure.unit}.`));
    keys.append(make("li", {}, mark, "Known only as a range: the square shows its lower end, its text the whole."));
    box.append(svg, keys);
  }

  function render() {
    conceal();
    const index = Number(at("measure").value);
    const measure = data.measures[index];
    const scale = domain(measure, index);
    at("meaning").textContent = measure.about;
    legend(measure, scale);
    const panels = at("panels");
    panels.replaceChildren();
    const room = panels.clientWidth;
    for (const family of data.families) {
      const known = family.rows.some((row) => row.cells.some((cell) => cell !== null && data.cells[cell].numbers[index]));
      const body = make("div", { class: kind === "map" ? "scroll" : "small" });
      if (known) body.append(...(kind === "map" ? map : curves)(family, measure, index, scale, room));
      else body.append(make("p", {}, "No numbers."));
      const panel = make("div", { class: "panel" }, make("h3", {}, family.name), make("p", { class: "constants" }, family.constants), body);
      panels.append(panel);
    }
  }

  function diagrams() {
    const select = at("measure");
    const groups = new Map();
    data.measures.forEach((measure, index) => {
      if (!groups.has(measure.group)) groups.set(measure.group, make("optgroup", { label: measure.group }));
      groups.get(measure.group).append(make("option", { value: index }, measure.label));
    });
    select.append(...groups.values());
    select.addEventListener("change", render);
    for (const name of ["map", "curves"]) {
      at(`as-${name}`).addEventListener("click", () => {
        kind = name;
        for (const each of ["map", "curves"]) at(`as-${each}`).setAttribute("aria-pressed", String(each === name));
        render();
      });
    }
    at("controls").hidden = at("hint").hidden = false;
    if (data.measures.length) render();
  }

  // The table: it is there without this script, which adds sorting and filtering.

  function sorting(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.key;
        const numeric = [...body.rows].every((row) => key(row) === "" || !Number.isNaN(Number(key(row))));
        const compare = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true }));
        const rows = [...body.rows].sort((one, two) => {
          const [a, b] = [key(one), key(two)];
          // What has no number stays at the end, either way.
          if (a === "" || b === "") return (a === "") - (b === "");
          return descending ? compare(b, a) : compare(a, b);
        });
        body.append(...rows);
      });
    });
  }

  function filtering(table) {
    const rows = [...table.tBodies[0].rows];
    for (const name of new Set(rows.map((row) => row.dataset.family))) {
      at("family").append(make("option", { value: name }, name));
    }
    function matches(row, word) {
      const exact = word.includes("=") || !Number.isNaN(Number(word));
      return row.dataset.words.split(" ").some((each) => (exact ? each === word : each.includes(word)));
    }
    function apply() {
      const words = at("words").value.toLowerCase().split(/\s+/).filter(Boolean);
      const family = at("family").value;
      let shown = 0;
      for (const row of rows) {
        const fits = (!family || row.dataset.family === family) && (!at("troubled").checked || row.dataset.trouble === "1");
        row.hidden = !(fits && words.every((word) => matches(row, word)));
        shown += row.hidden ? 0 : 1;
      }
      at("shown").textContent = `${shown} of ${rows.length} cells`;
    }
    for (const id of ["words", "family", "troubled"]) at(id).addEventListener("input", apply);
    at("filters").addEventListener("submit", (event) => event.preventDefault());
    at("filters").hidden = false;
    apply();
  }

  // Colours follow the system unless somebody chooses.

  function themes() {
    const names = ["automatic", "light", "dark"];
    const button = at("theme");
    let chosen = "automatic";
    try { chosen = localStorage.getItem("pluraljax-report-theme") || chosen; } catch { /* Pages from files may have no store. */ }
    function apply() {
      if (chosen === "automatic") delete root.dataset.theme;
      else root.dataset.theme = chosen;
      button.textContent = `Colours: ${chosen}`;
    }
    button.addEventListener("click", () => {
      chosen = names[(names.indexOf(chosen) + 1) % names.length];
      try { localStorage.setItem("pluraljax-report-theme", chosen); } catch { /* The choice lasts as long as the page. */ }
      apply();
      render();
    });
    button.hidden = false;
    apply();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
  }

  themes();
  diagrams();
  sorting(at("table"));
  filtering(at("table"));
  let width = innerWidth;
  let waiting;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(render, 100);
  });
  // The box goes along with what it is about; scrolling inside a diagram counts, too.
  addEventListener("scroll", () => told && reveal(...told), { passive: true, capture: true });
})();
