// Three linked planes. Screen rows run downward: toward the back in axial planes, toward the feet in the others.
const PLANES = [
  { id: 'axial', title: 'Axial', through: 0, across: 2, down: 1, isFlipped: false },
  { id: 'coronal', title: 'Coronal', through: 1, across: 2, down: 0, isFlipped: true },
  { id: 'sagittal', title: 'Sagittal', through: 2, across: 1, down: 0, isFlipped: true },
];
const DASHES = { solid: [], dashed: [6, 4], dotted: [2, 3] };
const LAYERING = ['normal_liver', 'liver', 'lung', 'other', 'perfused', 'segment', 'tumor']; // the last is on top
const FIRST_COLOUR = view.layers.ct ? 0.17 : 0; // over a CT without the map's black end
const LETTER = 'bold 14px system-ui, sans-serif';
const SMALL = '11px system-ui, sans-serif';

// A slice of a layer at mm from the box's corner, linear between slices, with rows as on the screen.
function slice(layer, plane, mm) {
  const strides = [layer.shape[1] * layer.shape[2], layer.shape[2], 1];
  const [count, wide, tall] = [plane.through, plane.across, plane.down].map((axis) => layer.shape[axis]);
  const place = clamp(mm / layer.spacing_mm[plane.through] - 0.5, 0, count - 1);
  const low = Math.floor(place + 1e-6);
  const part = Math.max(place - low, 0);
  const toNext = low + 1 < count && part > 1e-5 ? strides[plane.through] : 0;
  const values = new Float32Array(wide * tall);
  for (let row = 0; row < tall; row += 1) {
    const from = low * strides[plane.through] + (plane.isFlipped ? tall - 1 - row : row) * strides[plane.down];
    for (let column = 0; column < wide; column += 1) {
      const at = from + column * strides[plane.across];
      const value = layer.values[at];
      values[row * wide + column] = layer.step * (value + (toNext ? part * (layer.values[at + toNext] - value) : 0));
    }
  }
  return { values, wide, tall };
}

