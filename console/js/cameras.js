// What several views say of cameras and events, in the same words.
import { part } from './api.js';
import { ago, clockOf, h } from './dom.js';
import { health } from './health.js';
import { icon } from './icons.js';
import { store } from './store.js';

const STATUS = {
  online: ['ok', 'Online'],
  stalled: ['warn', 'Stalled'],
  offline: ['bad', 'Offline'],
  disabled: ['off', 'Switched off'],
};

/** A camera's status as pictogram and word. */
export function statusChip(camera) {
  const [kind, word] = STATUS[camera.status] ?? STATUS.offline;
  return h('span', { class: `state ${kind}` }, icon(kind), word);
}

/** Since when, as shortly as it is clear: the time of today, or the day. */
export const sinceWords = (time) => (Date.now() - new Date(time) < 20 * 3600 * 1000 ? clockOf(time) : ago(time));

/** How well a camera works, where that is worth a word beside its status. */
export function gradeChip(camera) {
  const { word, kind } = health(camera);
  return camera.status === 'online' && ['warn', 'bad'].includes(kind) && h('span', { class: `state ${kind}` }, icon(kind), word);
}

/** What an event's identity comes to, in words. */
export function who(event) {
  const { status, name, person, alias } = event.identity ?? {};
  if (status === 'known') return name || person;
  if (status === 'stranger') return alias;
  return 'Undecided';
}

/** What is in the way of a name, and what helps. */
export const REASONS = {
  recognition_off: ['Recognition is off', 'No embedder is configured, or the camera’s switch “recognise” is off.'],
  too_small: ['The face is too small', 'It has too few pixels to be compared. Move the camera nearer, zoom in, or choose a stream with more pixels.'],
  too_blurred: ['The face is blurred', 'It moved, or is out of focus. More light shortens the exposure; check the focus.'],
  turned_away: ['The face is turned away', 'It was seen from the side or from above. A camera at eye level, facing where people come from, sees more.'],
  badly_exposed: ['Too dark or too bright', 'The face has no detail left. Mind light behind people; switch wide dynamic range on in the camera.'],
  occluded: ['Something hides the face', 'A mask, a hand, another head, or the edge of the picture.'],
  below_threshold: ['Nobody looks enough alike', 'The nearest person of the gallery is below the threshold: more pictures of that person, in this light, help.'],
  ambiguous: ['Two people look alike', 'The best and the second best person are too close to each other. More and better pictures of both help.'],
};

/** A percentage of a share, with no decimals. */
export const percent = (share) => (share === null || share === undefined ? '–' : `${Math.round(share * 100)} %`);

/** Milliseconds with as many decimals as are worth it. */
export const ms = (value) => (value === null || value === undefined ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

/** Whether whoever looks on can say who this is: nobody knows yet, and faces are compared. */
export const isNameable = ({ identity }) => store.may('operator') && identity?.status !== 'known' && identity?.reason !== 'recognition_off';

/** Where an event's face is on its camera's picture, as style. */
export const placeOf = ({ box }) => Object.fromEntries([['left', box?.x], ['top', box?.y], ['width', box?.w], ['height', box?.h]].map(([side, share]) => [side, `${(share ?? 0) * 100}%`]));

/** Somebody in sight as a chip, which leads to the person, or to where a stranger is named. */
export function whoChip(event) {
  const { status, person, alias } = event.identity ?? {};
  const address = status === 'known' ? `#/person/${part(person)}` : status === 'stranger' ? `#/strangers?alias=${part(alias)}` : null;
  const content = [icon({ known: 'people', stranger: 'strangers' }[status] ?? 'help'), who(event)];
  return h('li', {}, address ? h('a', { class: status === 'known' ? 'chip known' : 'chip', href: address }, content) : h('span', { class: 'chip' }, content));
}
