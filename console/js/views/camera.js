// One camera: what it shows, how well it works, what it does, and what of its picture is never shown.
import { del, get, part, post, put } from '../api.js';
import { confirm, copy, dialog, fill, h, head, length, toast, toastError } from '../dom.js';
import { icon } from '../icons.js';
import { isNameable, ms, placeOf, sinceWords, statusChip, who, whoChip } from '../cameras.js';
import { health, quantile, sentence } from '../health.js';
import { watch } from '../live.js';
import { nameStranger, nameTrack } from '../people.js';
import { store } from '../store.js';
import { zoneEditor, zoneLines } from '../zones.js';
import { eventRow } from './events.js';

/** How often the stages' times are asked for, and over how many answers they are looked at. */
const LATENCY_EVERY = 4000;
const ANSWERS = 8;
const EVENTS = 8;

const SWITCHES = {
  detect: ['Detect', 'Faces are looked for. Off: nobody is found, and a masked camera’s picture is covered.'],
  recognise: ['Recognise', 'Faces are compared with the people who are known. Off: everybody stays undecided.'],
  mask: ['Mask', 'Faces are hidden in everything that shows the picture. Off: they are shown.'],
  restream: ['Restream', 'The masked video goes out by RTSP. Off: players see a covered picture.'],
  snapshots: ['Best shots', 'A best shot of each track is kept in memory and published over MQTT.'],
};
const STAGES = ['decode', 'detect', 'track', 'recognise', 'mask', 'encode'];

export async function show(root, { id }) {
  document.title = `${id} · Visor`;
  const camera = await get(`/cameras/${part(id)}`);
  store.putCamera(camera);
  const page = new Page(id);
  fill(root, page.build());
  return page.open();
}

class Page {
  constructor(id) {
    this.id = id;
    this.answers = [];
  }

  /** As it is now; undefined once it is gone. */
  get camera() { return store.cameras.get(this.id); }

  build() {
    this.state = h('span', {});
    this.remove = store.may('admin') && this.camera.settings?.origin === 'http'
      && h('button', { type: 'button', class: 'danger', onclick: () => this.removeCamera() }, icon('trash'), 'Remove');
    const back = h('a', { class: 'button quiet', href: '#/wall' }, icon('back'), 'Wall');
    return [
      head(this.id, this.state, this.remove, back),
      h('div', { class: 'camera-page' },
        h('div', { class: 'stack' }, this.pictureCard(), this.zonesCard(), this.eventsCard()),
        h('div', { class: 'stack' }, this.healthCard(), this.switchesCard(), this.latencyCard(), this.addressCard())),
    ];
  }

  pictureCard() {
    this.canvas = h('canvas', { width: 16, height: 9, role: 'img', 'aria-label': `What ${this.id} shows, masked` });
    this.context = this.canvas.getContext('bitmaprenderer');
    this.veil = h('p', { class: 'veil' }, 'Waiting for a picture …');
    this.editor = zoneEditor((areas) => this.areasChanged(areas));
    this.mark = h('div', { class: 'mark', hidden: true, 'aria-hidden': 'true' });
    this.numbers = h('p', { class: 'muted small' });
    this.present = h('ul', { class: 'present', 'aria-label': 'In sight' });
    const frame = h('div', { class: 'picture' }, this.canvas, this.mark, this.veil, this.editor.element);
    return h('section', { class: 'card flush', 'aria-label': 'Picture' }, frame, h('div', { class: 'picture-foot' }, this.numbers, this.present));
  }

  eventsCard() {
    this.events = h('ol', { class: 'events', 'aria-label': 'Newest events' });
    return h('section', { class: 'card' },
      h('div', { class: 'spread' }, h('h2', {}, 'Newest events'), h('a', { href: `#/events?camera=${part(this.id)}` }, 'All of them')), this.events);
  }

  healthCard() {
    this.health = h('div', { class: 'stack', role: 'status' });
    return h('section', { class: 'card' }, h('h2', {}, 'Health'), this.health);
  }