function painted(image, colour) {
  const canvas = document.createElement('canvas');
  canvas.width = image.wide;
  canvas.height = image.tall;
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(image.wide, image.tall);
  for (let n = 0; n < image.values.length; n += 1) colour(image.values[n], pixels.data, 4 * n);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function grey(value, pixels, n) {
  const [width, level] = state.window;
  const shade = clamp(Math.round((255 * (value - level + width / 2)) / width), 0, 255);
  pixels[n] = shade;
  pixels[n + 1] = shade;
  pixels[n + 2] = shade;
  pixels[n + 3] = 255;
}

// Clear where there is no dose, full from a quarter of the scale on.
function veil(place) {
  if (place < 0.06) return clamp((0.45 * (place - 0.01)) / 0.05, 0, 0.45);
  return clamp(0.45 + (0.55 * (place - 0.06)) / 0.19, 0.45, 1);
}

function wash(value, pixels, n) {
  const place = clamp(value / top(), 0, 1);
  const from = 3 * Math.round(255 * (FIRST_COLOUR + (1 - FIRST_COLOUR) * place));
  const table = data.maps[state.map];
  pixels[n] = table[from];
  pixels[n + 1] = table[from + 1];
  pixels[n + 2] = table[from + 2];
  pixels[n + 3] = Math.round(255 * (view.layers.ct ? veil(place) : 1));
}

// Marching squares: the line where values cross a level, through points given by across(column) and down(row).
// Outside the array lies zero, so that every line closes. `ends` are its uppermost, rightmost, lowest and leftmost points.
function contour(image, level, across, down) {
  const path = new Path2D();
  const value = (row, column) =>
    row < 0 || column < 0 || row >= image.tall || column >= image.wide ? 0 : image.values[row * image.wide + column];
  const ends = [];
  const beyond = [(a, b) => a[1] < b[1], (a, b) => a[0] > b[0], (a, b) => a[1] > b[1], (a, b) => a[0] < b[0]];
  for (let row = -1; row < image.tall; row += 1) {
    for (let column = -1; column < image.wide; column += 1) {
      const [a, b] = [value(row, column), value(row, column + 1)];
      const [d, c] = [value(row + 1, column), value(row + 1, column + 1)];
      const kind = (a >= level) | ((b >= level) << 1) | ((c >= level) << 2) | ((d >= level) << 3);
      if (kind === 0 || kind === 15) continue;
      const sides = [
        () => [column + (level - a) / (b - a), row],
        () => [column + 1, row + (level - b) / (c - b)],
        () => [column + (level - d) / (c - d), row + 1],
        () => [column, row + (level - a) / (d - a)],
      ];
      const crossed = sides.filter((_, side) => {
        const corners = [[1, 2], [2, 4], [4, 8], [8, 1]][side];
        return Boolean(kind & corners[0]) !== Boolean(kind & corners[1]);
      }).map((side) => side());
      // Two opposite corners: the mean in the middle decides which sides belong together.
      if (crossed.length === 4) {
        const isJoined = (a + b + c + d) / 4 >= level;
        if ((kind === 5) !== isJoined) crossed.push(crossed.shift());
      }
      for (let n = 0; n < crossed.length; n += 2) {
        const [from, to] = [crossed[n], crossed[n + 1]].map(([x, y]) => [across(x), down(y)]);
        path.moveTo(...from);
        path.lineTo(...to);
        beyond.forEach((isBeyond, side) => {
          if (!ends[side] || isBeyond(from, ends[side])) ends[side] = from;
        });
      }
    }
  }
  return { path, ends };
}

// The part of a plane that is on the screen, in mm from its upper left corner.
function part(plane) {
  const size = [plane.across, plane.down].map((axis) => view.box_mm[axis]);
  const shown = size.map((mm) => mm / state.zoom);
  const cross = crossOn(plane);
  return { size: shown, from: cross.map((mm, n) => clamp(mm - shown[n] / 2, 0, size[n] - shown[n])) };
}

function crossOn(plane) {
  const across = middle(state.at[plane.across], plane.across);
  const down = middle(state.at[plane.down], plane.down);
  return [across, plane.isFlipped ? view.box_mm[plane.down] - down : down];
}

function text(context, words, x, y, align = 'left', baseline = 'alphabetic', colour = '#fff') {
  context.textAlign = align;
  context.textBaseline = baseline;
  context.lineJoin = 'round';
  context.lineWidth = 3;
  context.strokeStyle = 'rgba(0, 0, 0, 0.75)';
  context.setLineDash([]);
  context.strokeText(words, x, y);
  context.fillStyle = colour;
  context.fillText(words, x, y);
}

function draw(plane) {
  const canvas = byId(plane.id);
  const ratio = window.devicePixelRatio || 1;
  const wide = canvas.clientWidth;
  const tall = (wide * view.box_mm[plane.down]) / view.box_mm[plane.across];
  const [pixelsWide, pixelsTall] = [Math.round(wide * ratio), Math.round(tall * ratio)];
  if (!pixelsWide || !pixelsTall) return;
  if (canvas.width !== pixelsWide || canvas.height !== pixelsTall) {
    canvas.width = pixelsWide;
    canvas.height = pixelsTall;
  }
  const context = canvas.getContext('2d');
  const shown = part(plane);
  const scale = [canvas.width / shown.size[0], canvas.height / shown.size[1]];
  const inMm = () => context.setTransform(scale[0], 0, 0, scale[1], -shown.from[0] * scale[0], -shown.from[1] * scale[1]);
  const inPixels = () => context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const onScreen = ([x, y]) => [((x - shown.from[0]) * scale[0]) / ratio, ((y - shown.from[1]) * scale[1]) / ratio];
  const mm = middle(state.at[plane.through], plane.through);
  const place = (layer, image) => {
    const [width, height] = [layer.shape[plane.across] * layer.spacing_mm[plane.across], layer.shape[plane.down] * layer.spacing_mm[plane.down]];
    context.drawImage(image, 0, plane.isFlipped ? view.box_mm[plane.down] - height : 0, width, height);
  };

  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.height);
  inMm();
  context.imageSmoothingEnabled = true;
  if (view.layers.ct) place(view.layers.ct, painted(slice(view.layers.ct, plane, mm), grey));
  const dose = slice(view.layers.dose, plane, mm);
  context.globalAlpha = view.layers.ct ? state.opacity : 1;
  const overlay = state.overlay === 'dose' ? dose : slice(view.layers.activity, plane, mm);
  place(view.layers[state.overlay], painted(overlay, wash));
  context.globalAlpha = 1;

  const [stepAcross, stepDown] = [view.spacing_mm[plane.across], view.spacing_mm[plane.down]];
  const lineWidth = (pixels) => (pixels * ratio) / scale[0];
  const labels = [];
  state.levels.forEach((level, n) => {
    const line = contour(dose, level, (x) => (x + 0.5) * stepAcross, (y) => (y + 0.5) * stepDown);
    context.setLineDash([]);
    context.strokeStyle = 'rgba(0, 0, 0, 0.6)';
    context.lineWidth = lineWidth(2.4);
    context.stroke(line.path);
    context.strokeStyle = isodoseColour(n);
    context.lineWidth = lineWidth(1.4);
    context.stroke(line.path);
    if (line.ends.length) labels.push([String(level), line.ends[n % 4], isodoseColour(n)]);
  });
  for (const roi of [...view.rois].sort((a, b) => LAYERING.indexOf(a.role) - LAYERING.indexOf(b.role))) {
    if (state.shown.has(roi.name)) outline(context, plane, roi, lineWidth);
  }

  inPixels();
  const cross = onScreen(crossOn(plane));
  context.setLineDash([]);
  context.strokeStyle = 'rgba(255, 255, 255, 0.55)';
  context.lineWidth = 1;
  context.beginPath();
  for (const [x0, y0, x1, y1] of [[cross[0], 0, cross[0], cross[1] - 7], [cross[0], cross[1] + 7, cross[0], tall], [0, cross[1], cross[0] - 7, cross[1]], [cross[0] + 7, cross[1], wide, cross[1]]]) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
  context.font = SMALL;
  const taken = [];
  for (const [label, end, colour] of labels) {
    const [x, y] = onScreen(end);
    const isClear = taken.every((other) => Math.abs(other[0] - x) > 24 || Math.abs(other[1] - y) > 12);
    if (!isClear || x < 14 || x > wide - 14 || y < 24 || y > tall - 24) continue;
    taken.push([x, y]);
    text(context, label, x, y, 'center', 'middle', colour);
  }
  frame(context, plane, wide, tall, shown);
}

