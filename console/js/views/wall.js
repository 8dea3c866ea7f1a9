// All cameras at a glance: what they show, masked, who is there, and what is wrong.
import { empty, fill, h, head, toastError } from '../dom.js';
import { icon } from '../icons.js';
import { gradeChip, sinceWords, statusChip, who, whoChip } from '../cameras.js';
import { sentence } from '../health.js';
import { watch } from '../live.js';
import { store } from '../store.js';

/** How often cameras that came from elsewhere are looked for. */
const LOOK_EVERY = 10000;

export async function show(root) {
  document.title = 'Wall · Visor';
  const summary = h('p', { class: 'muted', role: 'status' });
  const add = store.may('admin') && h('a', { class: 'button', href: '#/add' }, icon('plus'), 'Add a camera');
  const grid = h('ul', { class: 'wall', 'aria-label': 'Cameras' });
  const none = h('div', {});
  fill(root, head('Wall', summary, add), none, grid);

  const tiles = new Map();
  const seen = new Set();
  const live = watch({
    width: 480, fps: 5,
    onPicture: (picture) => tiles.get(picture.camera)?.draw(picture) ?? picture.bitmap.close(),
    onUnseen: ({ camera, detail }) => tiles.get(camera)?.unseen(detail),
  });
  const look = () => live.look(seen, { width: tiles.size <= 4 ? 800 : 480 });
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) seen.add(target.dataset.camera);
      else seen.delete(target.dataset.camera);
    }
    look();
  }, { rootMargin: '100px' });

  const refresh = () => {
    for (const [id, tile] of tiles) {
      if (store.cameras.has(id)) continue;
      watcher.unobserve(tile.element);
      tile.element.remove();
      tiles.delete(id);
      seen.delete(id);
      look();
    }
    for (const [id, camera] of store.cameras) {
      if (!tiles.has(id)) {
        const tile = new Tile(camera);
        tiles.set(id, tile);
        grid.append(tile.element);
        watcher.observe(tile.element);
      }
      tiles.get(id).update(camera);
    }
    grid.dataset.count = Math.min(tiles.size, 5);
    grid.hidden = tiles.size === 0;
    fill(none, tiles.size === 0 && nothing());
    summary.textContent = sum([...store.cameras.values()]);
  };

  await store.refreshCameras();
  refresh();
  const offs = [
    store.on('cameras', refresh),
    store.on('tracks', () => tiles.forEach((tile) => tile.people())),
  ];
  const clock = setInterval(() => { if (!document.hidden) tiles.forEach((tile) => tile.age()); }, 1000);
  const poll = setInterval(() => { if (!document.hidden) store.refreshCameras().catch(toastError); }, LOOK_EVERY);
  return () => {
    offs.forEach((off) => off());
    [clock, poll].forEach(clearInterval);
    watcher.disconnect();
    live.close();
  };
}

function nothing() {
  if (!store.may('admin')) return empty('No camera yet', 'Nobody has configured a camera that you may see.');
  return empty('No camera yet', 'Name a camera’s address and look whether it works: nothing is saved before, and nothing is written to disk.',
    h('a', { class: 'button primary', href: '#/add' }, icon('plus'), 'Add a camera'));
}

function sum(cameras) {
  if (!cameras.length) return '';
  const lost = cameras.filter((camera) => ['offline', 'stalled'].includes(camera.status)).length;
  const faces = cameras.reduce((total, camera) => total + camera.faces, 0);
  const seen = faces === 1 ? '1 face in sight' : `${faces} faces in sight`;
  return lost ? `${seen} · ${lost} of ${cameras.length} cameras not working` : `${seen} · all ${cameras.length === 1 ? 'is' : `${cameras.length} are`} well`;
}

