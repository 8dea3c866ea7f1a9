// What happens, as it happens: filtered here, since all of it is on the page anyway.
import { part, picture } from '../api.js';
import { clockOf, copy, dialog, empty, field, fill, h, head } from '../dom.js';
import { icon } from '../icons.js';
import { REASONS, isNameable, ms, percent, who } from '../cameras.js';
import { nameTrack } from '../people.js';
import { store } from '../store.js';

/** Rows on the page at once. */
const MOST = 150;

const TYPES = {
  started: ['eye', 'came into sight'],
  identified: ['ok', 'was recognised'],
  revised: ['warn', 'is somebody else after all'],
  retracted: ['help', 'is not sure any more'],
  updated: ['eye', 'is still in sight'],
  ended: ['logout', 'left'],
  face_seen: ['bad', 'a face was found in masked video'],
};

export async function show(root, { query }) {
  document.title = 'Events · Visor';
  if (!store.cameras.size) await store.refreshCameras();
  const select = (name, first, options, value) => h('select', { name, onchange: render },
    h('option', { value: '' }, first), options.map(([key, text]) => h('option', { value: key, selected: key === value }, text)));
  const camera = select('camera', 'All cameras', [...store.cameras.keys()].map((id) => [id, id]), query.get('camera'));
  const type = select('type', 'Changes only', [['all', 'Everything'], ...Object.keys(TYPES).map((name) => [name, name.replace('_', ' ')])], query.get('type'));
  const zones = new Set([...store.cameras.values()].flatMap((one) => (one.settings?.zones ?? []).map((zone) => zone.name)));
  const zone = select('zone', 'All zones', [...zones].map((name) => [name, name]), query.get('zone'));
  const person = h('input', { name: 'person', type: 'search', placeholder: 'Name, id or alias', value: query.get('person') ?? '', oninput: render });
  const list = h('ol', { class: 'events', 'aria-label': 'Events, newest first' });
  const said = h('p', { class: 'muted small', role: 'status' });
  fill(root, head('Events', said),
    h('form', { class: 'filters card', 'aria-label': 'Which events', onsubmit: (event) => event.preventDefault() },
      field('Camera', camera), field('Kind', type), field('Person', person), field('Zone', zone)),
    list);

  const wanted = (event) => {
    if (camera.value && event.camera !== camera.value) return false;
    if (type.value === '' ? event.type === 'updated' : type.value !== 'all' && event.type !== type.value) return false;
    if (zone.value && !event.zones?.includes(zone.value)) return false;
    const words = person.value.trim().toLowerCase();
    if (!words) return true;
    const { name, person: id, alias } = event.identity ?? {};
    return [name, id, alias].some((text) => text?.toLowerCase().includes(words));
  };

  function render() {
    const events = store.events.filter(wanted).slice(0, MOST);
    fill(list, events.length ? events.map(eventRow) : h('li', {}, empty('Nothing yet', 'Events appear here the moment they happen.')));
    tell();
  }

  function tell() {
    const count = list.querySelectorAll('.event').length;
    const text = count === 0 ? '' : `${count === MOST ? 'the newest ' : ''}${count} ${count === 1 ? 'event' : 'events'}`;
    if (said.textContent !== text) said.textContent = text;
  }

  function add(event) {
    if (!wanted(event)) return;
    if (!list.querySelector('.event')) { render(); return; }
    list.prepend(eventRow(event));
    while (list.childElementCount > MOST) list.lastElementChild.remove();
    tell();
  }

  render();
  const offs = [store.on('event', add),
    store.on('events', (events) => { if (events.length > 20) render(); else [...events].reverse().forEach(add); }),
    store.on('forgotten', render)];
  return () => offs.forEach((off) => off());
}

