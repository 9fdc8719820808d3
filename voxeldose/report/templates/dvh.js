// The histograms as SVG, drawn again whenever a region is switched or the width changes.
const SVG = 'http://www.w3.org/2000/svg';
const BIN = 10; // points of the curve in a bin of the differential histogram
const SVG_DASHES = { solid: '', dashed: '7 4', dotted: '2 3' };
const dvh = { kind: 'cumulative', at: null };

function element(name, attributes, words) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (words !== undefined) made.textContent = words;
  return made;
}

// Round numbers that divide a length into about `count` parts.
function ticks(last, count) {
  const rough = last / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((n) => n * power >= rough) * power;
  const found = [];
  for (let n = 0; n * step <= last * (1 + 1e-9); n += 1) found.push(Number((n * step).toPrecision(10)));
  return found;
}

// Percent of volume at each dose, or percent per Gy in each bin.
function curve(region) {
  const { parts } = region;
  const step = data.dvh.step_gy;
  if (dvh.kind === 'cumulative') return parts.map((value, n) => [n * step, 100 * value]);
  const found = [];
  for (let n = 0; n + BIN < parts.length; n += BIN) {
    const high = (100 * (parts[n] - parts[n + BIN])) / (BIN * step);
    found.push([n * step, high], [(n + BIN) * step, high]);
  }
  return found;
}

function drawDvh() {
  const chart = byId('dvh-chart');
  const wide = Math.max(chart.clientWidth, 260);
  const tall = clamp(wide * 0.42, 240, 420);
  const edge = { left: 52, right: 14, top: 36, bottom: 42 };
  const shown = data.dvh.regions.filter((region) => state.shown.has(region.name));
  const curves = shown.map(curve);
  const last = data.dvh.step_gy * (data.dvh.regions.length ? data.dvh.regions[0].parts.length - 1 : 1);
  const highest = Math.max(...curves.flat().map(([, y]) => y), 0);
  const top = dvh.kind === 'cumulative' ? 100 : 1.05 * highest || 1;
  const x = (gy) => edge.left + ((wide - edge.left - edge.right) * gy) / last;
  const y = (value) => tall - edge.bottom - ((tall - edge.top - edge.bottom) * value) / top;
  const svg = element('svg', { viewBox: `0 0 ${wide} ${tall}`, height: tall, role: 'img', 'aria-label': `${dvh.kind} dose-volume histograms` });
  const grid = element('g', { stroke: 'currentColor', 'stroke-opacity': 0.14 });
  const labels = element('g', { fill: 'currentColor', 'fill-opacity': 0.75 });
  for (const gy of ticks(last, clamp(wide / 90, 3, 10))) {
    grid.append(element('line', { x1: x(gy), x2: x(gy), y1: y(0), y2: y(top) }));
    labels.append(element('text', { x: x(gy), y: y(0) + 17, 'text-anchor': 'middle' }, String(gy)));
  }
  for (const value of ticks(top, 5)) {
    grid.append(element('line', { x1: x(0), x2: x(last), y1: y(value), y2: y(value) }));
    labels.append(element('text', { x: x(0) - 7, y: y(value) + 4, 'text-anchor': 'end' }, String(value)));
  }
  labels.append(element('text', { x: x(last / 2), y: tall - 6, 'text-anchor': 'middle' }, 'Absorbed dose (Gy)'));
  const unit = dvh.kind === 'cumulative' ? 'Volume with at least this dose (%)' : 'Volume (% per Gy)';
  labels.append(element('text', { x: 2, y: 12 }, unit));
  svg.append(grid, labels);
  for (const mark of data.dvh.marks) {
    svg.append(element('line', { x1: x(mark.gy), x2: x(mark.gy), y1: y(0), y2: y(top), stroke: 'currentColor', 'stroke-opacity': 0.6, 'stroke-dasharray': '4 4' }));
    svg.append(element('text', { x: x(mark.gy), y: y(top) - 5, 'text-anchor': 'middle', fill: 'currentColor', 'fill-opacity': 0.75, 'font-size': 11 }, `${mark.gy} Gy`));
  }
  shown.forEach((region, n) => {
    const points = curves[n].map(([gy, value]) => `${x(gy).toFixed(1)} ${y(value).toFixed(1)}`).join('L');
    const line = element('path', { d: `M${points}`, fill: 'none', stroke: region.colour, 'stroke-width': 2, 'stroke-dasharray': SVG_DASHES[region.dash] });
    line.dataset.region = region.name;
    svg.append(line);
  });
  if (dvh.at !== null) {
    svg.append(element('line', { x1: x(dvh.at), x2: x(dvh.at), y1: y(0), y2: y(top), stroke: 'currentColor' }));
  }
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const gy = (((event.clientX - box.left) / box.width) * wide - edge.left) / (wide - edge.left - edge.right);
    dvh.at = gy >= 0 && gy <= 1 ? gy * last : null;
    changed();
  });
  svg.addEventListener('pointerleave', () => {
    dvh.at = null;
    changed();
  });
  chart.replaceChildren(svg);
  sayDvh(shown);
}

function sayDvh(shown) {
  const line = byId('dvh-values');
  line.replaceChildren();
  if (dvh.at === null) return;
  const dose = document.createElement('b');
  dose.textContent = `${words(dvh.at)} Gy`;
  line.append(dose);
  for (const region of shown) {
    const place = clamp(dvh.at / data.dvh.step_gy, 0, region.parts.length - 1);
    const low = Math.min(Math.floor(place), region.parts.length - 2);
    const value = region.parts[low] + (place - low) * (region.parts[low + 1] - region.parts[low]);
    const item = document.createElement('span');
    const name = document.createElement('span');
    name.textContent = `${region.name} ${(100 * value).toFixed(1)} % (${words(value * region.volume_ml)} mL)`;
    item.append(swatch(region), name);
    line.append(item);
  }
}

function startDvh() {
  if (!data.dvh.regions.length) return;
  addToggles(byId('dvh-toggles'), data.dvh.regions);
  for (const kind of ['cumulative', 'differential']) {
    byId(kind).addEventListener('click', () => {
      dvh.kind = kind;
      for (const other of ['cumulative', 'differential']) byId(other).setAttribute('aria-pressed', String(other === kind));
      changed();
    });
  }
  byId('dvh-live').hidden = false;
  byId('static-dvh').hidden = true;
  listeners.push(drawDvh);
}
