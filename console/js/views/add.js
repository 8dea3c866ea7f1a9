// A camera more: its address is tried before it stays, and the lines for the file are shown.
import { part, post, put } from '../api.js';
import { copy, field, fill, h, head, toastError } from '../dom.js';
import { icon } from '../icons.js';
import { sentence } from '../health.js';
import { store } from '../store.js';

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

  const stop = new AbortController();
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const table = { uri: uri.value.trim(), ...(restream.checked ? { restream: {} } : {}) };
    const name = id.value.trim();
    button.disabled = true;
    fill(said, h('p', { class: 'note' }, `Trying ${name} …`));
    try {
      if ((await store.refreshCameras()).has(name)) throw new Error(`There is a camera ${name} already.`);
      const tried = await post(`/cameras/${part(name)}/try`, table, { signal: stop.signal });
      if (tried.works) works(name, table, tried);
      else failed(tried.reason);
    } catch (error) {
      if (error.name === 'AbortError') return;
      fill(said, h('p', { class: 'note bad pre' }, error.detail ?? error.message));
    }
    button.disabled = false;
  });

  function works(name, table, tried) {
    const lines = toml(name, table);
    const keep = h('button', { type: 'button', class: 'primary' }, 'Keep it');
    keep.addEventListener('click', async () => {
      keep.disabled = true;
      try {
        await put(`/cameras/${part(name)}`, table);
        location.hash = `#/camera/${part(name)}`;
      } catch (error) {
        keep.disabled = false;
        toastError(error);
      }
    });
    const facts = [
      ['Pictures', `${tried.width} × ${tried.height}`],
      ['Frames', tried.fps && `${Number(tried.fps.toFixed(1))} a second`],
      ['Coding', [tried.codec, tried.transport && `by ${tried.transport}`].filter(Boolean).join(', ')],
      ['First one', `after ${tried.first_frame_ms < 950 ? `${tried.first_frame_ms} ms` : `${(tried.first_frame_ms / 1000).toFixed(1)} s`}`],
    ].filter(([, value]) => value);
    fill(said, h('section', { class: 'card stack narrow' },
      h('div', { class: 'spread' }, h('h2', {}, 'It works'), h('span', { class: 'state ok' }, icon('ok'), 'Frames come')),
      h('dl', { class: 'facts' }, facts.map(([term, value]) => [h('dt', {}, term), h('dd', {}, value)])),
      h('p', {}, 'It was closed again, and nobody has seen a picture: masks come with the camera. Keep it until the next restart; for longer, put these lines into the configuration’s file:'),
      h('pre', { tabindex: '0' }, lines),
      h('div', { class: 'actions' },
        h('button', { type: 'button', onclick: () => copy(lines) }, icon('copy'), 'Copy the lines'),
        h('button', { type: 'button', onclick: () => { fill(said); uri.focus(); } }, 'Discard'), keep)));
  }

  function failed(reason) {
    fill(said, h('p', { class: 'note bad pre' }, h('strong', {}, 'No picture came. '), sentence(reason)),
      h('p', { class: 'muted' }, 'Nothing was saved. Check the address, the user and the password, and that this machine reaches the camera.'));
  }

  return () => stop.abort();
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