  switchesCard() {
    this.switches = h('div', { class: 'switches' });
    return h('section', { class: 'card' }, h('h2', {}, 'Switches'), this.switches);
  }

  latencyCard() {
    this.latency = h('div', { class: 'latency' }, h('p', { class: 'muted' }, 'Measuring …'));
    return h('section', { class: 'card' }, h('h2', {}, 'Latency by stage'), this.latency);
  }

  zonesCard() {
    this.zones = h('div', { class: 'stack' });
    this.areas = areasOf(this.camera);
    this.editor.set(this.areas);
    this.drawZones();
    return h('section', { class: 'card' }, h('h2', {}, 'Zones'), this.zones);
  }

  addressCard() {
    const { settings } = this.camera;
    const mask = settings?.mask;
    const facts = [
      ['Source', settings?.source],
      ['Masked', mask ? `${mask.who === 'nobody' ? 'nobody' : mask.who}, ${mask.kind}` : 'while somebody looks'],
      ['Held for that', settings?.hold_ms === null || settings?.hold_ms === undefined ? null : `${settings.hold_ms} ms`],
      ['Analysed', settings && `at most ${settings.analysis_fps} times a second`],
      ['Configured', settings && (settings.origin === 'file' ? 'in the file' : 'over HTTP, until a restart')],
    ].filter(([, value]) => value);
    const rtsp = settings?.restream && h('div', { class: 'copyable' }, h('code', { tabindex: '0' }, settings.restream),
      h('button', { type: 'button', onclick: () => copy(settings.restream) }, icon('copy'), 'Copy'));
    return h('section', { class: 'card stack' }, h('h2', {}, 'Address'),
      rtsp ? h('p', { class: 'small muted' }, 'The masked video, for players and media servers:') : h('p', { class: 'small muted' }, `No masked video goes out: add a table [cameras.${this.id}.restream] for that.`),
      rtsp, h('dl', { class: 'facts' }, facts.map(([term, value]) => [h('dt', {}, term), h('dd', {}, value)])));
  }

  open() {
    const live = watch({
      width: 1280, fps: 10,
      onPicture: (picture) => this.draw(picture),
      onUnseen: ({ detail }) => { this.unseen = detail; this.update(); },
    });
    live.look([this.id]);
    this.update();
    this.listEvents();
    const measure = () => { if (!document.hidden) this.measure(); };
    measure();
    const offs = [
      store.on('cameras', () => this.update()),
      store.on('tracks', () => this.who()),
      store.on('event', () => this.listEvents()),
      store.on('events', () => this.listEvents()),
      store.on('forgotten', () => this.listEvents()),
    ];
    const timers = [setInterval(measure, LATENCY_EVERY), setInterval(() => { if (!document.hidden) this.age(); }, 500)];
    return () => {
      offs.forEach((off) => off());
      timers.forEach(clearInterval);
      live.close();
    };
  }

  draw(picture) {
    const size = { width: picture.bitmap.width, height: picture.bitmap.height };
    this.canvas.style.setProperty('aspect-ratio', `${size.width} / ${size.height}`);
    this.context.transferFromImageBitmap(picture.bitmap);
    this.last = { at: performance.now(), age: picture.age_ms, covered: picture.covered, size };
    this.veil.hidden = this.camera?.status === 'online';
  }

  update() {
    const { camera } = this;
    if (!camera) { location.hash = '#/wall'; return; }
    const key = JSON.stringify([camera.status, camera.reason, camera.switches]);
    if (this.key !== key) {
      this.key = key;
      fill(this.state, statusChip(camera));
      this.drawSwitches();
      if (camera.status !== 'online') {
        this.veil.hidden = false;
        const since = camera.since ? ` since ${sinceWords(camera.since)}` : '';
        fill(this.veil, h('strong', {}, `${camera.status === 'stalled' ? 'No picture' : 'Lost'}${since}`), h('span', {}, camera.reason && sentence(camera.reason)));
      }
    }
    if (this.unseen) { this.veil.hidden = false; this.veil.textContent = sentence(this.unseen); }
    this.drawHealth();
    this.age();
    this.who();
  }