/** An event as a row of a list. */
export function eventRow(event) {
  const [pictogram, words] = TYPES[event.type] ?? ['eye', event.type];
  const { status, reason, score, margin } = event.identity ?? {};
  const what = event.type === 'identified' && status === 'stranger' ? 'is nobody who is known' : words;
  const numbers = [
    event.score !== null && event.score !== undefined && `face ${percent(event.score)}`,
    event.quality !== null && event.quality !== undefined && `quality ${percent(event.quality)}`,
    score !== null && score !== undefined && `alike ${score.toFixed(2)}`,
    margin !== null && margin !== undefined && `margin ${margin.toFixed(2)}`,
    event.latency_ms?.total !== undefined && `after ${ms(event.latency_ms.total)}`,
  ].filter(Boolean);
  return h('li', { class: 'event', dataset: { type: event.type, seq: event.boot_seq } },
    shot(event),
    h('div', { class: 'event-text' },
      h('p', { class: 'event-head' }, h('strong', {}, event.type === 'face_seen' ? 'Audit' : named(event)), ' ', h('span', { class: 'event-what' }, icon(pictogram), what)),
      h('p', { class: 'muted small' },
        h('time', { datetime: event.captured_at }, clockOf(event.published_at ?? event.captured_at)), ' · ',
        h('a', { href: `#/camera/${part(event.camera)}` }, event.camera),
        event.zones?.length ? ` · ${event.zones.join(', ')}` : '', ' · ', numbers.join(' · '))),
    h('div', { class: 'event-actions' },
      status === 'undecided' && inSight(event) && isNameable(event) && h('button', { type: 'button', class: 'quiet', onclick: () => name(event) }, icon('people'), 'Name'),
      status === 'undecided' && reason && h('button', { type: 'button', class: 'quiet', onclick: () => why(event) }, icon('help'), 'Why not?'),
      h('button', { type: 'button', class: 'quiet', onclick: () => details(event) }, 'Details', h('span', { class: 'visually-hidden' }, ` of this event of ${event.camera}`))));
}

/** Whoever is in sight can be named; for a while after that, too. */
const inSight = (event) => event.type !== 'ended' && store.tracks.has(`${event.camera}/${event.track}`);

async function name(event) {
  const person = await nameTrack(event);
  if (person) location.hash = `#/person/${part(person)}`;
}

function named(event) {
  const { status, person, alias } = event.identity ?? {};
  if (status === 'known') return h('a', { href: `#/person/${part(person)}` }, who(event));
  if (status === 'stranger') return h('a', { href: `#/strangers?alias=${part(alias)}` }, who(event));
  return 'Somebody';
}

/** The best shot, where the camera may take some and somebody was named. */
function shot(event) {
  const takes = store.cameras.get(event.camera)?.switches?.snapshots;
  const has = takes && event.track && ['known', 'stranger'].includes(event.identity?.status) && ['ended', 'identified', 'revised'].includes(event.type);
  if (!has) return h('div', { class: 'shot none' }, icon(event.identity?.status === 'known' ? 'people' : 'strangers'));
  return h('div', { class: 'shot' }, icon(event.identity.status === 'known' ? 'people' : 'strangers'), picture(`/cameras/${part(event.camera)}/tracks/${part(event.track)}/best_shot.jpg`, `Best shot of ${who(event)}`));
}

function why(event) {
  const [title, help] = REASONS[event.identity.reason] ?? [event.identity.reason, ''];
  return dialog('Why not recognised?', () => [
    h('p', {}, h('strong', {}, title), '. ', help),
    h('dl', { class: 'facts' },
      fact('Size of the face', event.box && `${Math.round(event.box.w * 100)} % × ${Math.round(event.box.h * 100)} % of the picture`),
      fact('Quality', percent(event.quality)),
      fact('Nearest person', event.identity.score === null || event.identity.score === undefined ? 'not compared' : `alike ${event.identity.score.toFixed(2)}`),
      fact('Embedder', event.models?.embedder ?? 'none')),
  ]);
}

function details(event) {
  const { name: _, received: __, ...said } = event;
  const text = JSON.stringify(said, null, 2);
  return dialog('Event', () => [h('pre', { tabindex: '0' }, text),
    h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => copy(text) }, icon('copy'), 'Copy'))], { wide: true });
}

const fact = (term, value) => [h('dt', {}, term), h('dd', {}, value || '–')];