/** A camera on the wall. */
class Tile {
  constructor(camera) {
    this.camera = camera;
    this.canvas = h('canvas', { width: 16, height: 9, 'aria-hidden': 'true' });
    this.context = this.canvas.getContext('bitmaprenderer');
    this.veil = h('p', { class: 'veil' }, 'Waiting for a picture …');
    this.state = h('span', {});
    this.numbers = h('p', { class: 'numbers' });
    this.present = h('ul', { class: 'present', 'aria-label': `In sight of ${camera.id}` });
    this.element = h('li', { class: 'tile', dataset: { camera: camera.id } },
      h('div', { class: 'tile-frame' }, h('a', { class: 'tile-picture', href: `#/camera/${encodeURIComponent(camera.id)}`, 'aria-label': `Open camera ${camera.id}` }, this.canvas), this.veil),
      h('div', { class: 'tile-text' },
        h('div', { class: 'spread' }, h('h2', { title: camera.id }, camera.id), this.state),
        this.numbers, this.present));
    this.last = null;
  }

  draw(picture) {
    this.context.transferFromImageBitmap(picture.bitmap);
    this.last = { at: performance.now(), age: picture.age_ms, covered: picture.covered };
    if (!this.element.dataset.live) {
      this.element.dataset.live = 'true';
      this.say();
    }
  }

  unseen(detail) {
    this.hidden = detail;
    this.say();
  }

  update(camera) {
    const before = this.camera;
    this.camera = camera;
    const changed = ['status', 'reason', 'since'].some((name) => before[name] !== camera[name]) || before.health?.grade !== camera.health?.grade;
    if (changed || !this.state.firstChild) {
      fill(this.state, gradeChip(camera) || statusChip(camera));
      if (camera.status !== 'online') delete this.element.dataset.live;
      this.element.dataset.status = camera.status;
      this.say();
    }
    this.age();
    this.people();
  }

  /** What lies over the picture where it says nothing itself. */
  say() {
    const { status, reason, since } = this.camera;
    if (status === 'online') this.veil.textContent = this.hidden ?? 'Waiting for a picture …';
    else if (status === 'disabled') this.veil.textContent = 'Switched off in the configuration';
    else fill(this.veil, h('strong', {}, `${status === 'stalled' ? 'No picture' : 'Lost'}${since ? ` since ${sinceWords(since)}` : ''}`), h('span', {}, sentence(reason || 'not reached yet')));
    this.veil.hidden = status === 'online' && !this.hidden && this.element.dataset.live === 'true';
  }

  age() {
    const rates = store.rates(this.camera.id);
    const parts = [];
    if (this.camera.status === 'online') {
      if (rates) parts.push(`${rates.captured.toFixed(rates.captured < 9.95 ? 1 : 0)} fps`);
      if (this.last) {
        const milliseconds = this.last.age + performance.now() - this.last.at;
        parts.push(`frame ${milliseconds < 950 ? `${Math.round(milliseconds / 10) * 10} ms` : `${(milliseconds / 1000).toFixed(0)} s`} old`);
        if (this.last.covered) parts.push('covered for now');
      }
    }
    const text = parts.join(' · ') || (this.camera.status === 'online' ? '…' : 'no frames');
    if (this.numbers.textContent !== text) this.numbers.textContent = text;
  }

  people() {
    const tracks = store.tracksOf(this.camera.id);
    const names = new Map();
    let undecided = 0;
    for (const event of tracks) {
      if (event.identity?.status === 'undecided') undecided += 1;
      else names.set(who(event), event);
    }
    const key = `${[...names.keys()]} ${undecided}`;
    if (this.shown === key) return;
    this.shown = key;
    fill(this.present,
      [...names.values()].map(whoChip),
      undecided > 0 && h('li', {}, h('a', { class: 'chip', href: `#/camera/${encodeURIComponent(this.camera.id)}` }, icon('help'), undecided === 1 ? '1 undecided' : `${undecided} undecided`)),
      !tracks.length && h('li', { class: 'muted small' }, 'Nobody in sight'));
  }
}
