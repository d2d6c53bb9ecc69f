// The volumes of one case: its CT, and two label maps over it. `cases.json` says what there is to choose from.
"use strict";

const byId = (id) => document.getElementById(id);
const GREEN = [0, 180, 120];
const YELLOW = [255, 225, 25];
// Okabe and Ito's colours, which colour-blind people tell apart.
const ORGANS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];

const viewer = new niivue.Niivue({
  isRadiologicalConvention: true, backColor: [0.08, 0.09, 0.11, 1], crosshairColor: [0.42, 0.71, 0.94, 0.8],
  dragAndDropEnabled: false, show3Dcrosshair: false, crosshairWidth: 0.4, logLevel: "error", loadingText: "", onLocationChange: showLocation,
});
let datasets = {};
let loading = 0;
let layers = [];

function fill(select, choices, wanted) {
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
  if (choices.some(([value]) => value === wanted)) select.value = wanted;
}

function chosen() {
  const dataset = datasets[byId("dataset").value];
  return { dataset, item: dataset.cases.find((item) => item.case === byId("case").value) };
}

function fillCases(wanted) {
  const { dataset } = chosen();
  fill(byId("case"), dataset.cases.map((item) => [item.case, item.held_out ? `${item.case} (held out)` : item.case]), wanted);
  fill(byId("organ"), [["", "all organs"], ...Object.entries(dataset.labels)], byId("organ").value);
  fillLayers();
}

function fillLayers() {
  const { dataset, item } = chosen();
  const choices = [["", "none"], ...item.layers.map((layer) => [layer.url, layer.name])];
  const named = (name) => (item.layers.find((layer) => layer.name === name) || { url: "" }).url;
  const kept = (select, other) => named(select.selectedOptions[0]?.text) || other;
  const first = item.layers.find((layer) => layer.name !== dataset.reference) || { url: "" };
  fill(byId("reference"), choices, kept(byId("reference"), named(dataset.reference)));
  fill(byId("compared"), choices, kept(byId("compared"), first.url));
}

// A colour for each label id: NiiVue takes a table by id, of which ids that are not named are not drawn.
function table(labels, colour) {
  const only = byId("organ").value;
  const ids = Object.keys(labels).map(Number).filter((id) => !only || id === Number(only));
  const colours = ids.map((id, place) => (byId("colours").value === "organs" ? ORGANS[place % ORGANS.length] : colour));
  const channel = (index) => [0, ...colours.map((rgb) => rgb[index])];
  return {
    R: channel(0), G: channel(1), B: channel(2), A: [0, ...ids.map(() => 255)], I: [0, ...ids],
    labels: ["", ...ids.map((id) => labels[id])],
  };
}

function paint() {
  const { dataset } = chosen();
  layers.forEach((layer, place) => {
    viewer.volumes[place + 1].setColormapLabel(table(dataset.labels, layer.colour));
    viewer.setOpacity(place + 1, Number(byId(`${layer.role}-opacity`).value));
  });
  viewer.updateGLVolume();
}

function say(text, isError = false) {
  byId("state").textContent = text;
  byId("state").className = isError ? "error" : "";
}

async function load() {
  const turn = ++loading;
  const { item } = chosen();
  say("Loading…");
  document.body.dataset.state = "loading";
  history.replaceState(null, "", `#${encodeURIComponent(byId("dataset").value)}/${encodeURIComponent(item.case)}`);
  const wanted = [["reference", GREEN], ["compared", YELLOW]]
    .map(([role, colour]) => ({ role, colour, url: byId(role).value })).filter((layer) => layer.url);
  const [low, high] = byId("window").value.split(",").map(Number);
  try {
    if (!item.image) throw new Error("its image is not there any more");
    const urls = [item.image, ...wanted.map((layer) => layer.url)];
    const answers = await Promise.all(urls.map((url) => fetch(`../${url}`, { method: "HEAD" })));
    const lost = urls.filter((url, place) => !answers[place].ok);
    if (lost.length) throw new Error(`not there any more: ${lost.join(", ")}`);
    if (turn !== loading) return;
    await viewer.loadVolumes([
      { url: `../${item.image}`, colormap: "gray", cal_min: low, cal_max: high },
      ...wanted.map((layer) => ({ url: `../${layer.url}`, colormap: "gray", opacity: 0 })),
    ]);
  } catch (error) {
    say(`${item.case}: ${error.message}`, true);
    document.body.dataset.state = "failed";
    return;
  }
  if (turn !== loading) return;
  layers = wanted;
  paint();
  say("");
  document.body.dataset.state = "shown";
}

function showLocation(place) {
  const { dataset } = chosen();
  const values = place.values.map((value, index) => {
    if (index === 0) return `${Math.round(value.value)} HU`;
    return `${layers[index - 1]?.role ?? ""}: ${dataset.labels[Math.round(value.value)] ?? "nothing"}`;
  });
  byId("location").textContent = values.join("   ");
}

function setWindow() {
  const image = viewer.volumes[0];
  if (!image) return;
  [image.cal_min, image.cal_max] = byId("window").value.split(",").map(Number);
  viewer.updateGLVolume();
}

async function start() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  datasets = await (await fetch("cases.json")).json();
  const names = Object.keys(datasets).filter((name) => datasets[name].cases.length);
  if (!names.length) return say("This run has no case that could be shown.", true);
  await viewer.attachToCanvas(byId("volume"));
  viewer.setSliceType(3);
  const [dataset, item] = location.hash.slice(1).split("/").map(decodeURIComponent);
  fill(byId("dataset"), names.map((name) => [name, name]), dataset);
  fillCases(item);
  byId("dataset").addEventListener("change", () => { fillCases(); load(); });
  byId("case").addEventListener("change", () => { fillLayers(); load(); });
  for (const id of ["reference", "compared"]) byId(id).addEventListener("change", load);
  for (const id of ["organ", "colours", "reference-opacity", "compared-opacity"]) byId(id).addEventListener("input", paint);
  byId("view").addEventListener("change", () => viewer.setSliceType(Number(byId("view").value)));
  byId("window").addEventListener("change", setWindow);
  await load();
}

start().catch((error) => say(`The viewer could not start: ${error.message}`, true));