function outline(context, plane, roi, lineWidth) {
  const layer = { values: roi.values, shape: roi.shape, spacing_mm: view.spacing_mm, step: 1 / 255 };
  const inside = state.at[plane.through] - roi.first[plane.through];
  if (inside < 0 || inside >= roi.shape[plane.through]) return;
  const image = slice(layer, plane, middle(inside, plane.through));
  const first = plane.isFlipped
    ? view.shape[plane.down] - roi.first[plane.down] - roi.shape[plane.down]
    : roi.first[plane.down];
  const across = (x) => (x + roi.first[plane.across] + 0.5) * view.spacing_mm[plane.across];
  const { path } = contour(image, 0.5, across, (y) => (y + first + 0.5) * view.spacing_mm[plane.down]);
  context.setLineDash([]);
  context.strokeStyle = 'rgba(0, 0, 0, 0.7)';
  context.lineWidth = lineWidth(3.4);
  context.stroke(path);
  context.setLineDash(DASHES[roi.dash].map(lineWidth));
  context.strokeStyle = roi.colour;
  context.lineWidth = lineWidth(1.9);
  context.stroke(path);
}

// Title, letters at the sides, scale bar.
function frame(context, plane, wide, tall, shown) {
  const at = state.at[plane.through];
  const axis = [2, 1, 0][plane.through];
  context.font = SMALL;
  const where = view.is_oblique ? `slice ${at + 1} of ${view.shape[plane.through]}` : `${'xyz'[axis]} = ${pointLps(state.at)[axis].toFixed(1)} mm`;
  text(context, `${plane.title}${view.is_oblique ? ' of the oblique grid' : ''}  ${where}`, 8, 8, 'left', 'top');
  context.font = LETTER;
  const [low, high] = view.letters[plane.down];
  text(context, view.letters[plane.across][0], 7, tall / 2, 'left', 'middle');
  text(context, view.letters[plane.across][1], wide - 7, tall / 2, 'right', 'middle');
  text(context, plane.isFlipped ? high : low, wide / 2, 24, 'center', 'top');
  text(context, plane.isFlipped ? low : high, wide / 2, tall - 6, 'center', 'bottom');
  const bar = shown.size[0] > 120 ? 50 : 10;
  const length = (bar * wide) / shown.size[0];
  context.fillStyle = 'rgba(0, 0, 0, 0.75)';
  context.fillRect(9, tall - 13, length + 2, 5);
  context.fillStyle = '#fff';
  context.fillRect(10, tall - 12, length, 3);
  context.font = SMALL;
  text(context, `${bar} mm`, 10, tall - 17);
}

