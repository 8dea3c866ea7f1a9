import { del, get, part, post, put, withQuery } from '../api.js';
import { ago, clockOf, confirm, dialog, fill, field, h, head, length, svg, toast, toastError } from '../dom.js';
import { icon } from '../icons.js';
import { enrol, initials, patiently, presence, quality, shots } from '../people.js';
import { store } from '../store.js';

const DAY = 86400000;
/** Whoever comes or goes is shown so much later, at most. */
const REFRESH = 3000;
/** Appearances of a day that are shown. */
const MOST = 500;
/** Rows of a day's table before the rest is folded away. */
const ROWS = 12;
const SOURCES = { folder: 'the gallery\'s folder', http: 'a picture sent here', mqtt: 'a picture over MQTT', camera: 'a camera' };
const ENDS = { left: 'left', revised: 'then named otherwise', retracted: 'name taken back' };

export async function show(root, { id }) {
  document.title = 'Person · Visor';
  const own = new AbortController();
  const operator = store.may('operator');
  let person = await get(`/persons/${part(id)}`, { signal: own.signal });
  const parts = { head: h('div'), facts: h('section', { class: 'card', 'aria-labelledby': 'facts-title' }), faces: h('section', { class: 'card', 'aria-labelledby': 'faces-title' }), alike: h('section', { class: 'card', 'aria-labelledby': 'alike-title' }) };
  const day = daySection(id, own.signal);

  async function reload() {
    try {
      person = await get(`/persons/${part(id)}`, { signal: own.signal });
      draw();
      return true;
    } catch (error) {
      if (error.status === 404) location.hash = '#/people';
      else toastError(error);
      return false;
    }
  }

  function draw() {
    document.title = `${person.name} · Visor`;
    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    fill(parts.head, head(person.name, operator && actions()));
    fill(parts.facts, ...facts(person));
    fill(parts.faces, ...faces(person, operator, reload));
    if (focused && !focused.isConnected) {
      const again = focused.dataset.key && root.querySelector(`[data-key="${focused.dataset.key}"]`);
      (again || parts.head.querySelector('h1')).focus({ preventScroll: true });
    }
  }

  function actions() {
    return [
      h('button', { type: 'button', dataset: { key: 'edit' }, onclick: async () => { if (await edit(person)) reload(); } }, 'Edit'),
      h('button', { type: 'button', class: 'primary', dataset: { key: 'add' }, onclick: async () => { if (await enrol(person)) { await reload(); alike(); } } }, icon('upload'), 'Add pictures'),
      h('button', { type: 'button', class: 'danger', onclick: () => forget(person) }, icon('trash'), 'Forget'),
    ];
  }

  /** Asked once: it is a search. */
  function alike() {
    const best = (person.faces ?? []).toSorted((a, b) => b.quality - a.quality)[0];
    parts.alike.hidden = !best || !operator;
    if (best && operator) lookAlikes(parts.alike, person, best, own.signal);
  }

  draw();
  fill(root, h('p', {}, h('a', { href: '#/people', class: 'row' }, icon('back'), 'All people')), parts.head,
    h('div', { class: 'columns' }, h('div', { class: 'stack' }, parts.facts, parts.alike), parts.faces), day.section);
  alike();
  await day.load();

  let due;
  const refresh = () => { due ??= setTimeout(() => { due = undefined; if (!document.hidden) { reload(); day.refresh(); } }, REFRESH); };
  const concerns = (event) => event.identity?.person === id || event.type === 'retracted';
  const off = [
    store.on('event', (event) => { if (concerns(event)) refresh(); }),
    store.on('events', (events) => { if (events.some(concerns)) refresh(); }),
    store.on('forgotten', async () => { if (await reload()) { day.refresh(); alike(); } }),
  ];
  return () => { own.abort(); clearTimeout(due); off.forEach((end) => end()); };
}

