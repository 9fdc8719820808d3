// Knobs, and the start: what was static gives way once everything is unpacked.
function drawKey() {
  const canvas = byId('key');
  const ratio = window.devicePixelRatio || 1;
  const [wide, tall] = [canvas.clientWidth, canvas.clientHeight];
  if (!wide) return;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(tall * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  context.fillStyle = view.layers.ct ? '#606060' : '#000';
  const [left, right, bar] = [18, 18, 16];
  const length = wide - left - right;
  context.fillRect(left, 0, length, bar);
  const pixels = new Uint8ClampedArray(4);
  for (let x = 0; x < length; x += 1) {
    wash((top() * x) / length, pixels, 0);
    context.fillStyle = `rgba(${pixels[0]}, ${pixels[1]}, ${pixels[2]}, ${(pixels[3] / 255) * (view.layers.ct ? state.opacity : 1)})`;
    context.fillRect(left + x, 0, 1.5, bar);
  }
  context.font = SMALL;
  context.fillStyle = getComputedStyle(document.body).color;
  context.textBaseline = 'top';
  context.textAlign = 'center';
  for (const value of ticks(top(), 5)) {
    const x = left + (length * value) / top();
    context.fillRect(x - 0.5, bar, 1, 4);
    context.fillText(value === 0 ? (state.overlay === 'dose' ? '0 Gy' : '0 MBq/mL') : String(value), x, bar + 6);
  }
}

function number(id, put) {
  const field = byId(id);
  field.addEventListener('change', () => {
    const value = Number(field.value);
    const isGood = field.value !== '' && Number.isFinite(value) && field.checkValidity();
    field.setAttribute('aria-invalid', String(!isGood));
    if (!isGood) return;
    put(value);
    changed();
  });
}

function startKnobs() {
  byId('opacity').addEventListener('input', (event) => {
    state.opacity = Number(event.target.value);
    changed();
  });
  byId('zoom').addEventListener('input', (event) => {
    state.zoom = Number(event.target.value);
    changed();
  });
  byId('top').value = String(top());
  number('top', (value) => {
    state.tops[state.overlay] = value;
  });
  byId('overlay').addEventListener('change', (event) => {
    state.overlay = event.target.value;
    byId('top').value = String(top());
    byId('top').setAttribute('aria-invalid', 'false');
    byId('top-label').textContent = state.overlay === 'dose' ? 'Scale to, Gy' : 'Scale to, MBq/mL';
    changed();
  });
  for (const name of Object.keys(data.maps)) byId('map').add(new Option(name, name));
  byId('map').addEventListener('change', (event) => {
    state.map = event.target.value;
    changed();
  });
  const levels = byId('levels');
  levels.value = state.levels.join(', ');
  levels.addEventListener('change', () => {
    const wanted = levels.value.split(/[,;\s]+/).filter(Boolean).map(Number);
    const isGood = wanted.length <= 12 && wanted.every((gy) => Number.isFinite(gy) && gy > 0);
    levels.setAttribute('aria-invalid', String(!isGood));
    if (!isGood) return;
    state.levels = wanted.sort((a, b) => a - b);
    changed();
  });
  const put = (values) => {
    state.window = values;
    [byId('width').value, byId('level').value] = values.map(String);
    const preset = values.join(',');
    const select = byId('window');
    select.value = [...select.options].some((option) => option.value === preset) ? preset : '';
  };
  byId('window').addEventListener('change', (event) => {
    if (event.target.value) put(event.target.value.split(',').map(Number));
    changed();
  });
  number('width', (width) => put([width, state.window[1]]));
  number('level', (level) => put([state.window[0], level]));
  put(state.window);
  const target = byId('goto');
  view.rois.forEach((roi, n) => target.add(new Option(roi.name, String(n))));
  target.addEventListener('change', () => {
    if (target.value !== '') state.at = [...view.rois[Number(target.value)].hottest];
    target.value = '';
    changed();
  });
  byId('all-rois').addEventListener('click', () => {
    for (const roi of view.rois) state.shown.add(roi.name);
    changed();
  });
  byId('no-rois').addEventListener('click', () => {
    state.shown.clear();
    changed();
  });
}

function drawLevelKey() {
  byId('level-key').replaceChildren(...state.levels.map((level, n) => {
    const item = document.createElement('span');
    const line = document.createElement('i');
    line.style.background = isodoseColour(n);
    item.append(line, String(level));
    return item;
  }));
}

function startViewer() {
  const [k, j, i] = view.box_mm;
  document.querySelector('.planes-live').style.gridTemplateColumns = `${i}fr ${i}fr ${j}fr`;
  if (!view.layers.ct) {
    for (const knob of document.querySelectorAll('.ct-only, #row-ct')) knob.hidden = true;
  }
  byId('viewer').hidden = false;
  byId('static-slices').hidden = true;
  byId('viewer-note').textContent = `${view.note} Radiological convention: the patient's right is at the left of axial and coronal planes. Outlines show where half of a voxel lies in the region.`;
  PLANES.forEach(listenTo);
  addToggles(byId('outline-toggles'), view.rois);
  startKnobs();
  listeners.push(drawKey, drawLevelKey, () => say('cross', state.at), () => say('pointer', state.pointer));
}

function sorry(error) {
  const words = byId('no-viewer');
  words.textContent = `The viewer cannot start in this browser (${error.name}); the static planes below show the same.`;
  words.hidden = false;
}

startTable();
startDvh();
changed();
window.addEventListener('resize', changed);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
unpack().then(startViewer).then(changed).catch(sorry);