  age() {
    if (this.camera?.status !== 'online') { this.numbers.textContent = 'No frames'; return; }
    const rates = store.rates(this.id);
    const milliseconds = this.last && this.last.age + performance.now() - this.last.at;
    const parts = [
      rates && `${rates.captured.toFixed(1)} frames a second, ${rates.analysed.toFixed(1)} analysed`,
      milliseconds && `this one is ${milliseconds < 950 ? `${Math.round(milliseconds / 10) * 10} ms` : length(milliseconds / 1000)} old`,
      this.last?.covered && 'covered for now',
    ].filter(Boolean);
    this.numbers.textContent = parts.join(' · ');
  }

  who() {
    const tracks = store.tracksOf(this.id);
    const key = tracks.map((event) => `${event.track} ${JSON.stringify(event.identity?.person ?? event.identity?.alias ?? null)}`).join();
    this.point(tracks.find((event) => event.track === this.pointed));
    if (this.tracks === key) return;
    this.tracks = key;
    const focused = this.present.contains(document.activeElement) && document.activeElement.dataset.track;
    fill(this.present, tracks.length ? tracks.map((event) => this.chip(event)) : h('li', { class: 'muted small' }, 'Nobody in sight'));
    if (focused) this.present.querySelector(`[data-track="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Somebody in sight, who can be named where nobody knows who it is; the picture shows which one is meant. */
  chip(event) {
    const item = whoChip(event);
    if (isNameable(event)) {
      const text = `${who(event)} #${event.track.slice(event.track.lastIndexOf('-') + 1)}`;
      fill(item, h('button', { type: 'button', class: 'chip', 'aria-label': `${text}: say who it is`, onclick: () => this.name(event) },
        icon(event.identity?.status === 'stranger' ? 'strangers' : 'help'), text));
    }
    const control = item.firstElementChild;
    control.dataset.track = event.track;
    const on = () => { this.pointed = event.track; this.point(event); };
    const off = () => { if (this.pointed === event.track) { this.pointed = null; this.point(null); } };
    for (const kind of ['pointerenter', 'focus']) control.addEventListener(kind, on);
    for (const kind of ['pointerleave', 'blur']) control.addEventListener(kind, off);
    return item;
  }

  /** Marks a face on the picture; null: none. */
  point(event) {
    this.mark.hidden = !event?.box;
    if (event?.box) for (const [side, value] of Object.entries(placeOf(event))) this.mark.style.setProperty(side, value);
  }

  async name(event) {
    const { status, alias } = event.identity ?? {};
    const now = store.tracks.get(`${event.camera}/${event.track}`) ?? event;
    const person = await (status === 'stranger' ? nameStranger(alias) : nameTrack(event, this.view(now)));
    if (person) location.hash = `#/person/${part(person)}`;
  }

  /** What the camera shows at this moment, masked as ever, with a mark on somebody. */
  view(event) {
    if (!this.last) return null;
    const { width, height } = this.last.size;
    const still = h('canvas', { width, height, role: 'img', 'aria-label': `Who is meant, on what ${this.id} shows` });
    still.style.setProperty('aspect-ratio', `${width} / ${height}`);
    still.getContext('2d').drawImage(this.canvas, 0, 0);
    return h('div', { class: 'picture small-picture' }, still, h('div', { class: 'mark', 'aria-hidden': 'true', style: placeOf(event) }));
  }

  listEvents() {
    const mine = store.events.filter((event) => event.camera === this.id && event.type !== 'updated').slice(0, EVENTS);
    const key = mine.map((event) => event.boot_seq).join();
    if (this.listed === key) return;
    this.listed = key;
    fill(this.events, mine.length ? mine.map(eventRow) : h('li', { class: 'muted' }, 'Nothing yet'));
  }

  drawHealth() {
    const { word, kind, reasons } = health(this.camera);
    const pictogram = kind === 'off' && this.camera.status !== 'disabled' ? 'eye' : kind;
    const key = word + reasons.join();
    if (this.graded === key) return;
    this.graded = key;
    fill(this.health, h('p', {}, h('span', { class: `state big ${kind}` }, icon(pictogram), word)),
      h('ul', { class: 'reasons' }, reasons.map((reason) => h('li', {}, reason))));
  }

