// The table of regions: sorted by a click on a heading, copied as CSV with all digits.
function startTable() {
  const table = byId('roi-table');
  if (!table) return;
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener('click', () => sortBy(table, headings, column));
  });
  const copy = byId('copy');
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    const isDone = await copied(asCsv(table));
    byId('copied').textContent = isDone ? `${table.tBodies[0].rows.length} regions copied.` : 'The browser refused; see rois.csv beside this file.';
  });
}

function sortBy(table, headings, column) {
  const isRising = headings[column].getAttribute('aria-sort') !== 'ascending';
  const value = (row) => row.cells[column].dataset.value;
  const order = (a, b) => {
    const [x, y] = [Number.parseFloat(value(a)), Number.parseFloat(value(b))];
    if (column < 2) return value(a).localeCompare(value(b), undefined, { numeric: true });
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x - y;
  };
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const isKnown = column < 2 || (!Number.isNaN(Number.parseFloat(value(a))) && !Number.isNaN(Number.parseFloat(value(b))));
    return isRising || !isKnown ? order(a, b) : order(b, a); // what has no number stays last
  });
  table.tBodies[0].append(...rows);
  headings.forEach((heading, n) => {
    if (n === column) heading.setAttribute('aria-sort', isRising ? 'ascending' : 'descending');
    else heading.removeAttribute('aria-sort');
  });
}

function asCsv(table) {
  const cell = (words) => {
    const safe = /^[=+@\t\r-]/.test(words) && !Number.isFinite(Number(words)) ? `'${words}` : words; // no formula in a sheet
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const header = [...table.tHead.rows[0].cells].map((heading) => cell(heading.dataset.key));
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((one) => cell(one.dataset.value.replace(/^nan$/, ''))));
  return [header, ...rows].map((row) => row.join(',')).join('\r\n');
}

async function copied(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = words;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand('copy');
    area.remove();
    return isDone;
  }
}
