// A camera more: its address is tried before it stays, and the lines for the file are shown.
import { del, get, part, pause, put } from '../api.js';
import { copy, field, fill, h, head } from '../dom.js';
import { icon } from '../icons.js';
import { statusChip } from '../cameras.js';
import { watch } from '../live.js';
import { store } from '../store.js';

/** How long an address may take to give a first frame, or to say why it does not, and how often it is looked at. */
const TRY_FOR = 15000;
const REFUSED_FOR = 4000;
const LOOK_EVERY = 700;

export async function show(root) {
  document.title = 'Add a camera · Visor';
  const uri = h('input', { name: 'uri', required: true, spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off', placeholder: 'rtsp://192.168.1.20:554/stream1' });
  const id = h('input', { name: 'id', required: true, pattern: '[a-z0-9][a-z0-9_\\-]{0,62}', spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off', placeholder: 'front' });
  const restream = h('input', { name: 'restream', type: 'checkbox', id: 'restream' });
  const said = h('div', { role: 'status', class: 'stack' });
  const button = h('button', { class: 'primary' }, 'Try it');
  const form = h('form', { class: 'card stack narrow' },
    field('Address', uri, 'As the camera’s manual says: rtsp://, rtsps://, v4l2:///dev/video0, or a page of MJPEG. A user and a password may be in it: rtsp://user:password@….'),
    field('Name', id, 'a to z, 0 to 9, _ and -. It is the camera’s name in topics, events and addresses.'),
    h('div', { class: 'row' }, restream, h('label', { for: 'restream' }, 'Send its masked video out by RTSP')),
    h('div', { class: 'row' }, button, h('a', { class: 'button quiet', href: '#/wall' }, 'Cancel')));
  fill(root, head('Add a camera'),
    h('p', { class: 'muted' }, 'The address is tried first. Nothing is written to a disk: the camera stays until Visor is restarted, and you get the lines to put into the file.'),
    form, said);

  let tried = null;
  let live = null;
  const stop = new AbortController();
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (tried) return;
    const table = { uri: uri.value.trim(), ...(restream.checked ? { restream: {} } : {}) };
    const name = id.value.trim();
    button.disabled = true;
    fill(said, h('p', { class: 'note' }, `Trying ${name} …`));
    try {
      if ((await store.refreshCameras()).has(name)) throw new Error(`There is a camera ${name} already.`);
      await put(`/cameras/${part(name)}`, table);
      tried = name;
      const camera = await firstFrames(name, stop.signal);
      if (camera.status === 'online') works(name, table, camera);
      else await failed(camera);
    } catch (error) {
      if (error.name === 'AbortError') return;
      await takeBack();
      fill(said, h('p', { class: 'note bad pre' }, error.detail ?? error.message));
      button.disabled = false;
    }
  });

  function works(name, table, camera) {
    const canvas = h('canvas', { width: 16, height: 9, role: 'img', 'aria-label': `What ${name} shows, masked` });
    const context = canvas.getContext('bitmaprenderer');
    live = watch({ width: 800, fps: 5, onPicture: ({ bitmap }) => context.transferFromImageBitmap(bitmap) });
    live.look([name]);
    const lines = toml(name, table);
    fill(said, h('section', { class: 'card stack' },
      h('div', { class: 'spread' }, h('h2', {}, 'It works'), statusChip(camera)),
      h('div', { class: 'picture small-picture' }, canvas),
      h('p', {}, 'Keep it until the next restart; for longer, put these lines into the configuration’s file:'),
      h('pre', { tabindex: '0' }, lines),
      h('div', { class: 'actions' },
        h('button', { type: 'button', onclick: () => copy(lines) }, icon('copy'), 'Copy the lines'),
        h('button', { type: 'button', class: 'danger', onclick: async () => { await takeBack(); fill(said); button.disabled = false; } }, 'Discard'),
        h('button', { type: 'button', class: 'primary', onclick: () => { tried = null; location.hash = `#/camera/${part(name)}`; } }, 'Keep it'))));
  }

  async function failed(camera) {
    await takeBack();
    fill(said, h('p', { class: 'note bad pre' }, h('strong', {}, 'No picture came. '), camera.reason || 'Nothing answered in time.'),
      h('p', { class: 'muted' }, 'Nothing was saved. Check the address, the user and the password, and that this machine reaches the camera.'));
    button.disabled = false;
  }

  /** What was tried goes again. */
  async function takeBack() {
    live?.close();
    live = null;
    if (!tried) return;
    const name = tried;
    tried = null;
    await del(`/cameras/${part(name)}`).catch(() => {});
    store.dropCamera(name);
  }

  return () => {
    stop.abort();
    takeBack();
  };
}

/** How the camera is once frames come, or have not come for long enough. */
async function firstFrames(name, signal) {
  const until = Date.now() + TRY_FOR;
  let refused = null;
  for (;;) {
    const camera = await get(`/cameras/${part(name)}`, { signal });
    if (camera.status === 'online' && camera.stats.frames_captured_total > 0) return camera;
    if (camera.reason && camera.reason !== 'connecting') refused ??= Date.now();
    if (Date.now() > until || (refused && Date.now() > refused + REFUSED_FOR)) return { ...camera, status: 'offline' };
    await pause(LOOK_EVERY, signal);
  }
}

function toml(name, table) {
  let uri = table.uri;
  let user = '';
  // a password does not belong into the file
  const found = /^(\w+:\/\/)([^/@:]+):([^/@]*)@(.*)$/.exec(uri);
  if (found) {
    uri = found[1] + found[4];
    user = `username = ${JSON.stringify(decodeURIComponent(found[2]))}\npassword_file = "/etc/visor/${name}-password"\n`;
  }
  return `[cameras.${name}]\nuri = ${JSON.stringify(uri)}\n${user}${table.restream ? `\n[cameras.${name}.restream]\n` : ''}`;
}