  drawSwitches() {
    const may = store.may('operator');
    const entries = Object.entries(this.camera.switches);
    fill(this.switches, entries.length ? entries.map(([name, on]) => {
      const [title, meaning] = SWITCHES[name] ?? [name, ''];
      const fixed = name === 'mask' && on && this.camera.settings?.mask && !this.camera.settings.mask.switchable;
      const hint = fixed ? `${meaning} It stays on: the configuration does not say switchable = true.` : meaning;
      const box = h('input', { type: 'checkbox', role: 'switch', id: `switch-${name}`, checked: on, disabled: !may || fixed, 'aria-describedby': `meaning-${name}` });
      box.addEventListener('change', () => this.turn(name, box));
      return h('div', { class: 'switch' }, h('div', {}, h('label', { for: `switch-${name}` }, title), h('p', { class: 'hint', id: `meaning-${name}` }, hint)), box);
    }) : h('p', { class: 'muted' }, 'It has none.'));
  }

  async turn(name, box) {
    const on = box.checked;
    if (name === 'mask' && !on && !await confirm('Show faces?', `Everybody who looks at ${this.id} will see faces until the mask is switched on again.`, 'Show faces', { danger: true })) {
      box.checked = true;
      return;
    }
    box.disabled = true;
    try {
      const standing = await post(`/cameras/${part(this.id)}/switches/${name}`, { on });
      const { camera } = this;
      store.putCamera({ ...camera, switches: { ...camera.switches, [name]: standing.on } });
      document.getElementById(`switch-${name}`)?.focus();
    } catch (error) {
      box.checked = !on;
      box.disabled = false;
      toastError(error);
    }
  }

  async measure() {
    try {
      const { stages } = await get(`/cameras/${part(this.id)}/latency`);
      const before = this.answers[0] ?? [];
      this.answers.push(stages);
      if (this.answers.length > ANSWERS) this.answers.shift();
      this.drawLatency(stages, before);
    } catch { /* the next one will do */ }
  }

  drawLatency(stages, before) {
    const order = ({ stage }) => (STAGES.includes(stage) ? STAGES.indexOf(stage) : STAGES.length);
    const rows = stages.map((stage) => {
      const old = before.find((one) => one.stage === stage.stage);
      const recent = quantile(0.5, stage, old) === null ? undefined : old;
      return { stage: stage.stage, half: quantile(0.5, stage, recent), most: quantile(0.95, stage, recent), order: order(stage) };
    }).filter((row) => row.half !== null).sort((a, b) => a.order - b.order || a.stage.localeCompare(b.stage));
    if (!rows.length) {
      if (this.camera?.status !== 'online') fill(this.latency, h('p', { class: 'muted' }, 'No frames, so there is nothing to measure.'));
      return;
    }
    const longest = Math.max(...rows.map((row) => row.most), 0.001);
    fill(this.latency, h('table', { class: 'bars' },
      h('caption', { class: 'visually-hidden' }, 'Time that each stage takes'),
      h('thead', { class: 'visually-hidden' }, h('tr', {}, ['Stage', 'Plot', 'Half of them within', '95 % within'].map((text) => h('th', { scope: 'col' }, text)))),
      h('tbody', {}, rows.map((row) => h('tr', {},
        h('th', { scope: 'row' }, row.stage),
        h('td', { class: 'bar-cell' }, h('div', { class: 'bar-track', 'aria-hidden': 'true' },
          h('div', { class: 'bar-most', style: { width: `${row.most / longest * 100}%` } }),
          h('div', { class: 'bar-half', style: { width: `${row.half / longest * 100}%` } }))),
        h('td', { class: 'number' }, ms(row.half * 1000)), h('td', { class: 'number muted' }, ms(row.most * 1000)))))),
    h('p', { class: 'hint' }, 'Strong: half of them are within. Faint: 95 % are.'));
  }

  // --- zones ---

