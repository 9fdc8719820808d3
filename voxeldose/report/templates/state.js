// What the page shows now, and the images unpacked. Positions are indices (k, j, i) of the viewer's voxels.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId('data').textContent);
const view = data.viewer;
const state = {
  at: [...view.start],
  pointer: null,
  shown: new Set([...view.rois, ...data.dvh.regions].map((roi) => roi.name).filter((name) => !isOff(name))),
  opacity: 0.6,
  overlay: 'dose',
  tops: { dose: data.top_gy, activity: data.top_mbq_per_ml },
  map: Object.keys(data.maps)[0],
  levels: data.isodoses_gy,
  window: [400, 40],
  zoom: 1,
};
const listeners = [];
let isDue = false;

// Lungs, segments and what is derived are drawn when they are asked for.
function isOff(name) {
  return view.rois.some((roi) => roi.name === name && ['lung', 'segment', 'other'].includes(roi.role));
}

function top() {
  return state.tops[state.overlay];
}

// Of isodoses, by their place among the levels; the last one is the highest.
const ISODOSE_COLOURS = ['#7fd7ff', '#6ee7a8', '#fff27a', '#ff7a5c', '#ff6ad5', '#c9a6ff'];
function isodoseColour(n) {
  return ISODOSE_COLOURS[n % ISODOSE_COLOURS.length];
}

function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const listener of listeners) listener();
  });
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// Four significant digits, as everywhere on the page.
function words(value) {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  if (size === 0) return '0';
  return size >= 999.95 ? value.toFixed(0) : value.toPrecision(size >= 1e-3 ? 4 : 3);
}

function bytesOf(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let n = 0; n < bytes.length; n += 1) bytes[n] = characters.charCodeAt(n);
  return bytes;
}

async function inflated(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Differences, zigzag coded, low bytes before high bytes, back to whole numbers of 16 bits.
function undone(raw) {
  const count = raw.length / 2;
  const values = new Int16Array(count);
  for (let n = 0, last = 0; n < count; n += 1) {
    const coded = raw[n] | (raw[n + count] << 8);
    last = ((last + ((coded >>> 1) ^ -(coded & 1))) << 16) >> 16;
    values[n] = last;
  }
  return values;
}

async function unpack() {
  for (const layer of Object.values(view.layers)) {
    layer.values = undone(await inflated(layer.data));
    delete layer.data;
  }
  for (const roi of view.rois) {
    roi.values = await inflated(roi.data);
    delete roi.data;
  }
  for (const name of Object.keys(data.maps)) data.maps[name] = bytesOf(data.maps[name]);
}

// The place in mm from the box's outer corner of the middle of voxel `index` on an axis.
function middle(index, axis) {
  return (index + 0.5) * view.spacing_mm[axis];
}

// Linear between voxel middles, at mm from the box's corner; what the layer holds at its edge beyond them.
function sampled(layer, mm) {
  const low = [0, 0, 0];
  const part = [0, 0, 0];
  for (let axis = 0; axis < 3; axis += 1) {
    const place = clamp(mm[axis] / layer.spacing_mm[axis] - 0.5, 0, layer.shape[axis] - 1);
    low[axis] = Math.min(Math.floor(place + 1e-6), Math.max(layer.shape[axis] - 2, 0));
    part[axis] = layer.shape[axis] > 1 ? place - low[axis] : 0;
  }
  let sum = 0;
  for (let corner = 0; corner < 8; corner += 1) {
    let weight = 1;
    const at = low.map((n, axis) => {
      const up = (corner >> axis) & 1;
      weight *= up ? part[axis] : 1 - part[axis];
      return n + up;
    });
    if (weight > 0) sum += weight * layer.values[(at[0] * layer.shape[1] + at[1]) * layer.shape[2] + at[2]];
  }
  return sum * layer.step;
}

function occupancy(roi, at) {
  const inside = at.map((n, axis) => n - roi.first[axis]);
  if (inside.some((n, axis) => n < 0 || n >= roi.shape[axis])) return 0;
  return roi.values[(inside[0] * roi.shape[1] + inside[1]) * roi.shape[2] + inside[2]] / 255;
}

function pointLps(at) {
  return [0, 1, 2].map((row) => {
    const line = view.affine_lps_mm[row];
    return line[0] * at[0] + line[1] * at[1] + line[2] * at[2] + line[3];
  });
}

// A line sample in a region's colour and dash, and its name as text.
function swatch(roi) {
  const line = document.createElement('span');
  line.className = 'swatch';
  line.style.borderTopColor = roi.colour;
  line.style.borderTopStyle = roi.dash;
  return line;
}

function addToggles(container, regions) {
  for (const roi of regions) {
    const label = document.createElement('label');
    const box = document.createElement('input');
    const name = document.createElement('span');
    box.type = 'checkbox';
    name.textContent = roi.name;
    box.addEventListener('change', () => {
      if (box.checked) state.shown.add(roi.name);
      else state.shown.delete(roi.name);
      changed();
    });
    listeners.push(() => {
      box.checked = state.shown.has(roi.name);
    });
    label.append(box, swatch(roi), name);
    container.append(label);
  }
}
