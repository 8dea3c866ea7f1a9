// What the views about people share: reasons in words, quality, sending pictures one after the other.
import { part, pause, picture, post, withQuery } from './api.js';
import { dialog, fill, h, field } from './dom.js';
import { icon } from './icons.js';

// A picture that is dropped beside the place for it must not take the page's place.
for (const kind of ['dragover', 'drop']) window.addEventListener(kind, (event) => event.preventDefault());

/** What is wrong with a picture, and what helps; the server says the rest. */
const REASONS = {
  no_face: ['No face', 'No face was found here. It should look into the camera, and be lit well.'],
  several_faces: ['More than one face', 'Cut the picture so that only the face that is meant is on it.'],
  too_small: ['Too small', 'The face has too few pixels. Take a picture from nearer, or one that is larger.'],
  too_blurred: ['Blurred', 'The face is out of focus or moved. Take a sharper picture.'],
  turned_away: ['Turned away', 'The face looks too far to the side. Take one from the front.'],
  badly_exposed: ['Too dark or too bright', 'The face shows too little contrast. Take one in even light.'],
  occluded: ['Partly covered', 'Something lies over the face, or the edge cuts it off.'],
  low_quality: ['Not good enough', 'The face is less fit for recognition than was asked for.'],
  ambiguous: ['Looks like several people', 'Say whose face it is.'],
  unreadable: ['No picture', 'Send a JPEG, PNG, WebP, BMP or GIF.'],
  too_large: ['Too large', 'The file or the picture is larger than what is taken.'],
  gallery_full: ['No room', 'There is no memory for more faces.'],
  recognition_off: ['Recognition is off', 'There is no model that tells people apart (visor models pull fetches one), or the gallery is still being read.'],
  busy: ['Busy', 'The models are busy with cameras. Try again in a moment.'],
};

/** Title and help for a refusal. */
export function reasonOf(problem) {
  return REASONS[problem.reason] ?? [problem.title || 'Refused', problem.detail];
}

/** How fit a face is, in a word. */
export function fitness(quality) {
  if (quality >= 0.7) return 'excellent';
  if (quality >= 0.4) return 'good';
  if (quality >= 0.2) return 'fair';
  return 'poor';
}

/** A bar with the number and the word. */
export function quality(value) {
  const bar = h('span', { class: 'meter', 'aria-hidden': 'true' }, h('span', { style: { width: `${Math.round(value * 100)}%` } }));
  return h('span', { class: 'quality' }, bar, h('span', {}, `${value.toFixed(2)} ${fitness(value)}`));
}

/** Whether somebody is in sight, with an icon and words. */
export function presence(person, ago) {
  const seen = person.presence;
  if (!seen) return h('span', { class: 'muted small' }, 'Not seen yet');
  if (seen.present) return h('span', { class: 'state ok' }, icon('eye'), seen.camera ? `In sight, ${seen.camera}` : 'In sight');
  return h('span', { class: 'muted small' }, `${ago(seen.last_seen)}${seen.camera ? `, ${seen.camera}` : ''}`);
}

/** A letter or two in a circle, in the place of a picture, of which none is kept. */
export function initials(name) {
  const letters = name.trim().split(/\s+/).map((word) => [...word][0] ?? '').filter((c) => /[\p{L}\p{N}]/u.test(c));
  const text = (letters.length > 1 ? letters[0] + letters.at(-1) : letters[0] ?? '?').toUpperCase();
  return h('span', { class: 'initials', 'aria-hidden': 'true' }, text);
}

/** Gives the same element for the same picture each time a view is drawn anew, so that it is fetched once. */
export function shots() {
  const kept = new Map();
  return (address, alt) => {
    const path = address.replace('/api/v1', '');
    if (!kept.has(path)) kept.set(path, picture(path, alt, 'face-shot'));
    return kept.get(path);
  };
}

/** Tries again what was refused for too many requests, or for being busy. */
export async function patiently(ask, tries = 5) {
  for (let turn = 1; ; turn += 1) {
    try {
      return await ask();
    } catch (error) {
      if (turn === tries || !(error.status === 429 || (error.status === 503 && error.reason === 'busy'))) throw error;
      await pause(700 * turn);
    }
  }
}

/**
 * Enrols pictures of one person. `who` is `{ id, name }` of somebody who is known, or null for somebody new. Resolves to the
 * person's id where a face was added.
 */