  areasChanged(areas) {
    this.areas = areas;
    this.changed = true;
    this.drawZones();
  }

  drawZones() {
    const may = store.may('admin');
    const words = { privacy: 'always covered', zone: 'named in events' };
    const list = this.areas.map((area, index) => h('li', { class: `area ${area.kind}` },
      icon(area.kind === 'privacy' ? 'masked' : 'zone'),
      this.editing ? h('input', { value: area.name, 'aria-label': `Name of ${area.name}`, pattern: '[a-z0-9][a-z0-9_\\-]*', onchange: (event) => { area.name = event.target.value.trim(); this.editor.set(this.areas); }, onfocus: () => { if (this.editor.chosen !== index) { this.editor.choose(index); this.zones.querySelectorAll('input')[index]?.focus(); } } })
        : h('span', {}, area.name),
      h('span', { class: 'muted small' }, words[area.kind]),
      this.editing && h('button', { type: 'button', class: 'quiet', 'aria-label': `Remove ${area.name}`, onclick: () => { this.areas.splice(index, 1); this.editor.set(this.areas); this.areasChanged(this.areas); } }, icon('trash'))));
    const button = (text, act, className = '') => h('button', { type: 'button', class: className, onclick: act }, text);
    fill(this.zones,
      list.length ? h('ul', { class: 'areas' }, list) : h('p', { class: 'muted' }, 'None. A privacy zone is always covered, whatever moves there; a zone gives a place its name in events.'),
      may && !this.editing && h('div', { class: 'row' }, button([icon('zone'), 'Draw zones'], () => this.edit(true))),
      this.editing && h('p', { class: 'hint' }, 'Drag on the picture to draw, drag corners and zones to move them. With the keyboard: arrow keys move a corner, Delete takes it out.'),
      this.editing && h('div', { class: 'row' }, button([icon('masked'), 'Add a privacy zone'], () => this.editor.add('privacy')), button([icon('zone'), 'Add a zone'], () => this.editor.add('zone'))),
      this.editing && h('div', { class: 'row' }, button('Save', () => this.saveZones(), 'primary'), button('Discard', () => this.edit(false))));
  }

  edit(on) {
    this.editing = on;
    this.areas = areasOf(this.camera);
    this.editor.set(this.areas);
    this.editor.edit(on);
    this.drawZones();
  }

  async saveZones() {
    const of = (kind) => this.areas.filter((area) => area.kind === kind).map(({ name, polygon }) => ({ name, polygon }));
    try {
      const camera = await put(`/cameras/${part(this.id)}/zones`, { zones: of('zone'), privacy_zones: of('privacy') });
      store.putCamera(camera);
      const lines = zoneLines(this.id, this.areas);
      this.edit(false);
      toast('The zones hold from now on', 'ok');
      if (lines) await showLines('They hold until a restart. To keep them, put these lines into the configuration’s file, in the place of the camera’s zones there:', lines);
    } catch (error) {
      toastError(error);
    }
  }

  async removeCamera() {
    if (!await confirm(`Remove ${this.id}?`, 'It is not watched any more. What the file says is not changed.', 'Remove', { danger: true })) return;
    try {
      await del(`/cameras/${part(this.id)}`);
      store.dropCamera(this.id);
      location.hash = '#/wall';
    } catch (error) {
      toastError(error);
    }
  }
}

function areasOf(camera) {
  const copyOf = (kind) => (area) => ({ kind, name: area.name, polygon: area.polygon.map((point) => [...point]) });
  const { zones = [], privacy_zones: hidden = [] } = camera.settings ?? {};
  return [...hidden.map(copyOf('privacy')), ...zones.map(copyOf('zone'))];
}

/** Lines for the configuration's file, to be copied. */
export function showLines(text, lines) {
  return dialog('For the configuration', () => [h('p', {}, text), h('pre', { tabindex: '0' }, lines),
    h('div', { class: 'actions' }, h('button', { type: 'button', class: 'primary', onclick: () => copy(lines) }, icon('copy'), 'Copy'))], { wide: true });
}
