"use strict";
// Sorting of the table: a press sorts, another turns the order round; what has no value stays last.
const table = document.getElementById("scores");
for (const button of table?.querySelectorAll("thead button") ?? []) {
  button.addEventListener("click", () => {
    const heading = button.closest("th"), column = Number(button.dataset.column);
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.children[column].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = column === 0 ? a.localeCompare(b) : Number(a) - Number(b);
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  });
}

// Charts by tenths of hole, with their intervals.
const colours = ["#0b7fd0", "#d1495b", "#2e9e6b", "#b8860b", "#8d5fd3", "#d0762a", "#3aa6a6", "#8a8f98"];
function element(name, attributes, text) {
  const made = document.createElementNS("http" + "://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function draw(chart) {
  const width = 420, height = 220, left = 46, bottom = 24, top = 8, right = 8;
  const bins = [];
  for (const line of chart.lines) for (const point of line.points) if (!bins.includes(point.bin)) bins.push(point.bin);
  bins.sort((one, other) => parseInt(one) - parseInt(other));
  const ends = chart.lines.flatMap((line) => line.points.flatMap((point) => [point.low, point.high]));
  const low = Math.min(...ends), span = Math.max(...ends) - low || 1;
  const x = (bin) => left + (bins.indexOf(bin) + 0.5) * (width - left - right) / bins.length;
  const y = (value) => top + (1 - (value - low) / span) * (height - top - bottom);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": chart.title + " by hole fraction" });
  for (let step = 0; step <= 4; step++) {
    const value = low + span * step / 4;
    svg.append(element("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "currentColor", "stroke-opacity": 0.12 }));
    svg.append(element("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, value.toPrecision(3)));
  }
  for (const bin of bins) svg.append(element("text", { x: x(bin), y: height - 8, "text-anchor": "middle" }, bin));
  const key = document.createElement("div");
  key.className = "key";
  chart.lines.forEach((line, index) => {
    const colour = colours[index % colours.length], shift = (index - (chart.lines.length - 1) / 2) * 3;
    const places = line.points.map((point) => `${x(point.bin) + shift},${y(point.mean)}`).join(" ");
    svg.append(element("polyline", { points: places, fill: "none", stroke: colour, "stroke-width": 2 }));
    for (const point of line.points) {
      const at = x(point.bin) + shift;
      svg.append(element("line", { x1: at, x2: at, y1: y(point.low), y2: y(point.high), stroke: colour, "stroke-opacity": 0.6 }));
      const dot = element("circle", { cx: at, cy: y(point.mean), r: 3, fill: colour });
      dot.append(element("title", {}, `${line.method}, ${point.bin}: ${point.mean.toPrecision(4)} (${point.low.toPrecision(4)} to ${point.high.toPrecision(4)})`));
      svg.append(dot);
    }
    const name = document.createElement("span"), swatch = document.createElement("i");
    swatch.style.background = colour;
    name.append(swatch, line.method);
    key.append(name);
  });
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  figure.className = "chart";
  caption.textContent = chart.title;
  figure.append(caption, svg, key);
  return figure;
}
document.getElementById("chart-list")?.append(...JSON.parse(document.getElementById("data").textContent).map(draw));

// Cards: sliders, what they compare, and their order.
const cards = document.getElementById("cards");
if (cards) {
  const [order, before, after] = ["order", "before", "after"].map((name) => document.getElementById(name));
  const all = [...cards.children];
  for (const card of all) {
    const left = card.querySelector(".left"), slider = card.querySelector("input");
    slider.addEventListener("input", () => { left.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`; });
  }
  const show = () => {
    for (const card of all) {
      for (const [place, choice] of [[".left", before], [".right", after]]) {
        const source = card.querySelector(`.sources [data-kind="${choice.value}"]`), picture = card.querySelector(place);
        picture.style.visibility = source ? "visible" : "hidden";
        if (source) picture.src = source.src;
      }
    }
  };
  const sort = () => {
    const method = /^\d+$/.test(after.value) ? Number(after.value) : 0;
    const value = {
      chosen: (card) => all.indexOf(card),
      hole: (card) => Number(card.dataset.hole),
      score: (card) => { const score = card.dataset.scores.split(";")[method]; return score === "" ? Infinity : Number(score); },
    }[order.value];
    cards.append(...[...all].sort((one, other) => value ? value(one) - value(other) : one.dataset.name.localeCompare(other.dataset.name)));
  };
  before.addEventListener("change", show);
  after.addEventListener("change", () => { show(); sort(); });
  order.addEventListener("change", sort);
  show();
}