export function enrol(who) {
  let person = who?.id ?? null;
  let added = false;
  let closed = false;
  const title = who ? `Add pictures of ${who.name}` : 'Add a person';
  return dialog(title, (close) => {
    const name = !who && h('input', { type: 'text', maxlength: 200, autocomplete: 'off', id: 'enrol-name', autofocus: true });
    const said = h('p', { class: 'said', role: 'alert' });
    const list = h('ul', { class: 'sent', 'aria-live': 'polite', 'aria-label': 'Pictures' });
    const finish = h('button', { type: 'button', class: 'primary', disabled: true, onclick: () => close(added ? person : undefined) }, 'Done');
    const files = h('input', { type: 'file', accept: 'image/*', multiple: true, id: 'enrol-files', class: 'visually-hidden', onchange: () => take(files.files) });
    const waiting = [];
    let busy = false;

    function take(chosen) {
      if (name && !name.value.trim()) {
        said.textContent = 'Give a name first: whose face is it?';
        files.value = '';
        name.focus();
        return;
      }
      said.textContent = '';
      if (name) name.readOnly = true;
      for (const file of chosen) {
        const row = h('li', { class: 'sent-row' });
        const row_state = h('div', { class: 'sent-state' }, h('span', { class: 'muted' }, 'Waits'));
        row.append(thumbnail(file), row_state);
        list.append(row);
        waiting.push({ file, state: row_state });
      }
      files.value = '';
      work();
    }

    async function work() {
      if (busy) return;
      busy = true;
      while (waiting.length && !closed) {
        const { file, state } = waiting.shift();
        fill(state, h('span', { class: 'muted' }, 'Looking …'));
        await send(file, state);
      }
      busy = false;
      finish.disabled = !added;
      if (!added && name) name.readOnly = false;
    }

    async function send(file, state) {
      try {
        const query = person ? { person_id: person } : { name: name.value.trim() };
        const answer = await patiently(() => post(withQuery('/faces/enroll', query), file));
        const face = answer.faces[0];
        person = face.person?.id ?? person;
        added ||= answer.added > 0;
        show(state, face);
      } catch (problem) {
        const [what, help] = reasonOf(problem);
        fill(state, h('span', { class: 'state bad' }, icon('bad'), what), h('p', { class: 'hint' }, help));
      }
    }

    const drop = h('div', { class: 'drop' }, icon('upload'),
      h('p', {}, 'Drop pictures here, or choose some.'),
      h('label', { class: 'button', for: 'enrol-files' }, 'Choose pictures'), files,
      h('p', { class: 'hint' }, 'One face each, from the front, as sharp as you have. A picture is looked at and forgotten; only numbers stay, in memory.'));
    for (const kind of ['dragover', 'dragenter']) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add('over'); });
    drop.addEventListener('dragleave', () => drop.classList.remove('over'));
    drop.addEventListener('drop', (event) => {
      event.preventDefault();
      drop.classList.remove('over');
      take(event.dataTransfer.files);
    });
    return h('div', { class: 'stack' }, name && field('Name', name), said, drop, list, h('div', { class: 'actions' }, finish));
  }).then((result) => { closed = true; return result ?? (added ? person : undefined); });
}

function show(state, face) {
  if (face.outcome === 'duplicate') {
    fill(state, h('span', { class: 'state off' }, icon('ok'), 'Known already'), h('p', { class: 'hint' }, 'This picture says nothing new.'));
    return;
  }
  const alike = (face.look_alikes ?? []).map((other) => other.name);
  fill(state, h('span', { class: 'state ok' }, icon('ok'), 'Added'), quality(face.quality),
    alike.length > 0 && h('p', { class: 'note warn' }, `Looks much like ${alike.join(', ')}. Add more pictures of both.`));
}

/** A small copy of a picture, painted once; nothing of the file is kept. */
export function thumbnail(file) {
  const canvas = h('canvas', { width: 96, height: 96, class: 'thumbnail', role: 'img', 'aria-label': file.name || 'picture' });
  createImageBitmap(file, { resizeWidth: 192, resizeQuality: 'medium' }).then((bitmap) => {
    const side = Math.min(bitmap.width, bitmap.height);
    canvas.getContext('2d').drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 96, 96);
    bitmap.close();
  }).catch(() => { /* the server says what is wrong with it */ });
  return canvas;
}

/** Asks for a stranger's name; resolves to the person's id once there is one. */
export const nameStranger = (alias) => askName(`Who is ${alias}?`, `/strangers/${part(alias)}/name`);

/** The same of somebody in sight who is nobody yet: `view` shows which one is meant. */
export const nameTrack = ({ camera, track }, view) => askName('Who is this?', `/cameras/${part(camera)}/tracks/${part(track)}/name`, view);

/** Whoever may name strangers may use it from any view. */
function askName(title, path, view) {
  return dialog(title, (close) => {
    const name = h('input', { type: 'text', maxlength: 200, autocomplete: 'off', required: true, id: 'stranger-name', autofocus: true });
    const said = h('p', { class: 'said', role: 'alert' });
    const save = h('button', { type: 'submit', class: 'primary' }, 'Give the name');
    async function submit(event) {
      event.preventDefault();
      save.disabled = true;
      said.textContent = '';
      try {
        const became = await patiently(() => post(path, { name: name.value.trim() }));
        close(became.person.id);
      } catch (problem) {
        said.textContent = problem.detail;
        save.disabled = false;
      }
    }
    return h('form', { class: 'stack', onsubmit: submit }, view,
      field('Name', name, 'The faces that cameras saw become this person\'s. Somebody who is known by this name already gets them, too.'),
      said, h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => close() }, 'Cancel'), save));
  });
}