function voxelUnder(plane, event) {
  const canvas = byId(plane.id);
  const box = canvas.getBoundingClientRect();
  const shown = part(plane);
  const x = shown.from[0] + ((event.clientX - box.left) / box.width) * shown.size[0];
  const y = shown.from[1] + ((event.clientY - box.top) / box.height) * shown.size[1];
  const at = [...state.at];
  at[plane.across] = index(x, plane.across);
  at[plane.down] = index(plane.isFlipped ? view.box_mm[plane.down] - y : y, plane.down);
  return at;
}

function index(mm, axis) {
  return clamp(Math.floor(mm / view.spacing_mm[axis]), 0, view.shape[axis] - 1);
}

function moved(axis, steps) {
  state.at[axis] = clamp(state.at[axis] + steps, 0, view.shape[axis] - 1);
  changed();
}

function listenTo(plane) {
  const canvas = byId(plane.id);
  const slider = byId(`${plane.id}-slice`);
  let wheeled = 0;
  const towards = (event) => {
    state.at = voxelUnder(plane, event);
    changed();
  };
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    towards(event);
  });
  canvas.addEventListener('pointermove', (event) => {
    state.pointer = voxelUnder(plane, event);
    if (event.buttons & 1) towards(event);
    else changed();
  });
  canvas.addEventListener('pointerleave', () => {
    state.pointer = null;
    changed();
  });
  canvas.addEventListener('wheel', (event) => {
    if (event.ctrlKey) return;
    event.preventDefault();
    wheeled += event.deltaMode === 0 ? event.deltaY / 40 : event.deltaY;
    if (Math.abs(wheeled) < 1) return;
    moved(plane.through, -Math.sign(wheeled));
    wheeled = 0;
  }, { passive: false });
  canvas.addEventListener('keydown', (event) => {
    const down = plane.isFlipped ? -1 : 1;
    const steps = { ArrowLeft: [plane.across, -1], ArrowRight: [plane.across, 1], ArrowUp: [plane.down, -down], ArrowDown: [plane.down, down], PageUp: [plane.through, 1], PageDown: [plane.through, -1] }[event.key];
    if (steps) moved(...steps);
    else if (event.key === 'Home') state.at = [...view.start];
    else return;
    changed();
    event.preventDefault();
  });
  slider.max = String(view.shape[plane.through] - 1);
  slider.addEventListener('input', () => {
    state.at[plane.through] = Number(slider.value);
    changed();
  });
  listeners.push(() => {
    slider.value = String(state.at[plane.through]);
    draw(plane);
  });
}

function say(who, at) {
  const put = (what, value) => {
    byId(`${who}-${what}`).textContent = value;
  };
  const mm = at && at.map((n, axis) => middle(n, axis));
  put('dose', at ? words(sampled(view.layers.dose, mm)) : '');
  put('activity', at ? words(sampled(view.layers.activity, mm)) : '');
  put('ct', at && view.layers.ct ? sampled(view.layers.ct, mm).toFixed(0) : '');
  put('place', at ? pointLps(at).map((x) => x.toFixed(1)).join(', ') : '');
  put('rois', at ? view.rois.filter((roi) => occupancy(roi, at) >= 0.5).map((roi) => roi.name).join(', ') || 'none' : '');
}