function facts(person) {
  const expires = person.expires_at;
  const row = (name, ...value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
  return [
    h('div', { class: 'row' }, initials(person.name), h('h2', { id: 'facts-title' }, 'About'), presence(person, ago)),
    h('dl', { class: 'about' },
      row('Id', h('code', {}, person.id)),
      person.external_id && row('External id', h('code', {}, person.external_id)),
      row('Tags', person.tags.length ? h('span', { class: 'row' }, person.tags.map((tag) => h('span', { class: 'chip' }, tag))) : h('span', { class: 'muted' }, 'none')),
      Object.entries(person.metadata ?? {}).map(([name, value]) => row(name, typeof value === 'string' ? value : JSON.stringify(value))),
      row('Known since', new Date(person.created_at).toLocaleString()),
      row('Forgotten by itself', expires ? `${new Date(expires).toLocaleString()}, in ${length(Math.max(0, (new Date(expires) - Date.now()) / 1000))}` : h('span', { class: 'muted' }, 'never'))),
  ];
}

function faces(person, operator, reload) {
  const all = person.faces ?? [];
  const remove = async (face) => {
    const last = all.length === 1;
    const sure = await confirm('Take this face away?', last ? `It is the last one of ${person.name}, who may be forgotten with it.` : 'Recognition goes on with the others.', 'Take away', { danger: true });
    if (!sure) return;
    try { await del(`/faces/${face.id}`); await reload(); } catch (error) { toastError(error); }
  };
  return [
    h('h2', { id: 'faces-title' }, `Faces (${all.length})`),
    all.length === 0 && h('p', { class: 'muted' }, 'None yet: nobody can be recognised by a name alone.'),
    all.length === 1 && h('p', { class: 'hint' }, 'A second picture, from another day or in other light, makes recognition much surer.'),
    h('ul', { class: 'faces' }, all.map((face, index) => h('li', {},
      h('span', {}, h('strong', {}, `Face ${index + 1}`), h('span', { class: 'muted small' }, ` from ${SOURCES[face.source] ?? face.source}, ${ago(face.created_at)}`)),
      quality(face.quality),
      operator && h('button', { type: 'button', class: 'quiet', 'aria-label': `Take face ${index + 1} away`, onclick: () => remove(face) }, icon('trash'))))),
    h('p', { class: 'hint' }, 'Numbers only: no picture of anybody is kept.'),
  ];
}

async function lookAlikes(section, person, best, signal) {
  fill(section, h('h2', { id: 'alike-title' }, 'Look-alikes'), h('p', { class: 'muted' }, 'Searching …'));
  try {
    const found = await patiently(() => post(withQuery('/faces/search', { face_id: best.id, top_k: 4 }), undefined, { signal }));
    const others = found.matches.filter((match) => match.person !== person.id).slice(0, 3);
    const close = others.filter((other) => other.score >= found.threshold);
    fill(section, h('h2', { id: 'alike-title' }, 'Look-alikes'),
      others.length === 0 && h('p', { class: 'muted' }, 'Nobody else is known.'),
      others.length > 0 && h('p', { class: close.length ? 'note warn' : 'hint' }, close.length
        ? `${close.map((other) => other.name).join(' and ')} may be taken for ${person.name}: add pictures of both.`
        : `Nobody comes near enough to be mixed up: that takes ${found.threshold.toFixed(2)}.`),
      h('ul', { class: 'stack' }, others.map((other) => h('li', { class: 'spread' }, h('a', { href: `#/person/${encodeURIComponent(other.person)}` }, other.name), h('span', { class: 'muted' }, other.score.toFixed(2))))));
  } catch (error) {
    if (error.name !== 'AbortError') fill(section, h('h2', { id: 'alike-title' }, 'Look-alikes'), h('p', { class: 'muted' }, error.detail));
  }
}

async function forget(person) {
  const sure = await confirm(`Forget ${person.name}?`, 'Faces, appearances and best shots go at once, and the name is taken out of remembered events. Where a picture lies in the gallery\'s folder, it comes back at the next start.', 'Forget', { danger: true });
  if (!sure) return;
  try {
    await del(`/persons/${part(person.id)}`);
    await store.reread();
    toast(`${person.name} is forgotten`, 'ok');
    location.hash = '#/people';
  } catch (error) { toastError(error); }
}

/** Resolves to true where something was changed. */
function edit(person) {
  return dialog(`Edit ${person.name}`, (close) => {
    const text = (id, value, more = {}) => h('input', { type: 'text', id, value: value ?? '', autocomplete: 'off', ...more });
    const name = text('edit-name', person.name, { required: true, maxlength: 200, autofocus: true });
    const external = text('edit-external', person.external_id);
    const tags = text('edit-tags', person.tags.join(', '));
    const expires = h('input', { type: 'datetime-local', id: 'edit-expires', value: local(person.expires_at) });
    const kept = JSON.stringify(person.metadata ?? {}, null, 2);
    const metadata = h('textarea', { id: 'edit-metadata', rows: 4, spellcheck: 'false', autocapitalize: 'none', value: kept === '{}' ? '' : kept });
    const said = h('p', { class: 'said', role: 'alert' });
    async function submit(event) {
      event.preventDefault();
      const more = object(metadata.value);
      if (!more) {
        said.textContent = 'What else is kept has to be a JSON object, such as {"desk": "4b"}.';
        metadata.focus();
        return;
      }
      const own = tags.value.split(',').map((tag) => tag.trim()).filter(Boolean);
      const changes = {
        name: name.value.trim(),
        external_id: external.value.trim() || null,
        expires_at: expires.value ? new Date(expires.value).toISOString() : null,
        ...(metadata.value.trim() === (kept === '{}' ? '' : kept) ? {} : { metadata: more }),
        ...(own.join() === person.tags.join() ? {} : { tags: own }),
      };
      try {
        await patiently(() => put(`/persons/${part(person.id)}`, changes));
        close(true);
      } catch (problem) { said.textContent = problem.detail; }
    }
    return h('form', { class: 'stack', onsubmit: submit },
      field('Name', name),
      field('Tags', tags, 'With commas between them. Masks may show people of some tags.'),
      field('External id', external, 'What another system calls this person.'),
      field('What else is kept', metadata, 'A JSON object, up to 4 KiB: {"desk": "4b"}. Visor makes nothing of it.'),
      field('Forgotten by itself at', expires, 'Empty: never. Everything about the person goes at that time.'),
      said, h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => close() }, 'Cancel'), h('button', { type: 'submit', class: 'primary' }, 'Save')));
  });
}

/** The object that a text is in JSON, `{}` where there is none; null where it is something else. */
function object(text) {
  try {
    const value = JSON.parse(text.trim() || '{}');
    return value && typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch { return null; }
}

/** A time as a field of this kind wants it. */
function local(time) {
  if (time === null || time === undefined) return '';
  const at = new Date(time);
  return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

// --- a day ---

function daySection(id, signal) {
  let start = new Date().setHours(0, 0, 0, 0);
  const shot = shots();
  const body = h('div', { class: 'stack' });
  const date = h('input', { type: 'date', id: 'day', 'aria-label': 'Day', onchange: () => { if (date.value) go(new Date(`${date.value}T00:00`).getTime()); } });
  const after = h('button', { type: 'button', class: 'quiet', 'aria-label': 'Next day', onclick: () => go(start + DAY * 1.5) }, '›');
  const section = h('section', { class: 'card', 'aria-labelledby': 'day-title' },
    h('div', { class: 'spread wrap' }, h('h2', { id: 'day-title' }, 'Where and when'),
      h('div', { class: 'day-nav' }, h('button', { type: 'button', class: 'quiet', 'aria-label': 'Day before', onclick: () => go(start - DAY / 2) }, '‹'), date, after)), body);

  function go(time) {
    start = new Date(time).setHours(0, 0, 0, 0);
    load();
  }

  async function load() {
    const end = new Date(start + DAY * 1.5).setHours(0, 0, 0, 0);
    date.value = local(start).slice(0, 10);
    after.disabled = end > Date.now();
    try {
      const asked = withQuery(`/persons/${part(id)}/appearances`, { from: new Date(start).toISOString(), until: new Date(end - 1).toISOString(), limit: MOST });
      const { items: seen, next_cursor: more } = await get(asked, { signal });
      fill(body, ...(seen.length ? content(seen, start, end, shot) : await nothing()), more ? h('p', { class: 'hint' }, `Only the newest ${MOST} appearances of this day are shown.`) : '');
    } catch (error) { toastError(error); }
  }
  /** Where there is nothing on this day: when there was. */
  async function nothing() {
    const { items: [last] } = await get(`/persons/${part(id)}/appearances?limit=1`, { signal });
    const when = last && new Date(last.until);
    return [
      h('p', { class: 'muted' }, 'Not seen on this day, as far as it is remembered.'),
      last && h('div', {}, h('button', { type: 'button', onclick: () => go(when.getTime()) }, `Last seen on ${when.toLocaleDateString()}`)),
    ].filter(Boolean);
  }
  const refresh = () => { if (start + DAY * 1.5 > Date.now()) load(); };
  return { section, load, refresh };
}

function content(seen, start, end, shot) {
  const cameras = [...new Set(seen.map((one) => one.camera))].sort();
  const total = seen.reduce((sum, one) => sum + Math.max(0, new Date(one.until) - new Date(one.from)), 0) / 1000;
  const rows = seen.map((one) => row(one, shot));
  return [
    h('p', { class: 'muted small' }, `${seen.length} ${seen.length === 1 ? 'appearance' : 'appearances'}, ${length(total)} in sight`),
    lanes(seen, cameras, start, end),
    table(rows.slice(0, ROWS)),
    rows.length > ROWS && h('details', {}, h('summary', {}, `${rows.length - ROWS} more`), table(rows.slice(ROWS))),
  ].filter(Boolean);
}

function lanes(seen, cameras, start, end) {
  const x = (time) => ((Math.min(end, Math.max(start, new Date(time))) - start) / (end - start)) * 1000;
  const lane = (camera) => {
    const spans = seen.filter((one) => one.camera === camera);
    return h('div', { class: 'lane' }, h('span', { class: 'lane-name' }, camera),
      svg('svg', { viewBox: '0 0 1000 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${camera}: ${spans.length} of this day's appearances` },
        svg('rect', { x: 0, y: 0, width: 1000, height: 20, class: 'lane-back' }),
        [6, 12, 18].map((hour) => svg('rect', { x: (hour / 24) * 1000, y: 0, width: 1, height: 20, class: 'lane-hour' })),
        spans.map((one) => svg('rect', { x: x(one.from), y: 3, width: Math.max(3, x(one.until) - x(one.from)), height: 14, rx: 1.5, class: 'lane-span' }))));
  };
  return h('div', { class: 'lanes' }, cameras.map(lane),
    h('div', { class: 'lane', 'aria-hidden': 'true' }, h('span', { class: 'lane-name' }), h('div', { class: 'hours' }, ['0', '6', '12', '18', '24'].map((hour) => h('span', {}, hour)))));
}

function table(rows) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Appearances of this day' }, h('table', { class: 'seen' },
    h('thead', {}, h('tr', {}, ['', 'Camera', 'From', 'Until', 'Zones', 'Score'].map((title) => (title ? h('th', { scope: 'col' }, title) : h('td', {}))))),
    h('tbody', {}, rows)));
}

function row(one, shot) {
  return h('tr', {},
    h('td', { class: 'shot-cell' }, one.best_shot && shot(one.best_shot, `Best shot, ${one.camera}, ${clockOf(one.from)}`)),
    h('td', {}, h('a', { href: `#/camera/${encodeURIComponent(one.camera)}` }, one.camera)),
    h('td', {}, clockOf(one.from)),
    h('td', {}, one.end ? clockOf(one.until) : h('span', { class: 'state ok' }, icon('eye'), 'In sight'), one.end && one.end !== 'left' && h('span', { class: 'muted small' }, ` ${ENDS[one.end]}`)),
    h('td', {}, one.zones.join(', ') || '–'),
    h('td', {}, one.score === null ? '–' : one.score.toFixed(2)));
}
